"""Tags permuted by word type: every type has one tag, often the wrong one, and tags are nearly as frequent as before.

The type of a word so far is the tuple of its pieces up to this one; a whole word's is that of its last. Tags keep what
they say of a word's identity and lose what they say of grammar: the word before has another word's part of speech.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lexicons.upos import UPOS
from model.columns import Split
from model.context import NO_TAG
from model.controls.words import Change, Columns, all_columns, words_of
from pipeline.chance import mix

BAND = 64
"""Types are ranked by frequency, and within bands of ranks 0-1, 2-5, 6-13 … up to BAND neighbours each gets the tag of
another one: a type's donor is at most about twice as frequent, so the shares of the tags stay about as they were. Equal
bands of 64 would not do: the first 64 types are near half of a text, and the first alone a twentieth."""

MULTIPLIER = 0xD1342543DE82EF95
"""Of the rolling hash; odd, so that its powers modulo 2**64 have inverses (Steele and Vigna 2021)."""


class Tags(NamedTuple):
    """What the types of the training split are told, and what the others draw from."""

    types: NDArray[np.uint64]
    """[T] hashes, sorted."""
    given: NDArray[np.uint8]
    """[T]; NO_TAG where the training split knows the type only in the other part (so far, whole)."""
    shares: NDArray[np.int64]
    """[tags]: running sum of how many training pieces have each tag."""

    def of(self, types: NDArray[np.uint64]) -> NDArray[np.uint8]:
        """The tags of some types; a type that training does not know draws one by its hash."""
        place = np.minimum(np.searchsorted(self.types, types), len(self.types) - 1)
        tag = np.where(self.types[place] == types, self.given[place], NO_TAG)
        drawn = np.searchsorted(self.shares, mix(types) % np.uint64(self.shares[-1]), side="right")
        return np.where(tag == NO_TAG, drawn, tag).astype(np.uint8)


def permuted_tags(train: Split) -> Change:
    """The change of both tags: of `input_tag` a function of the string so far, of `key_tag` of the whole word."""
    return partial(_permuted, *tables(train))


def _permuted(so_far: Tags, whole: Tags, _seed: int, columns: Columns) -> dict[str, NDArray[np.uint8]]:
    types = types_so_far(columns)
    found = {"input_tag": so_far.of(types), "key_tag": whole.of(types[word_ends(columns)])}
    return {name: np.where(columns[name] == NO_TAG, columns[name], tag) for name, tag in found.items()}


def types_so_far(columns: Columns) -> NDArray[np.uint64]:
    """uint64 [N]: hash of the pieces of last_word up to each piece.

    h[t] = h[t - 1] * m + mix(piece), from 0 where a new word begins; here all at once: with g[t] the sum of
    mix(piece) * m**-s over s <= t, h[t] is (g[t] - g[before the word]) * m**t, exact modulo 2**64.
    """
    number = len(columns["pieces"])
    power = np.full(number, MULTIPLIER, np.uint64).cumprod()
    inverse = np.full(number, pow(MULTIPLIER, -1, 2**64), np.uint64).cumprod()
    total = np.concatenate([np.zeros(1, np.uint64), (_letters(columns) * inverse).cumsum()])
    begins = np.diff(columns["last_word"], prepend=-2) != 0
    first = np.maximum.accumulate(np.where(begins, np.arange(number), 0))
    made: NDArray[np.uint64] = (total[1:] - total[first]) * power
    return made


def word_ends(columns: Columns) -> NDArray[np.int64]:
    """int64 [N]: the last piece with a character of each piece's last_word; 0 before any word."""
    end = np.zeros(words_of(columns) + 1, np.int64)  # the last entry: of no word
    holds = np.flatnonzero(columns["input_tag"] != NO_TAG)
    end[columns["last_word"][holds]] = holds  # of a word's pieces the last one stays
    return end[columns["last_word"]]


def tables(train: Split) -> tuple[Tags, Tags]:
    """Tags of the types so far and of whole types.

    A type's tag is its most frequent one. Types that are whole words somewhere change places among themselves, both
    tags together, so that a word told as a query agrees with the same word told as a key; so do the others.
    """
    so_far = [np.empty(0, np.uint64), *(types_so_far(columns) for columns in all_columns(train))]
    ends = [word_ends(columns) + begin for columns, begin in zip(all_columns(train), train.offset, strict=False)]
    input_tag, key_tag = train.columns["input_tag"], train.columns["key_tag"]
    told = np.flatnonzero(input_tag != NO_TAG)
    types, place = np.unique(np.concatenate(so_far)[told], return_inverse=True)
    if not len(types):
        nothing = Tags(np.zeros(1, np.uint64), np.full(1, NO_TAG, np.uint8), np.arange(1, len(UPOS) + 1))
        return nothing, nothing
    place_of = np.full(len(input_tag), -1)
    place_of[told] = place
    whole = place_of[np.concatenate(ends)]
    closed = np.flatnonzero((key_tag != NO_TAG) & (whole >= 0))
    counts = _counts(place, input_tag[told], len(types)), _counts(whole[closed], key_tag[closed], len(types))
    donor = np.arange(len(types))
    for group in (np.flatnonzero(counts[1].any(1)), np.flatnonzero(~counts[1].any(1))):
        donor[group] = group[permutation(counts[0][group].sum(1), types[group])]
    return _tags(types, counts[0], donor), _tags(types, counts[1], donor)


def permutation(frequency: NDArray[np.int64], types: NDArray[np.uint64]) -> NDArray[np.int64]:
    """int64 [T]: whose tag each type gets, one to one; another one of its band, in a single circle."""
    rank = np.arange(len(types))
    band = np.where(rank < 2 * BAND - 2, np.log2(rank + 2).astype(np.int64), BAND + (rank + 2) // BAND)
    ranked = np.lexsort((types, -frequency))
    circle = ranked[np.lexsort((mix(~types[ranked]), band))]
    begin = np.searchsorted(band, band)  # of the band
    last = np.append(band[1:] != band[:-1], True)[: len(band)]
    donor = np.empty(len(types), np.int64)
    donor[circle] = circle[np.where(last, begin, rank + 1)]
    return donor


def types_so_far_slow(columns: Columns) -> list[int]:
    """The rolling hash, piece by piece."""
    found, word, state = list[int](), -2, 0
    for last, letter in zip(columns["last_word"].tolist(), _letters(columns).tolist(), strict=True):
        word, state = last, 0 if last != word else state
        state = (state * MULTIPLIER + letter) % 2**64
        found.append(state)
    return found


def _letters(columns: Columns) -> NDArray[np.uint64]:
    return mix(columns["pieces"].astype(np.uint64) + np.uint64(1))


def _counts(place: NDArray[np.int64], tag: NDArray[np.uint8], types: int) -> NDArray[np.int64]:
    """int64 [T, tags]: how often each type has each tag."""
    return np.bincount(place * len(UPOS) + tag, minlength=types * len(UPOS)).reshape(types, len(UPOS))


def _tags(types: NDArray[np.uint64], counts: NDArray[np.int64], donor: NDArray[np.int64]) -> Tags:
    likely = np.where(counts.any(1), counts.argmax(1), NO_TAG).astype(np.uint8)
    shares = counts.sum(0).cumsum()
    return Tags(types, likely[donor], shares if shares[-1] else np.arange(1, len(UPOS) + 1))
