"""Piece by piece: the annotator's attributes, and what the network says of the words that a piece closes.

A model that generates carries this along. It says what `ArcReader.read` says of the whole text's words.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from pipeline.prefix.arcs import ArcReader, ArcState, WordSaid
from pipeline.prefix.characters import REPLACEMENT, read_bytes
from pipeline.prefix.state import NO_TAG, PieceAttributes, PrefixState
from pipeline.prefix.step import Stepper
from pipeline.prefix.tables import Tables

END = 256
"""The piece that ends a document, after all bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepState:
    """What is remembered between two pieces."""

    pieces: PrefixState = field(default_factory=PrefixState)
    characters: PrefixState = field(default_factory=PrefixState)
    """The same text, read character by character, which tells in which sentence a word is."""
    arcs: ArcState = field(default_factory=ArcState)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "StepState":
        found = json.loads(text)
        return cls(
            pieces=PrefixState(**found["pieces"]),
            characters=PrefixState(**found["characters"]),
            arcs=ArcState.from_json(json.dumps(found["arcs"])),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceSaid:
    """What is known when a piece is read."""

    attributes: PieceAttributes
    closed: tuple[WordSaid, ...]
    """Of the words that this piece closed; the last is word `attributes.closed_word` - 1."""


class _Words(Stepper):
    """Notes the words that close, and gives no tags."""

    closed: list[str]

    def _close(
        self, state: PrefixState, closed_tags: list[int], word: str | None = None, tag: int = NO_TAG
    ) -> PrefixState:
        self.closed.append(state.tail[-state.word :] if word is None else word)
        return super()._close(state, closed_tags, word, NO_TAG)

    def open_tag(self, begun: str, initial: bool) -> int:
        return NO_TAG


class ArcStepper:
    """An annotator and a network that go along with a text."""

    def __init__(self, tables: Tables, reader: ArcReader, piece_bytes: Sequence[bytes], begin: int, end: int) -> None:
        """begin, end: ids of the pieces that begin and end a document (they may be one)."""
        self.reader, self._piece_bytes, self._breaks = reader, tuple(piece_bytes), frozenset((begin, end))
        self._pieces = Stepper(tables, self._piece_bytes, self._breaks)
        self._words = _Words(tables, [*(bytes([byte]) for byte in range(END)), b""], frozenset((END,)))

    def start(self) -> StepState:
        """Before the first piece."""
        return StepState()

    def step(self, state: StepState, piece: int) -> tuple[StepState, PieceSaid]:
        """Read one piece."""
        text, pending = read_bytes(bytes.fromhex(state.pieces.pending) + self._piece_bytes[piece])
        ends = piece in self._breaks
        if ends and pending:
            text += chr(REPLACEMENT)
        # Whole characters only: so no byte begins more than one sentence.
        read = [*text.encode(), *([END] if ends else [])]
        characters, arcs, closed = state.characters, state.arcs, list[WordSaid]()
        for byte in read:
            before, self._words.closed = characters, []
            characters, _ = self._words.step(before, byte)
            begins = [each.words - each.sentence_words for each in (before, characters)]
            for number, word in enumerate(self._words.closed, start=before.closed):
                if number in begins:
                    arcs = self.reader.start()
                arcs, said = self.reader.step(arcs, word)
                closed.append(said)
        pieces, attributes = self._pieces.step(state.pieces, piece)
        after = StepState(pieces=pieces, characters=characters, arcs=arcs)
        return after, PieceSaid(attributes=attributes, closed=tuple(closed))
