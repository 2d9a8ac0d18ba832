"""What is known of a document by one who has read its first pieces and none after them, and how it is written down.

`Past` is the streaming side's whole knowledge. `attributes_told` and `keys_told` are the canonical bytes of what a
model is given at a piece: two sides that give it the same have the same bytes, whatever computed them.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.batches import read_places
from model.columns import ATTRIBUTES, COLUMNS, split_of
from model.context import NO_TAG, Context
from model.controls.words import Change, Columns
from pipeline.cache.lists import WordLists
from pipeline.prefix import Attributes
from pipeline.records import Strings

if TYPE_CHECKING:
    from model.bond_reader import Known
    from model.evaluate.given import Stepper

Ids = NDArray[np.int32]

ROOM = 256
"""Pieces that there is room for at first; it doubles, for nobody here knows how long the document is."""


class Past:
    """The columns of the pieces read so far, each as it stood when its piece was the last.

    A key_tag is what the tag was when it became known that its word is closed, and NO_TAG before.
    """

    def __init__(
        self, annotator: "Stepper", change: Change, seed: int, read_words: "Callable[[Ids], Known | None] | None" = None
    ) -> None:
        """change: what the recipe makes of honest columns (a control, or nothing). seed: the document's own.

        read_words: what is known of the words of the pieces so far; it is asked whenever a word has closed, and what it
        says of the words that have closed since it was last asked stays.
        """
        self.read_words, self._words = read_words, PastWords()
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
        if self.read_words and said.closed_word > len(self._words):
            self._words.add(self.read_words(honest["pieces"][:many]), said.closed_word)

    def columns(self) -> Columns:
        """An array [pieces so far] by the names of model.columns.COLUMNS."""
        return {name: array[: self.pieces] for name, array in self._told.items()}

    def context(self) -> Context:
        """The same as a model takes it, one row."""
        columns = self.columns()
        attributes = Attributes(**{name: columns[name] for name in ATTRIBUTES})
        split = split_of({"": (columns["pieces"], attributes)}, [self._words.known()] if self.read_words else None)
        place = np.arange(self.pieces)[None]
        return read_places(split, np.zeros_like(place), place)[1]

    def _double(self) -> None:
        more = len(self._shown)
        for held in (self._honest, self._told):
            for name, empty in _empty(more).items():
                held[name] = np.concatenate([held[name], empty])
        self._shown = np.concatenate([self._shown, np.zeros(more, bool)])


def _empty(room: int) -> dict[str, NDArray[Any]]:
    kinds = {name: np.uint8 if name.endswith("_tag") else np.int32 for name in COLUMNS}
    return {name: np.full(room, NO_TAG if name.endswith("_tag") else 0, kind) for name, kind in kinds.items()}


class PastWords:
    """What was known of each word when it closed."""

    def __init__(self) -> None:
        self._backs, self._kinds = list[NDArray[np.int32]](), list[NDArray[np.uint8]]()
        self._features, self._nominal = list[int](), list[bool]()
        self._classes = list[str]()

    def __len__(self) -> int:
        return len(self._backs)

    def add(self, known: "Known | None", closed: int) -> None:
        """The words up to `closed` have closed."""
        assert known is not None  # who is asked for words reads them
        lists, facts = known.lists, known.facts
        for word in range(len(self), min(closed, len(lists))):
            part = slice(lists.begin[word], lists.begin[word + 1])
            self._backs.append(lists.back[part])
            self._kinds.append(lists.kind[part])
            self._features.append(int(facts.features[word]))
            self._nominal.append(bool(facts.nominal[word]))
            self._classes.append(facts.verb_class.values[facts.verb_class.code[word]])

    def known(self) -> "Known":
        from model.bond_reader import Known
        from model.facts import WordFacts

        lists = WordLists(
            begin=np.cumsum([0, *map(len, self._backs)]),
            back=np.concatenate([np.empty(0, np.int32), *self._backs]),
            kind=np.concatenate([np.empty(0, np.uint8), *self._kinds]),
        )
        facts = WordFacts(
            features=np.array(self._features, np.uint64),
            nominal=np.array(self._nominal, bool),
            verb_class=Strings.of(self._classes),
        )
        return Known(lists, facts)


def attributes_told(columns: Columns, t: int, context: Context | None = None) -> bytes:
    """What the columns give at piece t that they did not give before: little-endian int64 numbers.

    The piece and its own attributes; then (position, full tag) of each key whose word is first known to be closed here.
    With a context also (key, kind) of the piece's bonds, and the features of its last closed word, if it has any.
    """
    last, closed = columns["last_word"][: t + 1], columns["closed_word"]
    new = last < closed[t]
    if t:
        new[:t] &= last[:t] >= closed[t - 1]
    keys = np.flatnonzero(new)
    own = [int(columns[name][t]) for name in COLUMNS if name != "key_tag"]
    pairs = np.stack([keys, columns["key_tag"][keys].astype(np.int64)], axis=1)
    return np.array([*own, len(keys), *pairs.ravel(), *_words_told(context, t)], "<i8").tobytes()


def _words_told(context: Context | None, t: int) -> list[int]:
    told: list[int] = []
    if context is not None and context.bonds is not None:
        part = slice(int(context.bonds.begin[0, t]), int(context.bonds.end[0, t]))
        told += torch.stack([context.bonds.key[part].long(), context.bonds.kind[part].long()], 1).flatten().tolist()
    if context is not None and context.facts is not None:
        told.append(int(context.facts.query_features[0, t]))
    return told


def keys_told(views: Sequence[str], seen_VN: Tensor) -> bytes:
    """The keys that one query may read, under each view: its text, their number and their positions.

    seen_VN: bool, over as many positions as the caller knows of; one that is ahead would be among the positions.
    """
    parts = []
    for view, seen_N in zip(views, seen_VN.numpy(), strict=True):
        keys = np.flatnonzero(seen_N)
        parts.append(f"{view}\0".encode() + np.array([len(keys), *keys], "<i8").tobytes())
    return b"".join(parts)
