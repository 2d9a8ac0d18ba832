"""The closed class of English pronouns and what each says of its antecedent.

`lexicons/tables/pronouns.tsv` is the whole knowledge, written by hand after Quirk et al. 1985, chapter 6, and is
meant to be read. Chomsky 1981: under principle A a reflexive or reciprocal is bound in its local domain, under
principle B a personal or possessive pronoun is free in it. The domain is the clause; that of a possessive is its noun
phrase, so that "John saw **his** mother" may be John's.
"""

import csv
from dataclasses import dataclass
from functools import cache
from typing import Literal, cast

from lexicons.features import implied, mask
from lexicons.tables import table

Principle = Literal["A", "B"]

PRONOUN_KINDS: tuple[str, ...] = (
    *("personal", "reflexive", "reciprocal", "possessive", "demonstrative"),
    *("relative", "interrogative", "indefinite", "expletive"),
)


@dataclass(frozen=True, slots=True)
class Pronoun:
    """One pronoun form."""

    form: str
    """Lower-cased."""
    kinds: tuple[str, ...]
    """Of PRONOUN_KINDS, the most usual first: `who` is interrogative and relative, `it` personal and expletive."""
    principle: Principle | None
    """A: bound in its domain. B: free in its domain. None: the binding theory is silent (`who`, `this`, `mine`)."""
    features: int
    """Bits of lexicons.features, implied ones too; `they` has third person and no number."""

    @property
    def kind(self) -> str:
        """The most usual kind."""
        return self.kinds[0]


@cache
def pronouns() -> dict[str, Pronoun]:
    """Every pronoun by its lower-cased form."""
    lines = table("pronouns.tsv").read_text(encoding="utf-8").splitlines()
    rows = csv.DictReader((line for line in lines if not line.startswith("#")), delimiter="\t")
    return {row["form"]: _pronoun(row) for row in rows}


def pronoun(form: str) -> Pronoun | None:
    """The pronoun of this form, in any case; None for what is no pronoun."""
    return pronouns().get(form.lower().replace("’", "'"))


def _pronoun(row: dict[str, str]) -> Pronoun:
    principle = cast(Principle, row["principle"]) if row["principle"] != "-" else None
    said = mask(*row["features"].replace("-", "").split())
    return Pronoun(row["form"], tuple(row["kinds"].split()), principle, implied(said))
