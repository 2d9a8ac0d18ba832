"""A model reading one text piece by piece: annotator, views and keys together, in bounded memory where views are near.

Kept are the first four pieces of the text (anchors), and the recent ones: all that a later piece can see by a view,
or as an anchor (the pieces of its word, the previous two). Where views are near, what lies before is dropped: `prefix`
cuts sentences at 256 words and words at 256 characters, so that however long the text, no more is kept than those need.
Dropping moves the rest together once the slots are full, and they double only while more than half is needed: O(1) a
piece. The logits are those of the full cache to the bit, for sums go over the pieces seen and no others.
"""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from model.context import NO_TAG
from model.generate.kept import Asked, Kept
from model.generate.sight import Ints, Sight, earliest, seen
from model.generate.trained import Trained
from model.views import FIRST_ANCHORS, WORD_ANCHORS
from pipeline.prefix import PieceAttributes, PrefixState

ROOM = 256
"""Slots at first."""


UNTOLD = PieceAttributes(first_word=-1, last_word=-1, closed_word=0, sentence_start=0, input_tag=NO_TAG)
"""What stands for the annotator's word where the model reads none of it."""


class Stream:
    """One text's state. Time a piece: the annotator's step, and O(pieces kept)."""

    state: PrefixState | None
    """The annotator's; None: the model is told nothing of words."""
    pieces: int
    """Read so far."""
    largest: int
    """Most pieces that were kept at once."""
    tag: int
    """Input tag of the newest piece; NO_TAG: it holds no character of a word."""

    def __init__(self, trained: Trained, evict: bool | None = None) -> None:
        """evict: whether pieces are dropped that nobody can see again; None: where the views allow it.

        Errors: ValueError if they do not and it is asked for.
        """
        if evict and not trained.forgets:
            views = ", ".join(trained.model.config.distinct_views())
            raise ValueError(
                f"nothing can be dropped under these views: {views}; all must be near (docs/generation.md)"
            )
        self.trained, self.evicts = trained, trained.forgets if evict is None else evict
        self.views = list(trained.model.config.distinct_views().values())
        self.state = trained.annotator.start() if trained.annotator else None
        self.pieces, self.largest, self.tag = 0, 0, NO_TAG
        self._closed_tag = NO_TAG
        """Of the last word closed."""
        self._used, self._live = 0, FIRST_ANCHORS
        """Slots in use, and the first of the recent pieces in them; before it lies what was dropped."""
        self._place = self._last_word = self._sentence = np.empty(0, np.int64)
        self._tag = np.empty(0, np.uint8)
        self._kept = Kept(trained.model)

    @property
    def kept(self) -> int:
        """Pieces whose keys and values a later piece may see."""
        return self._used - max(self._live - FIRST_ANCHORS, 0)

    @property
    def room(self) -> int:
        """Slots, used or not."""
        return len(self._place)

    def read(self, piece: int) -> Tensor:
        """Take in the next piece; the logits [vocabulary] of the one after it. The first is the tokenizer's `begin`.

        Errors: ValueError for an id that is none, or a text longer than learned positions.
        """
        model = self.trained.model
        if not 0 <= piece < model.vocabulary:
            raise ValueError(f"{piece} is no piece; ids go from 0 to {model.vocabulary - 1}")
        if model.place_embedding is not None and self.pieces == model.config.context:
            raise ValueError(
                f"this model has learned {model.config.context} positions and its text is that long; generate fewer "
                "pieces, or train with positions = 'rotary' or 'alibi'"
            )
        if self._used == self.room:
            self._make_room()
        sight = self._told(piece)
        slot_S, seen_VS = self._seen(sight)
        back_S = sight.place - self._place[slot_S]
        logits = self._kept.logits(Asked(piece, sight.place, sight.tag, self._used - 1), slot_S, back_S, seen_VS)
        self.pieces += 1
        if self.evicts:
            self._forget(sight)
        self.largest = max(self.largest, self.kept)
        return logits

    def read_all(self, pieces: NDArray[np.int32]) -> Tensor:
        """Several in a row, one at least; the logits after the last."""
        for piece in pieces.tolist():
            logits = self.read(piece)
        return logits

    def _told(self, piece: int) -> Sight:
        """Write down what the annotator says of the piece, in the next slot."""
        said = UNTOLD
        if self.trained.annotator and self.state:
            self.state, said = self.trained.annotator.step(self.state, piece)
        slot, word = self._used, self._last_word
        self._place[slot], word[slot], self._sentence[slot] = self.pieces, said.last_word, said.sentence_start
        self._tag[slot] = said.input_tag
        self._used = used = slot + 1
        # Keys of words that are closed now show their full tags from here on. Indices of words never decrease.
        for closed, tag in enumerate(said.closed_tags, start=said.closed_word - len(said.closed_tags)):
            first, last = word[:used].searchsorted((closed, closed + 1))
            self._tag[first:last] = self._closed_tag = tag
        if said.last_word < said.closed_word:  # the last one closed, or none is begun
            self._tag[slot] = self._closed_tag
        recent = slice(max(self._live, FIRST_ANCHORS), used)
        self.tag = said.input_tag
        return Sight(
            place=self.pieces,
            first_word=said.first_word,
            tag=said.input_tag,
            reach=self._reach,
            places=self._place[recent],
            last_words=word[recent],
            tags=self._tag[recent],
        )

    def _seen(self, sight: Sight) -> tuple[Ints, NDArray[np.bool_]]:
        """Slots kept, and which of them each view allows: the first four always."""
        first, recent = min(self._used, FIRST_ANCHORS), len(sight.places)
        seen_VS = np.ones((len(self.views), first + recent), bool)
        slot_S = np.arange(first + recent)
        if recent:
            slot_S[first:] += self._used - recent - first
            seen_VS[:, first:] = seen(self.views, sight)
        return slot_S, seen_VS

    def _reach(self, count: int) -> int:
        """Where the `count`-th latest sentence begins (model.masks.sentences); 0 once that is forgotten."""
        start = int(self._sentence[self._used - 1])
        for _ in range(count - 1):
            slot = self._slot(start - 1) if start else -1
            if slot < 0:
                return 0
            start = int(self._sentence[slot])
        return start

    def _slot(self, place: int) -> int:
        """Where a piece is kept; -1: it was dropped."""
        slot = place - int(self._place[self._used - 1]) + self._used - 1  # recent ones stand one after another
        return place if place < FIRST_ANCHORS else slot if slot >= self._live else -1

    def _forget(self, sight: Sight) -> None:
        """Move on to the first place that a later piece may see."""
        place = min(sight.place + 1 - WORD_ANCHORS, *(earliest(view, sight)[0] for view in self.views))
        self._live = max(self._live, self._used - 1 - (sight.place - place))

    def _make_room(self) -> None:
        keep, first, last = min(self._used, FIRST_ANCHORS), max(self._live, FIRST_ANCHORS), self._used
        recent = max(last - first, 0)
        room = max(self.room, ROOM // 2)
        if 2 * (keep + recent) > room or not self._used:
            room *= 2
        for name in ("_place", "_last_word", "_sentence", "_tag"):
            held = getattr(self, name)
            made = np.empty(room, held.dtype)
            made[:keep], made[keep : keep + recent] = held[:keep], held[first : first + recent]
            setattr(self, name, made)
        self._kept.move(first, first + recent, keep, room)
        self._live, self._used = FIRST_ANCHORS, keep + recent
