"""Tags of many words at once: `prefix_step.Stepper.full_tag` and `open_tag` for arrays of stretches of a Text."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline.prefix.tables import (
    ADDRESS,
    CAPITAL,
    INITIAL,
    LOWERCASE,
    MISSING,
    MIXED,
    NUMERIC,
    SUFFIX,
    SYMBOLIC,
    UPPERCASE,
    find,
)
from pipeline.prefix.text import Flags, Places, Text

Tags = NDArray[np.uint8]


def full_tags(text: Text, begin: Places, end: Places, initial: Flags) -> Tags:
    """uint8 [k]: tags of the stretches [begin, end) as whole words; initial: as SentencePlaces.initial."""
    tables, shape = text.tables, shapes(text, begin, end, initial)
    tag = find(tables.word_key, tables.word_tag, text.keys(begin, end, shape))
    _fill(tag, lambda rest: find(tables.word_key, tables.word_tag, text.keys(begin[rest], end[rest])))
    for length in range(SUFFIX, 0, -1):
        _fill(tag, lambda rest, length=length: _by_suffix(text, begin[rest], end[rest], shape[rest], length))  # type: ignore[misc]
    _fill(tag, lambda rest: tables.shape_tag[shape[rest]])
    return tag


def open_tags(text: Text, begin: Places, end: Places, initial: Flags) -> Tags:
    """uint8 [k]: tags of the stretches [begin, end) as beginnings of words that are still open."""
    tables, shape = text.tables, shapes(text, begin, end, initial)
    tag = find(tables.prefix_key, tables.prefix_tag, text.keys(begin, end, shape))
    _fill(tag, lambda rest: find(tables.prefix_key, tables.prefix_tag, text.keys(begin[rest], end[rest])))
    _fill(tag, lambda rest: full_tags(text, begin[rest], end[rest], initial[rest]))
    return tag


def shapes(text: Text, begin: Places, end: Places, initial: Flags) -> NDArray[np.int64]:
    """int64 [k]: `prefix_tables.shape_of` each stretch."""
    uppers, letters, digits, signs = (text.count(name, begin, end) for name in ("upper", "letter", "digit", "sign"))
    shape = np.where(initial, INITIAL, CAPITAL)
    shape[(uppers == letters) & (letters > 1)] = UPPERCASE
    shape[uppers == 0] = LOWERCASE
    shape[digits > 0] = MIXED
    shape[signs > 0] = ADDRESS
    bare = letters == 0
    shape[bare] = np.where(digits[bare] > 0, NUMERIC, SYMBOLIC)
    return shape


def _by_suffix(text: Text, begin: Places, end: Places, shape: NDArray[np.int64], length: int) -> Tags:
    """By the last characters, so many at most: a shorter word is looked up whole, here as well as at its length."""
    keys = text.keys(np.maximum(end - length, begin), end, shape)
    return find(text.tables.suffix_key, text.tables.suffix_tag, keys)


def _fill(tag: Tags, look_up: Callable[[Places], Tags]) -> None:
    """Look up those that are still missing, and only those."""
    rest = np.flatnonzero(tag == MISSING)
    if len(rest):
        tag[rest] = look_up(rest)
