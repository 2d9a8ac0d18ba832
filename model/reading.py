"""Reading new text: from piece ids alone to the context a model is told, for rows that are padded and may still grow.

reader = Reader.shipped()                       # or Reader.load(a run's or an exported model's folder)
context = reader.read(ids_BN, valid_BN)         # valid: which places hold a piece; None: all
rows = Rows(reader, rows=2); rows.append(first_BN); rows.append(more_Bn); rows.context()

What is known at a piece follows from the pieces up to it (law 1), so rows may be read whole or bit by bit, padded on
either side, alone or in a batch: a piece's attributes are the same. Letters: B rows, N pieces of a row, n new ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.batches import Batch
from model.context import NO_TAG, PER_PIECE, Context
from model.whole import reread
from pipeline.pieces import Tokenizer
from pipeline.prefix import PrefixAnnotator, PrefixState
from pipeline.prefix.tables import Tables

TOKENIZER, ANNOTATOR = "tokenizer.json", "annotator.safetensors"
"""What a folder calls them: a run's, and a model's that was exported."""

Columns: TypeAlias = dict[str, NDArray[np.int64]]

TOLD = tuple(name for name in PER_PIECE if name not in ("document", "key_tag"))
"""What the annotator says of a piece when it is read; the key's tag may come later."""

FEW = 16
"""Pieces that are stepped through; a block of more is faster read at once, which takes some 3 ms whatever its size."""

EMPTY = {
    "document": -1,
    "sentence_start": 0,
    "first_word": -1,
    "last_word": -1,
    "closed_word": 0,
    "input_tag": NO_TAG,
    "key_tag": NO_TAG,
}
"""What padding says of itself; its sentence begins with it."""


@dataclass(frozen=True, slots=True)
class Reader:
    """A tokenizer and the annotator for its pieces: with a model, all that reading new text needs."""

    tokenizer: Tokenizer
    annotator: PrefixAnnotator

    @classmethod
    def of(cls, tokenizer: Tokenizer, tables: Path | None = None) -> "Reader":
        """tables: of the annotator, as `PrefixAnnotator.save` writes them; None: the shipped ones."""
        return cls(tokenizer, PrefixAnnotator.load(tables, tokenizer.piece_bytes, tokenizer.begin, tokenizer.end))

    @classmethod
    def shipped(cls) -> "Reader":
        """The ones that come with Valency."""
        return cls.of(Tokenizer.load())

    @classmethod
    def load(cls, folder: Path) -> "Reader":
        """From a folder that holds both files. Errors: FileNotFoundError without one; ValueError for a damaged one."""
        return cls.of(Tokenizer.load(folder / TOKENIZER), folder / ANNOTATOR)

    def save(self, folder: Path) -> None:
        """Write both files into a folder."""
        self.tokenizer.save(folder / TOKENIZER)
        self.annotator.save(folder / ANNOTATOR)

    @property
    def pieces(self) -> int:
        """Ids that it reads: 0 up to this."""
        return len(self.annotator._piece_bytes)

    def widened(self, vocabulary: int) -> "Reader":
        """A reader for ids below `vocabulary`: those that the tokenizer does not have add nothing to the text."""
        spare = vocabulary - self.tokenizer.size
        if spare <= 0:
            return self
        tables = Tables(**{name: table.numpy() for name, table in self.annotator.named_buffers()})
        pieces = (*self.tokenizer.piece_bytes, *[b""] * spare)
        return Reader(self.tokenizer, PrefixAnnotator(tables, pieces, self.tokenizer.begin, self.tokenizer.end))

    def read(self, ids_BN: Tensor, valid_BN: Tensor | None = None, causal: bool = True) -> Context:
        """The context of whole rows, on the device of the ids. ids_BN: int64. valid_BN: bool or 0 and 1; None: all.

        causal: False for models that read the whole input: all words are then closed, and every sentence is known from
        its begin (model.whole). Errors: ValueError for an id that no piece has, and for padding between pieces.
        """
        if causal:
            rows = Rows(self, len(ids_BN))
            rows.append(ids_BN, valid_BN)
            return rows.context(ids_BN.device)
        ids, valid = self.checked(ids_BN, valid_BN)
        place = torch.arange(ids.shape[1]).expand(ids.shape)
        told: dict[str, Any] = {**dict.fromkeys(PER_PIECE, place), "document": self._documents(ids, valid)}
        batch = Batch(place, place, Context(**told, causal=False))
        return reread(batch, ids, self.annotator, self.tokenizer.end).context.to(ids_BN.device)

    def _documents(self, ids: NDArray[np.int64], valid: NDArray[np.bool_]) -> Tensor:
        """int64 [B,N]: number in its row of each piece's document; -1 at padding."""
        document = np.full(ids.shape, -1, np.int64)
        for row, (pieces, held) in enumerate(zip(ids, valid, strict=True)):
            places = np.flatnonzero(held)
            if (np.diff(places) != 1).any():
                raise ValueError(_hole(row))
            begins = np.cumsum(pieces[places] == self.begins)
            document[row, places] = begins - begins[:1]
        return torch.from_numpy(document)

    @property
    def begins(self) -> int | None:
        """The piece that says that another document begins; None where one piece both begins and ends them."""
        return self.tokenizer.begin if self.tokenizer.begin != self.tokenizer.end else None

    def checked(self, ids_BN: Tensor, valid_BN: Tensor | None) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Both as arrays. Errors: ValueError for an id that no piece has, or another shape."""
        ids = ids_BN.detach().cpu().numpy().astype(np.int64)
        valid = np.ones(ids.shape, bool) if valid_BN is None else valid_BN.detach().cpu().numpy().astype(bool)
        if valid.shape != ids.shape:
            raise ValueError(f"the mask has shape {valid.shape} and the ids {ids.shape}; give one entry a piece")
        if (wrong := ids[valid & ((ids < 0) | (ids >= self.pieces))]).size:
            raise ValueError(f"piece {wrong[0]} is not among the {self.pieces:,} of the tokenizer; encode with its own")
        return np.where(valid, ids, 0), valid


def _hole(row: int) -> str:
    return f"row {row} has padding between its pieces; pad rows at their beginning or end only"


@dataclass(frozen=True, slots=True)
class _Open:
    """How far a row has been read."""

    state: PrefixState
    begin: int
    """Place where its last document begins."""
    document: int
    """Number of that document in the row."""
    next: int
    """Place after the last piece."""


class Rows:
    """Rows that are read a stretch at a time. A piece that begins a document, in the midst of a row, begins another."""

    def __init__(self, reader: Reader, rows: int) -> None:
        self.reader, self._open = reader, list[_Open | None]([None] * rows)
        self._columns: Columns = {name: np.empty((rows, 0), np.int64) for name in ("ids", *PER_PIECE)}

    @property
    def places(self) -> int:
        """Places read so far, padding among them: N."""
        return int(self._columns["ids"].shape[1])

    def ids(self, device: torch.device | str = "cpu") -> Tensor:
        """int64 [B,N]; 0 at padding."""
        return torch.from_numpy(self._columns["ids"]).to(device)

    def context(self, device: torch.device | str = "cpu") -> Context:
        """What is known of all pieces read so far, for a causal model."""
        told: dict[str, Any] = {name: torch.from_numpy(self._columns[name]) for name in PER_PIECE}
        return Context(**told).to(device)

    def append(self, ids_Bn: Tensor, valid_Bn: Tensor | None = None) -> None:
        """Read on in each row. Errors: as for `Reader.read`."""
        ids, valid = self.reader.checked(ids_Bn, valid_Bn)
        first, more = self.places, ids.shape[1]
        new = {name: np.full(ids.shape, empty, np.int64) for name, empty in EMPTY.items()}
        new["sentence_start"][:] = first + np.arange(more)
        new["ids"] = ids
        self._columns = {name: np.concatenate([held, new[name]], axis=1) for name, held in self._columns.items()}
        for row in range(len(ids)):
            self._read(row, first, ids[row], valid[row])

    def _read(self, row: int, first: int, ids: NDArray[np.int64], valid: NDArray[np.bool_]) -> None:
        """Fill in one row's new places, which begin at `first`."""
        held, open_ = np.flatnonzero(valid), self._open[row]
        if not len(held):
            return
        if held[-1] - held[0] + 1 != len(held) or (open_ and open_.next != first + held[0]):
            raise ValueError(_hole(row))
        begins = held[0] + np.flatnonzero(ids[held] == self.reader.begins)
        cuts = sorted({int(held[0]), *begins.tolist()})
        for low, high in zip(cuts, [*cuts[1:], int(held[-1]) + 1], strict=True):
            fresh = open_ is None or low in begins
            number = 0 if open_ is None else open_.document + fresh
            before = open_.state if open_ and not fresh else self.reader.annotator.start()
            begin = open_.begin if open_ and not fresh else first + low
            state = self._write(row, slice(first + low, first + high), ids[low:high], before, begin, number)
            open_ = _Open(state, begin, number, first + high)
        self._open[row] = open_

    def _write(
        self, row: int, places: slice, ids: NDArray[np.int64], before: PrefixState, begin: int, number: int
    ) -> PrefixState:
        """Fill in a stretch of one document; returns the state after it."""
        columns = {name: self._columns[name][row] for name in PER_PIECE}
        columns["document"][places] = number
        state, closed_tags = self._annotate(ids, before, {name: columns[name][places] for name in TOLD})
        columns["sentence_start"][places] += begin
        # Of the pieces before, too: a word that was open shows its full tag now. Who asks sees by closed_word whether
        # it may.
        sofar = slice(begin, places.stop)
        known = np.append(before.last_tag, closed_tags)
        which = columns["last_word"][sofar] - before.closed + 1
        closed = (which >= 0) & (which < len(known))
        columns["key_tag"][sofar][closed] = known[which[closed]]
        return state

    def _annotate(
        self, ids: NDArray[np.int64], state: PrefixState, into: Columns
    ) -> tuple[PrefixState, NDArray[np.uint8]]:
        """Write what the annotator says of some pieces; returns its state after them, and the full tags of the words
        that they closed."""
        annotator = self.reader.annotator
        if len(ids) > FEW:
            block = annotator.annotate_block(ids.astype(np.int32), state)
            for name, column in into.items():
                column[:] = getattr(block.attributes, name)
            return block.state, block.closed_tags
        tags = list[int]()
        for place, piece in enumerate(ids.tolist()):
            state, said = annotator.step(state, piece)
            for name, column in into.items():
                column[place] = getattr(said, name)
            tags += said.closed_tags
        return state, np.array(tags, np.uint8)

    def keep(self, places: int) -> None:
        """Forget all but the first places."""
        ids, valid = (self._columns[name][:, :places] for name in ("ids", "document"))
        fresh = Rows(self.reader, len(self._open))
        fresh.append(torch.from_numpy(ids), torch.from_numpy(valid >= 0))
        self._open, self._columns = fresh._open, fresh._columns

    def pick(self, rows: Sequence[int]) -> None:
        """Go on with these rows, in this order; one may be picked several times."""
        self._open = [self._open[row] for row in rows]
        self._columns = {name: held[list(rows)] for name, held in self._columns.items()}


def rows_of(documents: Sequence[NDArray[Any]], padding: int = 0, left: bool = False) -> tuple[Tensor, Tensor]:
    """int64 [B,N] and bool [B,N]: ids of documents as rows of one width, and which places hold a piece."""
    width = max(map(len, documents), default=0)
    ids = np.full((len(documents), width), padding, np.int64)
    valid = np.zeros(ids.shape, bool)
    for row, pieces in enumerate(documents):
        places = slice(width - len(pieces), width) if left else slice(0, len(pieces))
        ids[row, places], valid[row, places] = pieces, True
    return torch.from_numpy(ids), torch.from_numpy(valid)
