"""Batches: rows of N pieces cut from the documents of a split, with the context that a model is told about them.

Training packs the documents of an epoch, in shuffled order, into one stream, and cuts it into rows; evaluation gives
each document rows of its own. In both, a document's end piece is predicted but never read, and begin is read but never
predicted: every place that holds a piece has a target. Letters: B rows, N pieces of a row.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.bonds import bond_lists
from model.columns import Split
from model.context import NO_TAG, Context
from model.facts import piece_facts

NO_TARGET = -100
"""What `torch.nn.functional.cross_entropy` leaves out."""


class Batch(NamedTuple):
    """What one step of a model reads, and what it should have said."""

    ids: Tensor
    """int64 [B,N]; 0 at padding."""
    targets: Tensor
    """int64 [B,N]: the next piece of the same document; NO_TARGET at padding."""
    context: Context

    def to(self, device: torch.device | str) -> "Batch":
        return Batch(self.ids.to(device), self.targets.to(device), self.context.to(device))


def gather(split: Split, document_BN: NDArray[np.int64], position_BN: NDArray[np.int64]) -> Batch:
    """The batch whose place (b, n) is piece `position` of document `document` of the split; -1 is padding.

    Neighbouring places of one document hold neighbouring pieces; none holds a document's last piece.
    """
    valid, source = document_BN >= 0, _source(split, document_BN, position_BN)
    targets = np.where(valid, split.columns["pieces"][np.where(valid, source + 1, 0)], NO_TARGET)
    ids, context = read_places(split, document_BN, position_BN)
    return Batch(ids, torch.from_numpy(targets.astype(np.int64)), context)


def read_places(split: Split, document_BN: NDArray[np.int64], position_BN: NDArray[np.int64]) -> tuple[Tensor, Context]:
    """Ids int64 [B,N] and the context of the pieces named as for `gather`; last pieces may be among them."""
    valid, source = document_BN >= 0, _source(split, document_BN, position_BN)

    def column(name: str, padding: int) -> NDArray[np.int64]:
        return np.where(valid, split.columns[name][source], padding).astype(np.int64)

    place = np.arange(document_BN.shape[1])
    begins = np.diff(document_BN, axis=1, prepend=-2) != 0
    sequence_start = np.maximum.accumulate(np.where(begins, place, 0), axis=1)
    sentence_start = np.maximum(place - position_BN + column("sentence_start", 0), sequence_start)
    context = Context(
        document=torch.from_numpy(document_BN),
        sentence_start=torch.from_numpy(np.where(valid, sentence_start, place)),
        first_word=torch.from_numpy(column("first_word", -1)),
        last_word=torch.from_numpy(column("last_word", -1)),
        closed_word=torch.from_numpy(column("closed_word", 0)),
        input_tag=torch.from_numpy(column("input_tag", NO_TAG)),
        key_tag=torch.from_numpy(column("key_tag", NO_TAG)),
        causal=split.causal,
        bonds=bond_lists(split, document_BN, position_BN),
        facts=piece_facts(split, document_BN, source),
    )
    return torch.from_numpy(column("pieces", 0)), context


def _source(split: Split, document_BN: NDArray[np.int64], position_BN: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where the places lie in the split's columns; 0 for padding."""
    return np.where(document_BN >= 0, split.offset[document_BN] + position_BN, 0)


@dataclass(frozen=True, slots=True)
class EpochPlan:
    """How one epoch goes through a split."""

    documents: NDArray[np.int64]
    """Documents in the order of the stream."""
    ends: NDArray[np.int64]
    """[D]: where each ends in the stream."""
    shift: int
    """Padding before the stream, so that each epoch cuts a document at other places."""
    order: NDArray[np.int64]
    """Rows of the stream in the order of training: neighbours of one document are seldom in one batch."""


class Stock(Protocol):
    """Documents that an epoch goes through: a split in memory, or one on disk (model.reader)."""

    @property
    def documents(self) -> tuple[str, ...]: ...

    def pieces(self) -> NDArray[np.int64]:
        """[D]: number of pieces of each document."""


def epoch_plan(split: Stock, epoch: int, *, length: int, seed: int) -> EpochPlan:
    """What a seed decides for one epoch."""
    random = np.random.default_rng([seed, epoch])
    documents = random.permutation(len(split.documents))
    ends = np.cumsum(split.pieces()[documents] - 1)
    shift = int(random.integers(length))
    return EpochPlan(documents, ends, shift, random.permutation(-(-(int(ends[-1]) + shift) // length)))


class TrainingRows:
    """Endless batches under a seed. Each epoch reads every piece once; a batch may reach into the next epoch.

    Its settings and `state()` alone decide what it will give, so a resumed run sees what it would have seen.
    """

    def __init__(self, split: Split, *, rows: int, length: int, seed: int, rank: int = 0, world: int = 1) -> None:
        """rank, world: this process reads the rank-th part of `rows` of every `rows * world` rows of the stream."""
        if not split.documents:
            raise ValueError("the cache holds no training documents; add text, or files whose names say -train")
        self.split, self.rows, self.length, self.seed = split, rows, length, seed
        self.rank, self.world = rank, world
        self.epoch = self.position = 0
        self._plan = epoch_plan(split, 0, length=length, seed=seed)

    def state(self) -> dict[str, int]:
        """The epoch and the next row of it."""
        return {"epoch": self.epoch, "position": self.position}

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from a `state()`."""
        self.epoch, self.position = int(state["epoch"]), int(state["position"])
        self._plan = epoch_plan(self.split, self.epoch, length=self.length, seed=self.seed)

    def next(self) -> Batch:
        """The next batch, always of as many rows."""
        parts: list[NDArray[np.int64]] = []
        wanted = self.rows * self.world
        while wanted:
            if self.position == len(self._plan.order):
                self.resume({"epoch": self.epoch + 1, "position": 0})
            taken = self._plan.order[self.position : self.position + wanted]
            self.position += len(taken)
            wanted -= len(taken)
            parts.append(np.stack(self._places(taken)))
        mine = slice(self.rank * self.rows, (self.rank + 1) * self.rows)
        document_BN, position_BN = np.concatenate(parts, axis=1)[:, mine]
        return gather(self.split, document_BN, position_BN)

    def _places(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """document [B,N] and position [B,N] of the places of these rows of the epoch's stream."""
        plan = self._plan
        stream = rows[:, None] * self.length + np.arange(self.length) - plan.shift
        inside = (stream >= 0) & (stream < plan.ends[-1])
        which = np.searchsorted(plan.ends, np.where(inside, stream, 0), side="right")
        begins = np.concatenate([[0], plan.ends[:-1]])[which]
        return np.where(inside, plan.documents[which], -1), np.where(inside, stream - begins, 0)


def evaluation_batches(split: Split, *, rows: int, length: int, pieces: int | None = None) -> Iterator[Batch]:
    """Batches in which every piece of every document but begin is a target exactly once.

    A document is cut into rows of `length` pieces from its beginning, so a row's first pieces have little context.
    Rows of like size go together, and a batch is as wide as its widest. pieces: about how many to read at most, spread
    evenly over the split; None reads all.
    """
    for document_BN, position_BN in evaluation_places(split, rows=rows, length=length, pieces=pieces):
        yield gather(split, document_BN, position_BN)


def evaluation_places(
    split: Split, *, rows: int, length: int, pieces: int | None = None
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """document [B,N] and position [B,N] of the places of each batch of `evaluation_batches`."""
    readable = split.pieces() - 1
    cuts = -(-readable // length)
    document = np.repeat(np.arange(len(readable)), cuts)
    start = (np.arange(len(document)) - np.repeat(np.cumsum(cuts) - cuts, cuts)) * length
    width = np.minimum(readable[document] - start, length)
    if pieces is not None and width.sum() > pieces:
        # Every so-many-th row; max: one row at least.
        chosen = np.linspace(0, len(width) - 1, max(1, len(width) * pieces // int(width.sum()))).astype(np.int64)
        document, start, width = document[chosen], start[chosen], width[chosen]
    by_width = np.argsort(-width, kind="stable")
    for batch in np.split(by_width, np.arange(rows, len(by_width), rows)):
        if len(batch):
            place = np.arange(width[batch].max())
            inside = place < width[batch][:, None]
            position = np.where(inside, start[batch][:, None] + place, 0)
            yield np.where(inside, document[batch][:, None], -1), position
