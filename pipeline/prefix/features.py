"""What the left-to-right network is told of a word: rows of embedding tables, by its letters and shape, and by WordNet.

The rows are found for many distinct words at once, by the hashes of `pipeline.prefix.text`: those of lower-case
stretches, so that every machine finds the same rows.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.prefix.lexicon import CODES, lexicon_codes
from pipeline.prefix.tables import ANY, SHAPE_SALT
from pipeline.prefix.text import Alphabet, Text, codes_of

HASHED: dict[str, int] = {"spelling": 12_000, "first 3": 4_000, "last 2": 1_500, "last 3": 5_000, "last 4": 8_000}
"""Rows for the word in its own shape, and for its first or last letters; several strings may share a row."""

MAKE = 8 * 8 * 5 * 2 * 2
"""Rows for the make: shape, length, digits, other marks inside, letter or digit at the beginning."""

WORD_ROWS = sum(HASHED.values()) + MAKE + CODES
"""Rows that any string finds; those of the known words stand behind them, the first for all that are not known."""

FEATURES = len(HASHED) + 3

SYMBOLIC, NUMERIC, MIXED, LOWERCASE, CAPITAL, _, UPPERCASE, WHATEVER = range(8)
"""Shapes of words. The annotator's tables have shapes of their own, which may change without the network's."""

_SALT = np.array([(0xD1B54A32D192ED03 * (2 * shape + 1)) % 2**64 for shape in range(8)], dtype=np.uint64)
_MIX, _SHIFT = np.uint64(0x9E3779B97F4A7C15), np.uint64(33)  # Fibonacci hashing: the upper bits are the good ones


def word_keys(alphabet: Alphabet, words: Sequence[str]) -> NDArray[np.int64]:
    """int64 [W]: under which key the words are known, whatever their case."""
    text, begin, end = _spread(alphabet, words)
    return _keys(text, begin, end)


def word_rows(alphabet: Alphabet, known: NDArray[np.int64], words: Sequence[str]) -> NDArray[np.int32]:
    """int32 [W, FEATURES]: the rows of each word; the last column counts from WORD_ROWS on. O(characters).

    known: int64 [V], sorted: keys of the known words.
    """
    text, begin, end = _spread(alphabet, words)
    shape = _shapes(text, begin, end)
    stretches = {
        "spelling": _keys(text, begin, end, shape),
        "first 3": _keys(text, begin, np.minimum(begin + 3, end)),
        **{f"last {size}": _keys(text, np.maximum(end - size, begin), end) for size in (2, 3, 4)},
    }
    columns, before = [], 0
    for name, rows in HASHED.items():
        mixed = (stretches[name].view(np.uint64) * _MIX) >> _SHIFT
        columns.append((mixed % np.uint64(rows)).astype(np.int64) + before)
        before += rows
    columns.append(_make(text, begin, end, shape) + before)
    columns.append(lexicon_codes(text, begin, end) + before + MAKE)
    columns.append(_known(known, _keys(text, begin, end)) + WORD_ROWS)
    return np.stack(columns, axis=1).astype(np.int32)


def _spread(alphabet: Alphabet, words: Sequence[str]) -> tuple[Text, NDArray[np.int64], NDArray[np.int64]]:
    """All words end to end, and where each begins and ends."""
    length = np.array([len(word) for word in words], dtype=np.int64)
    text = Text.of(alphabet, "", codes_of("".join(words)))
    end = text.tail + np.cumsum(length)
    return text, end - length, end


def _keys(
    text: Text, begin: NDArray[np.int64], end: NDArray[np.int64], shape: NDArray[np.int64] | int = WHATEVER
) -> NDArray[np.int64]:
    bare = text.keys(begin, end).view(np.uint64) - np.uint64(SHAPE_SALT[ANY])
    return (bare + _SALT[shape]).view(np.int64)


def _shapes(text: Text, begin: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.int64]:
    uppers, letters, digits = (text.count(name, begin, end) for name in ("upper", "letter", "digit"))
    shape = np.full(len(begin), CAPITAL)
    shape[(uppers == letters) & (letters > 1)] = UPPERCASE
    shape[uppers == 0] = LOWERCASE
    shape[digits > 0] = MIXED
    bare = letters == 0
    shape[bare] = np.where(digits[bare] > 0, NUMERIC, SYMBOLIC)
    return shape


def _make(text: Text, begin: NDArray[np.int64], end: NDArray[np.int64], shape: NDArray[np.int64]) -> NDArray[np.int64]:
    digits = text.count("digit", begin, end)
    marks = (end - begin) - text.count("letter", begin, end) - digits
    numbers = (
        (shape, 8),
        (np.minimum(end - begin, 8) - 1, 8),
        (np.minimum(digits, 4), 5),
        (np.minimum(marks, 1), 2),
        (text.alphanumeric[begin], 2),
    )
    code = np.zeros(len(begin), dtype=np.int64)
    for number, size in numbers:
        code = code * size + number
    return code


def _known(known: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """1 + the place among the known words, 0 for a word that is not known."""
    if not len(known):
        return np.zeros(len(wanted), dtype=np.int64)
    place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.where(known[place] == wanted, place + 1, 0)
