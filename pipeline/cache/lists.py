"""Sparse bonds for pieces: of each word of a document, the words that it may attend, as compressed sparse rows.

A model reads pieces, bonds join words, and both meet through `first_word` and `last_word`: the keys of a query piece
are all pieces of the key words. So the pieces layer holds lists of words; pairs of pieces, many times as many, are
nowhere stored. A block holds the lists of every word that a query in it may ask for, those of words that closed before
the block included: it can be read alone.

    causal    a query asks for the last word that is closed at it; only keys before that word are listed
    whole     a query asks for its own last word; keys stand on either side
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.cache.layout import Cache
from pipeline.cache.read import read_bonds, read_words
from pipeline.records import Bonds, Words

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class WordLists:
    """Bonds of one document of W words, by query."""

    begin: Ints
    """[W + 1]: where each word's bonds begin in the columns, and where the last end."""
    back: NDArray[np.int32]
    """[E]: words from the key on to the query; negative where the key stands after it. Sorted by key in each list."""
    kind: NDArray[np.uint8]
    """[E]: position in pipeline.records.KINDS."""

    def __len__(self) -> int:
        return len(self.begin) - 1

    def of_words(self, first: Ints, stop: Ints) -> dict[str, pa.Array]:
        """The lists of the words [first, stop) of each block, as list columns of the pieces layer."""
        # The words of neighbouring blocks overlap, so that rows are gathered; they climb, so each block's are a slice.
        words = np.concatenate([np.arange(one, end) for one, end in zip(first, stop, strict=True)])
        begin, end = self.begin[words], self.begin[words + 1]
        size = end - begin
        bonds = np.repeat(begin - np.cumsum(size) + size, size) + np.arange(size.sum())
        word_offsets = np.concatenate([[0], np.cumsum(stop - first)])
        bond_offsets = np.concatenate([[0], np.cumsum(size)])[word_offsets]
        return {
            "bond_count": _lists(word_offsets, size.astype(np.int32)),
            "bond_step": _lists(bond_offsets, steps(self.back[bonds])),
            "bond_kind": _lists(bond_offsets, self.kind[bonds]),
        }


def steps(back: NDArray[np.int32]) -> NDArray[np.int32]:
    """Numbers of both signs to positive ones, the near ones small: three of their four bytes are then nearly always 0,
    which halves what they cost on disk. 1, -1, 2, -2 become 1, 2, 3, 4."""
    return 2 * np.abs(back) - (back > 0)


def backs(step: NDArray[np.int32]) -> NDArray[np.int32]:
    """The numbers that `steps` was given."""
    return np.where(step & 1, (step + 1) >> 1, -(step >> 1))


def _lists(offsets: Ints, values: NDArray[np.generic]) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), pa.array(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentWords:
    """The words of one document, as far as pieces need them [W]."""

    start: NDArray[np.int32]
    """Characters."""
    end: NDArray[np.int32]
    sentence: NDArray[np.int32]
    upos: NDArray[np.uint8]
    lists: WordLists


def document_words(words: Words, bonds: Bonds, *, causal: bool) -> Iterator[tuple[str, DocumentWords]]:
    """(id, words) of the documents of a row group, in their order. causal: without keys after the query."""
    back = bonds.query - bonds.key
    if causal:
        kept = back > 0
        bonds = Bonds(query=bonds.query[kept], key=bonds.key[kept], kind=bonds.kind[kept], rule=bonds.rule.take(kept))
        back = back[kept]
    ends = np.searchsorted(words.document, np.arange(len(words.documents)), side="right")
    for name, first, stop in zip(words.documents, [0, *ends[:-1].tolist()], ends.tolist(), strict=True):
        # Bonds are sorted by query, hence by document.
        begin = np.searchsorted(bonds.query, np.arange(first, stop + 1))
        part = slice(begin[0], begin[-1])
        lists = WordLists(begin=begin - begin[0], back=back[part].astype(np.int32), kind=bonds.kind[part])
        columns = {column: getattr(words, column)[first:stop] for column in ("start", "end", "sentence", "upos")}
        yield name, DocumentWords(**columns, lists=lists)


def read_document_words(
    cache: Cache, shard: int, words: str, bonds: str, *, causal: bool
) -> Iterator[tuple[str, DocumentWords]]:
    """The same for a whole shard, a row group at a time; documents without words are not among them.

    words, bonds: paths of the layers.
    """
    groups = zip(read_words(cache, shard, words), read_bonds(cache, shard, bonds), strict=True)
    return (each for some, theirs in groups for each in document_words(some, theirs, causal=causal))


class ParsedInOrder:
    """The words of a shard's documents, asked for in the order of the shard: one row group is in memory."""

    def __init__(self, cache: Cache, shard: int, words: str, bonds: str, *, causal: bool) -> None:
        sidecar = cache.sidecar(words, shard)
        self._failed = sidecar.quarantined if sidecar else {}
        self._rest = read_document_words(cache, shard, words, bonds, causal=causal)
        self._next = next(self._rest, None)

    def of(self, document: str) -> DocumentWords:
        """Errors: ValueError for a document that could not be parsed."""
        if document in self._failed:
            raise ValueError(f"has no words: {self._failed[document]}")
        if self._next is None or self._next[0] != document:  # a document without words left no row
            return no_document_words()
        found = self._next[1]
        self._next = next(self._rest, None)
        return found


def no_document_words() -> DocumentWords:
    """Of a document that holds none."""
    none, tags = np.empty(0, np.int32), np.empty(0, np.uint8)
    lists = WordLists(begin=np.zeros(1, np.int64), back=none, kind=tags)
    return DocumentWords(start=none, end=none, sentence=none, upos=tags, lists=lists)
