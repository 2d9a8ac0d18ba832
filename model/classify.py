"""Documents and their classes: batches of whole documents, and how often a model says the right class.

A row is one document, or its beginning if it is longer than a row; the model reads all of it before it answers.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from model.batches import read_places
from model.columns import Split
from model.context import Context
from model.transformer import Decoder
from model.whole import whole_split


class ClassBatch(NamedTuple):
    """B documents."""

    ids: Tensor
    """int64 [B,N]"""
    targets: Tensor
    """int64 [B]: the class of each."""
    context: Context

    def to(self, device: torch.device | str) -> "ClassBatch":
        return ClassBatch(self.ids.to(device), self.targets.to(device), self.context.to(device))


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """The documents of a split that have a class."""

    split: Split
    """Whose attributes know the whole text."""
    document: NDArray[np.int64]
    """[D]: numbers in the split."""
    label: NDArray[np.int64]
    """[D]"""

    @classmethod
    def of(cls, split: Split, labels: Mapping[str, int], classes: int) -> "Labelled":
        """labels: by document id. Errors: ValueError if a label is no class, or no document has one."""
        document = np.array([number for number, name in enumerate(split.documents) if name in labels], np.int64)
        label = np.array([labels[split.documents[number]] for number in document.tolist()], np.int64)
        if not len(document):
            raise ValueError("no document of the split has a label; give labels of the cache's own documents")
        if label.min() < 0 or label.max() >= classes:
            raise ValueError(
                f"labels go from {label.min()} to {label.max()}, the model has {classes} classes; set model.classes"
            )
        return cls(split=split if not split.causal else whole_split(split), document=document, label=label)

    def some(self, pieces: int, length: int) -> "Labelled":
        """As many of the documents as have about so many pieces, spread evenly."""
        sizes = np.minimum(self.split.pieces()[self.document] - 1, length)
        wanted = max(1, min(len(sizes), int(len(sizes) * pieces // max(1, int(sizes.sum())))))
        chosen = np.linspace(0, len(sizes) - 1, wanted).astype(np.int64)
        return replace(self, document=self.document[chosen], label=self.label[chosen])

    def batch(self, chosen: NDArray[np.int64], length: int) -> ClassBatch:
        """Some of the documents, by their number among these; a batch is as wide as its longest."""
        document = self.document[chosen]
        size = np.minimum(self.split.pieces()[document] - 1, length)  # the end piece says nothing
        place = np.arange(size.max())
        inside = place < size[:, None]
        ids, context = read_places(self.split, np.where(inside, document[:, None], -1), np.where(inside, place, 0))
        return ClassBatch(ids, torch.from_numpy(self.label[chosen]), context)


class ClassRows:
    """Endless batches of labelled documents under a seed, each epoch in another order; like model.batches'."""

    def __init__(self, labelled: Labelled, *, rows: int, length: int, seed: int) -> None:
        self.labelled, self.rows, self.length, self.seed = labelled, rows, length, seed
        self.epoch = self.position = 0

    def state(self) -> dict[str, int]:
        """The epoch and the next document of it."""
        return {"epoch": self.epoch, "position": self.position}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state()`."""
        self.epoch, self.position = int(state["epoch"]), int(state["position"])

    def next(self) -> ClassBatch:
        """The next batch, always of as many rows."""
        chosen: list[int] = []
        while len(chosen) < self.rows:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.labelled.document))
            taken = order[self.position : self.position + self.rows - len(chosen)]
            chosen += taken.tolist()
            self.position += len(taken)
            if self.position == len(order):
                self.epoch, self.position = self.epoch + 1, 0
        return self.labelled.batch(np.array(chosen), self.length)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassScore:
    """Result of one evaluation."""

    accuracy: float
    nats: float
    """Mean cross-entropy."""
    documents: int


def class_batches(labelled: Labelled, *, rows: int, length: int) -> Iterator[ClassBatch]:
    """Every document once, the longest first, so that a batch holds documents of like size."""
    order = np.argsort(-labelled.split.pieces()[labelled.document], kind="stable")
    for first in range(0, len(order), rows):
        yield labelled.batch(order[first : first + rows], length)


@torch.no_grad()
def score_classes(
    model: Decoder, labelled: Labelled, *, rows: int, length: int, device: torch.device | str = "cpu"
) -> ClassScore:
    """Of a model in evaluation mode."""
    right, nats, documents = 0, 0.0, 0
    for batch in class_batches(labelled, rows=rows, length=length):
        batch = batch.to(device)
        logits_BC = model.class_logits(model.hidden(batch.ids, batch.context), batch.context).float()
        nats += float(functional.cross_entropy(logits_BC, batch.targets, reduction="sum"))
        right += int((logits_BC.argmax(1) == batch.targets).sum())
        documents += len(batch.targets)
    return ClassScore(accuracy=right / documents, nats=nats / documents, documents=documents)
