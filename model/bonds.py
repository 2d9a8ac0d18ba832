"""The bonds of a split's words in memory, and the lists of keys that they give to pieces.

A causal query has the bonds of the last word that is closed at it, a query of a model that reads the whole input those
of its own last word (pipeline.cache.lists). Letters: B rows, N pieces of a row, D documents, W words, E bonds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from model.context import BondLists
from model.reader.documents import open_documents
from model.reader.lists import Lists, WordBonds, piece_lists, word_bonds
from pipeline.cache.lists import WordLists

if TYPE_CHECKING:
    from pathlib import Path

    from model.columns import Split

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitBonds:
    """Lists of the words of D documents, one after another."""

    first_word: Ints
    """[D + 1]: where each document's words begin in `begin`; a document has one entry more than it has words."""
    begin: Ints
    """[W + D]: where each word's bonds begin; the entry after a document's last word says where they end."""
    back: NDArray[np.int32]
    """[E]: words from the key on to the query."""
    kind: NDArray[np.uint8]
    """[E]: position in pipeline.records.KINDS."""

    @classmethod
    def of(cls, documents: Sequence[WordLists]) -> "SplitBonds":
        """Of documents in the order of their split."""
        bonds = np.cumsum([0, *(len(each.back) for each in documents)])
        begins = [each.begin + before for each, before in zip(documents, bonds, strict=False)]
        return cls(
            first_word=np.cumsum([0, *(len(each.begin) for each in documents)]),
            begin=np.concatenate([np.empty(0, np.int64), *begins]),
            back=np.concatenate([np.empty(0, np.int32), *(each.back for each in documents)]),
            kind=np.concatenate([np.empty(0, np.uint8), *(each.kind for each in documents)]),
        )

    def lists(self) -> WordLists:
        """Those of a split of one document."""
        return WordLists(begin=self.begin, back=self.back, kind=self.kind)

    def document(self, number: int) -> "SplitBonds":
        """Those of one document."""
        first, stop = self.first_word[number : number + 2].tolist()
        begin = self.begin[first:stop]
        part = slice(int(begin[0]), int(begin[-1]))
        return SplitBonds(
            first_word=np.array([0, stop - first]), begin=begin - begin[0], back=self.back[part], kind=self.kind[part]
        )

    def of_words(self, document: int, first: int, stop: int) -> WordBonds:
        """The lists of the words [first, stop) of a document."""
        at = int(self.first_word[document])
        begin = self.begin[at + first : at + max(stop, first) + 1]
        part = slice(int(begin[0]), int(begin[-1]))
        return WordBonds(first, np.diff(begin), self.back[part], self.kind[part])

    def update(self, digest: Any) -> None:
        """Add all of it to a digest."""
        for array in (self.first_word, self.begin, self.back, self.kind):
            digest.update(np.ascontiguousarray(array).data)


def read_split_bonds(cache: "str | Path", split: str) -> SplitBonds:
    """The bonds of a split of the cache's current pieces layer, which has some; documents in the order of their ids.

    Errors: Failure if the layer is damaged.
    """
    documents = open_documents(cache, split)
    found = []
    places = zip(documents.segment.tolist(), documents.first_piece.tolist(), documents.size.tolist(), strict=True)
    for number, first, size in places:
        segment = documents.segments[number]
        closed = segment.columns["closed_word" if documents.causal else "last_word"][first + size - 1]
        words = int(closed) + (not documents.causal)
        blocks = np.searchsorted(segment.offset, (first, first + size - 1), side="right") - 1
        bonds = word_bonds(segment.bonds, range(blocks[0], blocks[1] + 1), 0, words)
        begin = np.concatenate([[0], np.cumsum(bonds.size)])
        found.append(WordLists(begin=begin, back=bonds.back, kind=bonds.kind))
    return SplitBonds.of(found)


def bond_lists(split: "Split", document_BN: Ints, position_BN: Ints) -> BondLists | None:
    """Lists of the pieces at these places, as for `model.batches.gather`; None if the split holds no bonds."""
    if split.bonds is None:
        return None
    B, N = document_BN.shape
    begin_BN, end_BN = np.zeros((B, N), np.int32), np.zeros((B, N), np.int32)
    keys, kinds = [np.empty(0, np.int32)], [np.empty(0, np.uint8)]
    before = 0
    for row in range(B):
        begin_BN[row] = end_BN[row] = before
        for first, stop in stretches(document_BN[row]):
            document, position = int(document_BN[row, first]), int(position_BN[row, first])
            lists = _of_run(split, document, position, stop - first)
            begin_BN[row, first:stop], end_BN[row, first:stop] = lists.begin + before, lists.end + before
            keys.append(lists.key + np.int32(first))
            kinds.append(lists.kind)
            before += len(lists.key)
            begin_BN[row, stop:] = end_BN[row, stop:] = before  # of padding: nothing, but never decreasing
    parts = (begin_BN, end_BN, np.concatenate(keys), np.concatenate(kinds))
    return BondLists(*(torch.from_numpy(part) for part in parts))


def _of_run(split: "Split", document: int, position: int, size: int) -> Lists:
    """Lists of neighbouring pieces of one document, keys counted from the first of them."""
    assert split.bonds is not None
    at = int(split.offset[document]) + position
    columns = {name: split.columns[name][at : at + size] for name in ("first_word", "last_word", "closed_word")}
    query = columns["closed_word"] - 1 if split.causal else columns["last_word"]
    bonds = split.bonds.of_words(document, max(int(query[0]), 0), int(query[-1]) + 1)
    return piece_lists(bonds, query, columns["first_word"], columns["last_word"])


def stretches(document_N: Ints) -> list[tuple[int, int]]:
    """Begin and end of the stretches of a row that hold pieces of one document."""
    cuts = [0, *(np.flatnonzero(np.diff(document_N)) + 1).tolist(), len(document_N)]
    return [(first, stop) for first, stop in pairwise(cuts) if document_N[first] >= 0]
