"""Text that a model writes, as it comes."""

import codecs
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from model.context import NO_TAG
from model.generate.sampling import Sampling, draw
from model.generate.stream import Stream
from model.generate.trained import Trained
from pipeline.pieces import Tokenizer

MOST_SPACES = 256
"""Pieces in a row without a word, under views that are all near; after so many the next must hold a letter or digit.
Words and sentences are cut at a length and spaces are not: a model that writes nothing else would fill any memory."""


class Said(NamedTuple):
    """What one step added."""

    piece: int
    text: str
    """Empty while a character is not complete, and at the end piece."""


def generate(
    trained: Trained,
    sampling: Sampling | None = None,
    prompt: str = "",
    pieces: int = 256,
    stop: bool = True,
    stream: Stream | None = None,
) -> Iterator[Said]:
    """The pieces that follow a prompt, `pieces` at most, each as soon as it is drawn.

    stop: end with the document, that is once the end piece is drawn; without, it is never drawn, and one document goes
    on for as long as is asked. Pieces that add nothing to a text (begin, padding) are never drawn.
    stream: a fresh one, if its making or its state is the caller's concern.
    Errors: ValueError for a number of pieces below 1, a stream that has read something, or as Stream.read.
    """
    if pieces < 1:
        raise ValueError(f"pieces is {pieces}; give at least 1")
    stream = stream or Stream(trained)
    if stream.pieces:
        raise ValueError(f"this stream has read {stream.pieces} pieces; give a fresh one, or none")
    return _generate(trained, sampling or Sampling(), prompt, pieces, stop, stream)


def _generate(
    trained: Trained, sampling: Sampling, prompt: str, pieces: int, stop: bool, stream: Stream
) -> Iterator[Said]:
    tokenizer, random = trained.tokenizer, sampling.generator()
    never, wordless = _unfit(tokenizer, trained.model.vocabulary)
    if stop:
        never, wordless = never.copy(), wordless.copy()
        never[tokenizer.end] = wordless[tokenizer.end] = False
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    logits = stream.read_all(np.array([tokenizer.begin, *tokenizer.encode(prompt)], np.int32))
    spaces = 0  # the same whether pieces are dropped or not, so that the text is
    for number in range(1, pieces + 1):
        piece = draw(_array(logits), sampling, never if spaces < MOST_SPACES else wordless, random)
        ended = stop and piece == tokenizer.end
        text = decoder.decode(tokenizer.piece_bytes[piece], final=ended or number == pieces)
        yield Said(piece, text)
        if ended or number == pieces:
            return
        logits = stream.read(piece)
        spaces = spaces + 1 if trained.forgets and stream.tag == NO_TAG else 0


def _array(logits: Tensor) -> NDArray[np.floating]:
    array: NDArray[np.floating] = (logits.float() if logits.element_size() < 4 else logits).cpu().numpy()
    return array


@lru_cache(maxsize=8)
def _unfit(tokenizer: Tokenizer, vocabulary: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """bool [vocabulary] each: pieces that add nothing to a text; pieces without a letter or digit."""
    never, wordless = np.ones(vocabulary, bool), np.ones(vocabulary, bool)
    for piece, spelt in enumerate(tokenizer.piece_bytes):
        never[piece] = not spelt or piece in (tokenizer.begin, tokenizer.end)
        wordless[piece] = never[piece] or not any(map(str.isalnum, spelt.decode("utf-8", errors="ignore")))
    return never, wordless
