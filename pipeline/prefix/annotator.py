"""The left-to-right annotator: words, sentences and tags of a text that is still being written.

It reads pieces of any tokenizer and says of each what the pieces so far prove (law 1: nothing leaks): which words it
touches, how many words are closed, where the sentence begins, and the tag of its word by the characters read. A model
that generates carries it along: `step` goes piece by piece and `annotate` a document at a time, with the same answers.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.prefix.fast import PieceTable, TextWords, key_tags, read_block, read_text
from pipeline.prefix.state import Attributes, Block, PieceAttributes, PrefixState
from pipeline.prefix.step import Stepper
from pipeline.prefix.tables import Tables
from pipeline.prefix.text import Alphabet

SHIPPED = Path(__file__).resolve().parents[1] / "models" / "prefix.safetensors"

CHUNK = 65_536
"""Pieces read at once: bounds the memory that a long document takes, about 60 MB."""


class PrefixAnnotator(torch.nn.Module):
    """The learnt tables as buffers, and the bytes of a tokenizer's pieces.

    Its work is numpy's, so it stays in the machine's own memory when the model around it moves to a GPU.
    """

    digest: str
    """Twelve hex digits of tables and rules; the tokenizer has its own."""
    _alphabet: Alphabet
    _pieces: PieceTable
    _stepper: Stepper

    def __init__(self, tables: Tables, piece_bytes: Sequence[bytes], begin: int, end: int) -> None:
        """begin, end: ids of the pieces that begin and end a document (they may be one)."""
        super().__init__()
        for name, array in tables.arrays().items():
            self.register_buffer(name, torch.from_numpy(np.array(array)))
        self._piece_bytes, self._breaks = tuple(piece_bytes), frozenset((begin, end))
        self._bind(self, ())
        self.register_load_state_dict_post_hook(self._bind)  # type: ignore[no-untyped-call]

    @staticmethod
    def _bind(module: "PrefixAnnotator", incompatible: object) -> None:
        """Make all that is derived from the buffers; again, when a checkpoint has filled them."""
        tables = Tables(**{name: buffer.numpy() for name, buffer in module.named_buffers()})
        module.digest = tables.digest()
        module._alphabet = Alphabet.of(tables)
        module._pieces = PieceTable.of(module._piece_bytes, module._breaks)
        module._stepper = Stepper(tables, module._piece_bytes, module._breaks)

    @classmethod
    def load(cls, path: str | Path | None, piece_bytes: Sequence[bytes], begin: int, end: int) -> "PrefixAnnotator":
        """From the tables that `save` or `fit_prefix` wrote; None: the shipped ones.

        Errors: ValueError if the file holds no such tables, or damaged ones; FileNotFoundError if it is not there.
        """
        file = SHIPPED if path is None else Path(path)
        try:
            return cls(Tables.load(file), piece_bytes, begin, end)
        except FileNotFoundError:
            raise
        except Exception as error:  # numbers out of any range break whatever reads them first
            said = " ".join(str(error).split())[:200]
            raise ValueError(
                f"{file} holds no tables of an annotator ({said}); give a file that `save` wrote"
            ) from error

    def save(self, path: str | Path) -> None:
        """Write the tables as safetensors."""
        self._alphabet.tables.save(Path(path))

    def start(self) -> PrefixState:
        """Before the first piece."""
        return PrefixState()

    def step(self, state: PrefixState, piece: int) -> tuple[PrefixState, PieceAttributes]:
        """Read one piece: the slow twin of `annotate`, and what generation uses."""
        return self._stepper.step(state, piece)

    def annotate(self, ids: NDArray[np.int32]) -> Attributes:
        """Attributes of a whole document. ids: int32 [N], begin and end piece included. O(bytes)."""
        blocks, state = [], self.start()
        for first in range(0, max(len(ids), 1), CHUNK):
            blocks.append(self.annotate_block(ids[first : first + CHUNK], state))
            state = blocks[-1].state
        columns = {
            name: np.concatenate([getattr(block.attributes, name) for block in blocks])
            for name in ("first_word", "last_word", "closed_word", "sentence_start", "input_tag")
        }
        closed_tags = np.concatenate([block.closed_tags for block in blocks])
        return Attributes(key_tag=key_tags(columns["last_word"], closed_tags, self.start()), **columns)

    def annotate_block(self, ids: NDArray[np.int32], state: PrefixState) -> Block:
        """Attributes of the next pieces of a document. They equal the same rows of `annotate`, but for the key_tag of
        a word that is still open when the block ends: the next block's `closed_tags` begin with it."""
        return read_block(self._alphabet, self._pieces, np.asarray(ids, dtype=np.int32), state)

    def words(self, text: str) -> TextWords:
        """Spans, sentences and full tags of the words of a whole text, for pictures and measurements: what the pieces
        of the text give, by characters."""
        return read_text(self._alphabet, text)

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        """Moves and casts of the model around it do not reach the tables."""
        return self
