"""What WordNet says a word can be, as a number: the parts of speech of its form, and of what may be its base.

The endings are those of WordNet's own morphology (Morphy), for many words at once: a word's base is a stretch of it,
perhaps with a letter put behind, so its hash follows from the text's. The lexicon is hashed once a process.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from lexicons import wordnet
from pipeline.prefix.tables import ANY, BASE, SHAPE_SALT, key_of
from pipeline.prefix.text import Places, Text

PARTS = b"nvap"
NOUN, VERB, ADJECTIVE = 1, 2, 4

BASES: tuple[tuple[int, dict[str, tuple[tuple[int, str], ...]]], ...] = (
    (NOUN, {"s": ((1, ""),), "es": ((2, ""),), "ies": ((3, "y"),)}),
    (VERB, {"s": ((1, ""),), "es": ((2, ""),), "ies": ((3, "y"),)}),
    (VERB, {"ed": ((2, ""), (1, ""), (3, "")), "ied": ((3, "y"),)}),
    (VERB, {"ing": ((3, ""), (3, "e"), (4, ""))}),
    (ADJECTIVE, {"er": ((2, ""), (1, ""), (3, "")), "est": ((3, ""), (2, ""), (4, "")), "ier": ((3, "y"),)}),
    (ADJECTIVE, {"ly": ((2, ""),), "ily": ((3, "y"),)}),
)
"""One bit each: the part of speech, and for each ending what to cut off and what to put behind."""

LONGEST = 64
"""Characters from which a word is no inflected one."""

CODES = 1 << (len(PARTS) + len(BASES))


def lexicon_codes(text: Text, begin: Places, end: Places) -> Places:
    """int64 [k] under CODES: the parts of the stretches [begin, end), then one bit for each of BASES."""
    code = _parts(text.keys(begin, end)).astype(np.int64)
    for number, (part, endings) in enumerate(BASES, start=len(PARTS)):
        for ending, bases in endings.items():
            length = end - begin
            row = np.flatnonzero((length > max(cut for cut, _ in bases)) & (length < LONGEST))
            row = row[text.keys(end[row] - len(ending), end[row]) == key_of(ending, ANY)]
            for cut, put in bases:
                stem = text.keys(begin[row], end[row] - cut)
                if put:
                    value = np.uint64(ord(put) + 1) * _powers()[end[row] - cut - begin[row]]
                    stem = (stem.view(np.uint64) + value).view(np.int64)
                code[row] |= ((_parts(stem) & part) > 0).astype(np.int64) << number
    return code


def _parts(wanted: NDArray[np.int64]) -> NDArray[np.uint8]:
    """uint8, as `wanted`: a bit for each of PARTS; 0 for what WordNet does not have."""
    key, parts = _table()
    place = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
    return np.where(key[place] == wanted, parts[place], np.uint8(0)).astype(np.uint8)


@cache
def _table() -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Keys of all lemmas, sorted, and their parts; some 50 ms."""
    lemmas = wordnet.keys()
    letters = np.frombuffer(lemmas.tobytes(), np.uint8).reshape(len(lemmas), -1)
    length = np.char.str_len(lemmas) - 2  # a slash and the part stand behind
    value = np.zeros(len(lemmas), np.uint64)
    for place in range(letters.shape[1]):
        spelt = (letters[:, place].astype(np.uint64) + np.uint64(1)) * _powers()[place]
        value += np.where(place < length, spelt, np.uint64(0))
    bit = np.zeros(256, np.uint8)
    bit[list(PARTS)] = 1 << np.arange(len(PARTS))
    key, row = np.unique((value + np.uint64(SHAPE_SALT[ANY])).view(np.int64), return_inverse=True)
    parts = np.zeros(len(key), np.uint8)
    np.bitwise_or.at(parts, row, bit[letters[np.arange(len(lemmas)), length + 1]])
    return key, parts


@cache
def _powers() -> NDArray[np.uint64]:
    """Of BASE, for every length that a word can have."""
    factors = np.full(LONGEST, BASE, dtype=np.uint64)
    factors[0] = 1
    return np.multiply.accumulate(factors)
