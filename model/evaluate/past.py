"""What is known of a document by one who has read its first pieces and none after them, and how it is written down.

`Past` is the streaming side's whole knowledge. `attributes_told` and `keys_told` are the canonical bytes of what a
model is given at a piece: two sides that give it the same have the same bytes, whatever computed them.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.columns import ATTRIBUTES, COLUMNS
from model.context import NO_TAG, Context
from model.controls.words import Change, Columns

if TYPE_CHECKING:
    from model.evaluate.given import Stepper

ROOM = 256
"""Pieces that there is room for at first; it doubles, for nobody here knows how long the document is."""


class Past:
    """The columns of the pieces read so far, each as it stood when its piece was the last.

    A key_tag is what the tag was when it became known that its word is closed, and NO_TAG before.
    """

    def __init__(self, annotator: "Stepper", change: Change, seed: int) -> None:
        """change: what the recipe makes of honest columns (a control, or nothing). seed: the document's own."""
        self.annotator, self.change, self.seed = annotator, change, seed
        self.state, self.pieces = annotator.start(), 0
        self._honest, self._told = _empty(ROOM), _empty(ROOM)
        self._closed_tags: list[int] = []
        self._shown = np.zeros(ROOM, bool)
        """Whose key_tag is known."""

    def read(self, piece: int) -> None:
        """Take in the next piece. About 200 microseconds, and O(pieces so far) under a control."""
        t, many = self.pieces, self.pieces + 1
        if many > len(self._shown):
            self._double()
        self.state, said = self.annotator.step(self.state, piece)
        honest, told = self._honest, self._told
        honest["pieces"][t] = told["pieces"][t] = piece
        for name in ATTRIBUTES:
            if name != "key_tag":
                honest[name][t] = getattr(said, name)
        self._closed_tags += said.closed_tags
        word, tags = honest["last_word"][:many], np.array([*self._closed_tags, NO_TAG], np.uint8)
        honest["key_tag"][:many] = tags[np.where((word >= 0) & (word < len(self._closed_tags)), word, -1)]
        sofar = {name: array[:many] for name, array in honest.items()}
        changed = {**sofar, **self.change(self.seed, sofar)}
        for name in ATTRIBUTES:
            if name != "key_tag":
                told[name][t] = changed[name][t]
        new = (told["last_word"][:many] < told["closed_word"][t]) & ~self._shown[:many]
        told["key_tag"][:many][new] = changed["key_tag"][new]
        self._shown[:many] |= new
        self.pieces = many

    def columns(self) -> Columns:
        """An array [pieces so far] by the names of model.columns.COLUMNS."""
        return {name: array[: self.pieces] for name, array in self._told.items()}

    def context(self) -> Context:
        """The same as a model takes it, one row."""
        return context_of(self.columns())

    def _double(self) -> None:
        more = len(self._shown)
        for held in (self._honest, self._told):
            for name, empty in _empty(more).items():
                held[name] = np.concatenate([held[name], empty])
        self._shown = np.concatenate([self._shown, np.zeros(more, bool)])


def _empty(room: int) -> dict[str, NDArray[Any]]:
    kinds = {name: np.uint8 if name.endswith("_tag") else np.int32 for name in COLUMNS}
    return {name: np.full(room, NO_TAG if name.endswith("_tag") else 0, kind) for name, kind in kinds.items()}


def context_of(columns: Columns) -> Context:
    """The context of one row that holds the first pieces of one document. Its numbers are those of the document."""
    of = {name: torch.from_numpy(columns[name].astype(np.int64))[None] for name in ATTRIBUTES}
    return Context(
        document=torch.zeros_like(of["last_word"]),
        sentence_start=of["sentence_start"],
        first_word=of["first_word"],
        last_word=of["last_word"],
        closed_word=of["closed_word"],
        input_tag=of["input_tag"],
        key_tag=of["key_tag"],
    )


def attributes_told(columns: Columns, t: int) -> bytes:
    """What the columns give at piece t that they did not give before: little-endian int64 numbers.

    The piece and its own attributes; then (position, full tag) of each key whose word is first known to be closed here.
    """
    last, closed = columns["last_word"][: t + 1], columns["closed_word"]
    new = last < closed[t]
    if t:
        new[:t] &= last[:t] >= closed[t - 1]
    keys = np.flatnonzero(new)
    own = [int(columns[name][t]) for name in COLUMNS if name != "key_tag"]
    pairs = np.stack([keys, columns["key_tag"][keys].astype(np.int64)], axis=1)
    return np.array([*own, len(keys), *pairs.ravel()], "<i8").tobytes()


def keys_told(views: Sequence[str], seen_VN: Tensor) -> bytes:
    """The keys that one query may read, under each view: its text, their number and their positions.

    seen_VN: bool, over as many positions as the caller knows of; one that is ahead would be among the positions.
    """
    parts = []
    for view, seen_N in zip(views, seen_VN.numpy(), strict=True):
        keys = np.flatnonzero(seen_N)
        parts.append(f"{view}\0".encode() + np.array([len(keys), *keys], "<i8").tobytes())
    return b"".join(parts)
