"""A stream for models that read bonds or features of words: each piece, all of the text is read anew.

What is known of a word stays as it was when the word closed (model.evaluate.past), so that the logits are those of the
whole text. O(N) pieces are computed for each one, and the text is parsed again whenever a word closes: for prompts and
pages, not for books.
"""

import torch
from torch import Tensor

from model.controls import honest
from model.evaluate.past import Past
from model.generate.stream import Stream
from model.generate.trained import Trained


class WordStream(Stream):
    """As Stream, but that nothing is kept but the pieces."""

    def __init__(self, trained: Trained) -> None:
        """Errors: ValueError if the model has nothing to read words with."""
        super().__init__(trained, evict=False)
        assert trained.annotator is not None  # what reads words reads their pieces first
        assert trained.reader is not None
        self._past = Past(trained.annotator, honest, 0, trained.reader.known)

    @torch.inference_mode()
    def read(self, piece: int) -> Tensor:
        """As Stream.read."""
        self.check(piece)
        self._past.read(piece)
        self.state, self.pieces, self.largest = self._past.state, self._past.pieces, self._past.pieces
        columns = self._past.columns()
        self.tag = int(columns["input_tag"][-1])
        ids = torch.from_numpy(columns["pieces"].astype("int64"))[None]
        logits: Tensor = self.trained.model(ids, self._past.context())[0, -1]
        return logits


def stream_of(trained: Trained) -> Stream:
    """A fresh stream of the kind that the model needs."""
    return WordStream(trained) if trained.reader else Stream(trained)
