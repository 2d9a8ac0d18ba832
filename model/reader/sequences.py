"""One sequence of N pieces: ids, targets, attributes, and the keys that bonds give each piece.

An epoch is one stream of all documents of the split, in shuffled order, cut into rows of N places (model.batches says
how; ids, targets and attributes are the same as there). A document's end piece is predicted but never read, begin is
read but never predicted. Any row of any epoch is found at once, by its number.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.batches import NO_TARGET, EpochPlan, epoch_plan
from model.context import NO_TAG
from model.reader.documents import Documents, open_documents
from model.reader.lists import Lists, piece_lists, word_bonds
from model.reader.mapped import Segment
from pipeline.errors import Failure

PADDING = {"first_word": -1, "last_word": -1, "closed_word": 0, "input_tag": NO_TAG, "key_tag": NO_TAG}
"""Attributes of places without a piece."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence:
    """N places. All arrays have an entry a place; what counts places counts from the sequence's first."""

    ids: NDArray[np.int32]
    """0 at padding."""
    targets: NDArray[np.int32]
    """The next piece of the same document; NO_TARGET at padding."""
    document: NDArray[np.int32]
    """Whose piece it is, by number in the split; -1 at padding."""
    sentence_start: NDArray[np.int32]
    """Place where its sentence begins, as known at the piece; not before its document or crop of it."""
    first_word: NDArray[np.int32]
    last_word: NDArray[np.int32]
    closed_word: NDArray[np.int32]
    input_tag: NDArray[np.uint8]
    key_tag: NDArray[np.uint8]
    lists: Lists
    """Keys by bonds; none where the layer has no bonds."""


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring pieces of a document in a sequence."""

    place: int
    """Of the first in the sequence."""
    document: int
    first: int
    """Piece of the document."""
    size: int


class Sequences:
    """All sequences of a split under a seed. Travels to worker processes as its settings; each maps the files."""

    def __init__(self, folder: str | Path, split: str = "train", *, length: int, seed: int = 0) -> None:
        """Errors: ValueError if there is nothing to read, or a length below 1; Failure for a damaged cache."""
        if length < 1:
            raise ValueError(f"length is {length}; give the pieces of a sequence, at least 1")
        self.folder, self.split, self.length, self.seed = Path(folder).absolute(), split, length, seed
        self.documents: Documents = open_documents(self.folder, split)
        if not self.documents.documents:
            raise ValueError(f"the cache holds no documents of the split {split!r}; add text, or choose another split")
        self._plans: dict[int, EpochPlan] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return _opened, (self.folder, self.split, self.length, self.seed, self.documents.digest)

    def rows(self, epoch: int) -> int:
        """How many sequences an epoch has."""
        return len(self._plan(epoch).order)

    def __getitem__(self, place: tuple[int, int]) -> Sequence:
        """The sequence at (epoch, position in the epoch's order)."""
        epoch, position = place
        plan = self._plan(epoch)
        return self.read(list(self._runs(plan, int(plan.order[position]))))

    def read(self, runs: list[Run]) -> Sequence:
        """Runs put together; they follow one another without overlap."""
        arrays = self._padded()
        begin, end = np.zeros(self.length, np.int32), np.zeros(self.length, np.int32)
        found: list[Lists] = []
        keys = stop = 0
        for run in runs:
            lists = self._read_run(run, arrays)
            begin[stop : run.place] = end[stop : run.place] = keys  # of padding: nothing, but never decreasing
            stop = run.place + run.size
            begin[run.place : stop], end[run.place : stop] = lists.begin + keys, lists.end + keys
            found.append(lists._replace(key=lists.key + np.int32(run.place)))
            keys += len(lists.key)
        begin[stop:] = end[stop:] = keys
        key = np.concatenate([np.empty(0, np.int32), *(each.key for each in found)])
        kind = np.concatenate([np.empty(0, np.uint8), *(each.kind for each in found)])
        return Sequence(**arrays, lists=Lists(begin, end, key, kind))

    def _padded(self) -> dict[str, NDArray[Any]]:
        size = self.length
        tags, words = ("input_tag", "key_tag"), ("first_word", "last_word", "closed_word")
        return {
            "ids": np.zeros(size, np.int32),
            "targets": np.full(size, NO_TARGET, np.int32),
            "document": np.full(size, -1, np.int32),
            "sentence_start": np.arange(size, dtype=np.int32),
            **{name: np.full(size, PADDING[name], np.int32) for name in words},
            **{name: np.full(size, PADDING[name], np.uint8) for name in tags},
        }

    def _read_run(self, run: Run, arrays: dict[str, NDArray[Any]]) -> Lists:
        """Fill the run's places; returns its lists, counted from its own first piece."""
        documents = self.documents
        segment = documents.segments[documents.segment[run.document]]
        first = int(documents.first_piece[run.document]) + run.first
        read, put = slice(first, first + run.size), slice(run.place, run.place + run.size)
        columns = segment.columns
        arrays["ids"][put] = columns["pieces"][read]
        arrays["targets"][put] = columns["pieces"][first + 1 : first + run.size + 1]
        arrays["document"][put] = run.document
        np.maximum(
            columns["sentence_start"][read] + (run.place - run.first), run.place, out=arrays["sentence_start"][put]
        )
        for name in PADDING:
            arrays[name][put] = columns[name][read]
        return self._lists_of(segment, run, read)

    def _lists_of(self, segment: Segment, run: Run, read: slice) -> Lists:
        if not segment.has_bonds:
            none = np.zeros(run.size, np.int32)
            return Lists(none, none, np.empty(0, np.int32), np.empty(0, np.uint8))
        columns, causal = segment.columns, self.documents.causal
        query = columns["closed_word"][read] - 1 if causal else columns["last_word"][read]
        first_block, last_block = np.searchsorted(segment.offset, (read.start, read.stop - 1), side="right") - 1
        blocks = range(first_block, last_block + 1)
        asked = max(int(query[0]), 0), int(query[-1]) + 1
        bonds = word_bonds(segment.bonds, blocks, *asked)
        return piece_lists(bonds, query, columns["first_word"][read], columns["last_word"][read])

    def _plan(self, epoch: int) -> EpochPlan:
        if epoch not in self._plans:
            if len(self._plans) > 1:  # an epoch and the next are all that anyone reads
                del self._plans[min(self._plans)]
            self._plans[epoch] = epoch_plan(self.documents, epoch, length=self.length, seed=self.seed)
        return self._plans[epoch]

    def _runs(self, plan: EpochPlan, row: int) -> Iterator[Run]:
        """The runs of a row of the epoch's stream."""
        place = max(row * self.length - plan.shift, 0)
        stop = min((row + 1) * self.length - plan.shift, int(plan.ends[-1]))
        which = int(np.searchsorted(plan.ends, place, side="right"))
        while place < stop:
            begin = int(plan.ends[which - 1]) if which else 0
            end = min(int(plan.ends[which]), stop)
            if end > place:  # a document without a piece to read has no place
                yield Run(
                    place + plan.shift - row * self.length, int(plan.documents[which]), place - begin, end - place
                )
            place, which = end, which + 1


def _opened(folder: Path, split: str, length: int, seed: int, digest: str) -> Sequences:
    """In a worker. Errors: Failure if the cache has other pieces by now than where the places were counted."""
    found = Sequences(folder, split, length=length, seed=seed)
    if found.documents.digest != digest:
        raise Failure(f"the pieces of {folder} have changed while they were read; open the cache again")
    return found
