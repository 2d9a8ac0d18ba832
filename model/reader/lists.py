"""Bonds of words to keys of pieces: compressed sparse rows, and the blocks that they touch. Never an N×N array.

All queries of a word have the same keys, so its row is stored once and every query says where it begins and ends:
half as many numbers as with a row a query, and as quick to walk. Letters: N pieces, W words that are asked for, B their
bonds, E keys.
"""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.reader.mapped import SegmentBonds
from pipeline.records import KINDS

Ints = NDArray[np.int32]


class Lists(NamedTuple):
    """Keys of N queries; those of query t are `key[begin[t]:end[t]]`, where begin and end never decrease."""

    begin: Ints
    """int32 [N]"""
    end: Ints
    """int32 [N]"""
    key: Ints
    """int32 [E]: place of a piece in the sequence. A pair stands once for each bond that joins it: twice where two
    kinds do, or where the key piece belongs to two words that the query may see."""
    kind: NDArray[np.uint8]
    """uint8 [E]: position in pipeline.records.KINDS."""

    def rows(self) -> tuple[Ints, Ints, NDArray[np.uint8]]:
        """The same with a row a query: indptr [N + 1], key and kind of every pair."""
        size = self.end - self.begin
        indptr = np.concatenate([[0], np.cumsum(size)]).astype(np.int32)
        place = np.arange(indptr[-1]) + np.repeat(self.begin - indptr[:-1], size)
        return indptr, self.key[place], self.kind[place]


class Blocks(NamedTuple):
    """Which blocks of `width` keys a block of `width` queries sees: `key[begin[q]:begin[q + 1]]`, ascending."""

    begin: Ints
    """int32 [Q + 1]"""
    key: Ints
    """int32 [K]: number of a block of keys."""


class WordBonds(NamedTuple):
    """Bonds of the words [first, first + W) of a document, word after word."""

    first: int
    size: NDArray[np.int64]
    """[W]"""
    back: Ints
    """[B]: words from the key on to the query."""
    kind: NDArray[np.uint8]


def word_bonds(bonds: SegmentBonds, blocks: range, first: int, stop: int) -> WordBonds:
    """The lists of the words [first, stop), as the blocks hold them; empty where none does. O(their bonds)."""
    counts, backs, kinds, word = [], [], [], first
    for block in blocks:
        listed, offset = int(bonds.first_listed[block]), int(bonds.offset[block])
        if word < min(listed, stop):  # one piece of several words: only its last one is anybody's query, or listed
            counts.append(np.zeros(min(listed, stop) - word, np.int64))
            word = min(listed, stop)
        end = min(stop, listed + int(bonds.offset[block + 1]) - offset - 1)
        if end > word:
            begin = bonds.begin[offset + word - listed : offset + end - listed + 1]
            counts.append(np.diff(begin))
            backs.append(bonds.back[begin[0] : begin[-1]])
            kinds.append(bonds.kind[begin[0] : begin[-1]])
            word = end
    assert word >= stop, "every word that a piece asks for is listed in a block of its pieces"
    return WordBonds(first, _joined(counts, np.int64), _joined(backs, np.int32), _joined(kinds, np.uint8))


def _joined(parts: Sequence[NDArray[Any]], dtype: type[np.integer]) -> NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, dtype), *parts])


def piece_lists(bonds: WordBonds, query_word: Ints, first_word: Ints, last_word: Ints) -> Lists:
    """Lists of n neighbouring pieces of a document; keys count from the first of them, and others are left out.

    query_word: int32 [n], never decreasing: the word whose bonds each piece has, -1 for none yet; first_word,
    last_word: as in the pieces layer, never decreasing. O(n + B + E).
    """
    words = len(bonds.size)
    place = query_word - bonds.first
    # A word that closed together with a later one is nobody's query: its bonds are not expanded.
    asked = np.zeros(words, bool)
    asked[place[np.searchsorted(place, 0) :]] = True
    low, size = _pieces_of_words(first_word, last_word)
    base = max(int(first_word[0]), 0)
    word = np.repeat(np.arange(bonds.first - base, bonds.first - base + words, dtype=np.int32), bonds.size)
    key = word - bonds.back
    out = len(size) - 1  # the last entry: a word without pieces here
    # A negative number, seen without its sign, is a very large one: one comparison for both ends.
    key = np.where(key.view(np.uint32) < out, key, out)
    if not asked.all():
        key = np.where(asked[word + (base - bonds.first)], key, out)
    count = size[key]
    ends = np.concatenate([[0], np.cumsum(count)])
    begins = ends[np.concatenate([[0, 0], np.cumsum(bonds.size)])]  # [W + 2]: entry 0 is of queries without a word
    total = int(ends[-1])
    pieces = np.arange(total, dtype=np.int32) + np.repeat((low[key] - ends[:-1]).astype(np.int32), count)
    row = np.maximum(place, -1) + 1
    return Lists(
        begin=begins[row].astype(np.int32),
        end=begins[np.minimum(row + 1, words + 1)].astype(np.int32),
        key=pieces,
        kind=np.repeat(bonds.kind, count),
    )


def _pieces_of_words(first_word: Ints, last_word: Ints) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First piece and number of pieces of each word from first_word[0] (or 0) to last_word[-1]; a last entry is none.

    A word's pieces are those between whose first and last word it is.
    """
    base, stop = max(int(first_word[0]), 0), int(last_word[-1]) + 1
    words = np.arange(base, max(stop, base))
    low = np.searchsorted(last_word, words)
    size = np.searchsorted(first_word, words, side="right") - low
    return np.append(low, 0), np.append(np.maximum(size, 0), 0)


def block_lists(lists: Lists, kinds: Collection[str] = KINDS, width: int = 128) -> Blocks:
    """The blocks of queries and keys that hold a visible pair of one of the kinds. O(N + E), one small loop a block."""
    kept = np.isin(lists.kind, [KINDS.index(kind) for kind in kinds])
    before = np.concatenate([[0], np.cumsum(kept)])
    key = lists.key[kept] // width
    firsts = np.arange(0, len(lists.begin), width)
    lasts = np.minimum(firsts + width, len(lists.begin)) - 1
    # Rows lie in the order of their queries, and only rows that are asked for are there: a block's keys are a slice.
    begin, end = before[lists.begin[firsts]].tolist(), before[lists.end[lasts]].tolist()
    seen = [_distinct(key[one:two]) for one, two in zip(begin, end, strict=True)]
    sizes = [len(each) for each in seen]
    return Blocks(np.cumsum([0, *sizes]).astype(np.int32), np.concatenate([np.empty(0, np.int32), *seen]))


def _distinct(block: Ints) -> Ints:
    """The distinct values, sorted."""
    if not len(block):
        return block
    low = int(block.min())
    return (np.flatnonzero(np.bincount(block - low)) + low).astype(np.int32)
