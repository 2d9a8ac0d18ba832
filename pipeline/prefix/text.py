"""A block's characters as arrays, with the running sums that make every question about a stretch of them O(1)."""

from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.prefix.characters import BREAK_CODE, DIGIT, LETTER, LOWER, UPPER
from pipeline.prefix.tables import ADDRESS_SIGNS, ANY, BASE, BASE_INVERSE, SHAPE_SALT, Tables

Flags = NDArray[np.bool_]
Places = NDArray[np.int64]
Value = TypeVar("Value", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Alphabet:
    """Tables spread out over all code points [0x110001], so that a text is one look-up."""

    tables: Tables
    kind: NDArray[np.uint8]
    lower: NDArray[np.int32]

    @classmethod
    def of(cls, tables: Tables) -> "Alphabet":
        return cls(tables, tables.kinds(), tables.lower())


@dataclass(frozen=True, slots=True)
class Text:
    """Columns [n]: a break, the state's tail, and the block's characters from place `tail` on. Places count from the
    break; `[begin, end)` of the methods are arrays of equal length."""

    tables: Tables
    tail: int
    code: NDArray[np.int32]
    kind: NDArray[np.uint8]
    alphanumeric: Flags
    run_begin: Places
    """[n] for letters and digits: where their run begins."""
    sums: dict[str, NDArray[np.int32]]
    """[n + 1] how many `upper`, `letter`, `digit`, `sign` stand before each place."""
    hash: NDArray[np.uint64]
    """[n + 1] sum of (lower-case code + 1) * BASE**place before each place."""

    @classmethod
    def of(cls, alphabet: Alphabet, tail: str, block: NDArray[np.int32]) -> "Text":
        """block: code points [M], BREAK_CODE among them. O(M)."""
        code = np.concatenate([[BREAK_CODE], codes_of(tail), block]).astype(np.int32)
        kind = alphabet.kind[code]
        letter = (kind >= LOWER) & (kind <= LETTER)
        alphanumeric = (kind >= LOWER) & (kind <= DIGIT)
        run = alphanumeric.copy()
        run[1:] &= ~alphanumeric[:-1]
        flags = {"upper": kind == UPPER, "letter": letter, "digit": kind == DIGIT, "sign": _SIGN[np.minimum(code, 127)]}
        value = (alphabet.lower[code].astype(np.uint64) + np.uint64(1)) * _powers(BASE, len(code))
        return cls(
            tables=alphabet.tables,
            tail=1 + len(tail),
            code=code,
            kind=kind,
            alphanumeric=alphanumeric,
            run_begin=latest(run),
            sums={name: _sums_before(each, np.int32) for name, each in flags.items()},
            hash=_sums_before(value, np.uint64),
        )

    def at(self, column: NDArray[Value], place: Places) -> NDArray[Value]:
        """The column at some places; before the text stands the break that it begins with."""
        return column[np.maximum(place, 0)]

    def count(self, name: str, begin: Places, end: Places) -> NDArray[np.int32]:
        return self.sums[name][end] - self.sums[name][begin]

    def keys(self, begin: Places, end: Places, shape: NDArray[np.int64] | int = ANY) -> NDArray[np.int64]:
        """int64: under which key the tables hold each stretch, in lower case and of some shape."""
        inverse = _powers(BASE_INVERSE, len(self.code))[begin]
        return ((self.hash[end] - self.hash[begin]) * inverse + _SALT[shape]).view(np.int64)


def before(column: NDArray[Value], steps: int) -> NDArray[Value]:
    """The column so many places earlier; the first entry stands for all that is before it."""
    moved = np.empty_like(column)
    moved[steps:] = column[:-steps]
    moved[:steps] = column[0]
    return moved


def latest(flags: Flags) -> Places:
    """int64 [n]: the last place up to each where the flag is set; 0 before any."""
    return np.maximum.accumulate(np.where(flags, np.arange(len(flags)), 0))


def codes_of(text: str) -> NDArray[np.int32]:
    return np.frombuffer(text.encode("utf-32-le"), dtype="<i4").astype(np.int32)


def text_of(code: NDArray[np.int32]) -> str:
    return code.astype("<i4").tobytes().decode("utf-32-le")


def _sums_before(column: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    sums = np.zeros(len(column) + 1, dtype=dtype)
    np.cumsum(column, dtype=dtype, out=sums[1:])
    return sums


def _powers(base: int, size: int) -> NDArray[np.uint64]:
    """uint64 [size]: powers of the base, from 0 on."""
    return _power_table(base, 1 << max(size, 2).bit_length())[:size]


@cache
def _power_table(base: int, size: int) -> NDArray[np.uint64]:
    factors = np.full(size, base, dtype=np.uint64)
    factors[0] = 1
    return np.multiply.accumulate(factors)


_SALT = np.array(SHAPE_SALT, dtype=np.uint64)
_SIGN = np.isin(np.arange(128), [ord(char) for char in ADDRESS_SIGNS])
