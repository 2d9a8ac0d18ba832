"""Selectional restrictions: boolean expressions over features, as VerbNet writes them.

`[+animate | +organization]` reads "animate or an organization", `[+concrete & -animate]` "concrete and not animate";
brackets nest.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lexicons.features import SEMANTIC_BITS, mask


@dataclass(frozen=True, slots=True)
class Atom:
    """One feature that a filler must have (`wanted`) or must not have."""

    wanted: bool
    feature: str

    def allows(self, features: NDArray[np.uint64]) -> NDArray[np.bool_]:
        has: NDArray[np.bool_] = (features & np.uint64(mask(self.feature))) != 0
        if not self.wanted:
            return ~has
        # a word of which nothing semantic is known speaks neither for the feature nor against it
        silent: NDArray[np.bool_] = (features & np.uint64(SEMANTIC_BITS)) == 0
        return has | silent

    def __str__(self) -> str:
        return ("+" if self.wanted else "-") + self.feature


@dataclass(frozen=True, slots=True)
class Restriction:
    """Parts joined by `and` or by `or`; without parts it allows everything."""

    logic: Literal["and", "or"] = "and"
    parts: "tuple[Atom | Restriction, ...]" = ()

    def allows(self, features: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """bool, shaped as `features` (uint64): may a word with these features fill the slot?

        A word without semantic features is allowed: there is no evidence against it.
        """
        if not self.parts:
            return np.ones(np.shape(features), dtype=bool)
        verdicts = [part.allows(features) for part in self.parts]
        join = np.logical_and if self.logic == "and" else np.logical_or
        return np.asarray(join.reduce(verdicts), dtype=bool)

    def __and__(self, other: "Restriction") -> "Restriction":
        """Both must hold."""
        if not (self.parts and other.parts):
            return self if self.parts else other
        parts = dict.fromkeys((*self._conjuncts(), *other._conjuncts()))  # each once, in order
        return self if len(parts) == 1 else Restriction("and", tuple(parts))

    def _conjuncts(self) -> "tuple[Atom | Restriction, ...]":
        return self.parts if self.logic == "and" else (self,)

    def __bool__(self) -> bool:
        """Does it restrict anything?"""
        return bool(self.parts)

    def __str__(self) -> str:
        """`[+animate | +organization]`; empty if unrestricted."""
        sign = " & " if self.logic == "and" else " | "
        return f"[{sign.join(map(str, self.parts))}]" if self.parts else ""


@cache
def restriction(text: str) -> Restriction:
    """Read what `str(Restriction)` writes; the empty text is unrestricted.

    Raises ValueError for text that is no restriction, and for unknown features.
    """
    tokens = re.findall(r"[\[\]|&]|[+-]\w+|\S", text)
    if not tokens:
        return Restriction()
    try:
        found = _read(tokens)
    except IndexError as error:
        raise ValueError(f"restriction {text!r} ends too early; write it as [+animate | +organization]") from error
    if tokens or not isinstance(found, Restriction):
        raise ValueError(f"cannot read restriction {text!r}; write it as [+animate | +organization]")
    return found


def _read(tokens: list[str]) -> Atom | Restriction:
    """Take one atom or one bracket from the front of the tokens."""
    token = tokens.pop(0)
    if token[0] in "+-" and len(token) > 1:
        mask(token[1:])  # raises for an unknown feature
        return Atom(token[0] == "+", token[1:])
    if token != "[":
        raise ValueError(f"restriction has {token!r} where a bracket or a feature should be")
    parts = [_read(tokens)]
    signs = []
    while (sign := tokens.pop(0)) != "]":
        signs.append(sign)
        parts.append(_read(tokens))
    if len(set(signs)) > 1 or set(signs) - {"&", "|"}:
        raise ValueError(f"restriction joins one bracket with {sorted(set(signs))}; use & or |, one of them a bracket")
    return Restriction("or" if "|" in signs else "and", tuple(parts))
