"""Log-likelihoods of texts, as evaluation harnesses ask for them, with words and sentences known across windows.

What a window of a long text is told of its pieces comes from the whole text up to them, as in training; only what it
may see is cut. Letters: B rows, N pieces of a row, V vocabulary.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.batches import read_places
from model.columns import split_of
from model.context import Context
from model.reading import Reader
from pipeline.pieces import Tokenizer

Logits: TypeAlias = Callable[[Tensor, Context], Tensor]
"""(ids [B,N], context) -> [B,N,V]: a Decoder, or a transformers model called with `context=`."""


class Likelihood(NamedTuple):
    """What a model says of given pieces."""

    log: float
    """Sum of their natural log-probabilities."""
    greedy: bool
    """Whether each of them is the likeliest at its place."""


def pair_ids(tokenizer: Tokenizer, context: str, continuation: str) -> tuple[NDArray[np.int32], int]:
    """Ids of begin and both texts, encoded as one, and where the continuation's begin.

    A space between them goes with the continuation, as the pieces have it. A piece that spans the border is scored with
    the continuation, since its probability is of characters that the context does not have.
    """
    held = context.rstrip()
    ids, _, ends = tokenizer.document_spans(context + continuation)
    if not continuation:
        return ids[:-1], len(ids) - 1
    return ids[:-1], 1 + int(np.searchsorted(ends[1:-1], len(held), side="right"))


def loglikelihood(
    logits: Logits, reader: Reader, pairs: Sequence[tuple[str, str]], *, length: int = 1024, rows: int = 4
) -> list[Likelihood]:
    """Of each (context, continuation): the continuation's log-probability after the context.

    length: pieces that the model reads at most; a longer context loses its beginning. An empty context is the begin of
    a document. rows: of one batch.
    """
    documents = [pair_ids(reader.tokenizer, *pair) for pair in pairs]
    return score(logits, reader, documents, length=length, rows=rows)


def loglikelihood_rolling(
    logits: Logits, reader: Reader, texts: Sequence[str], *, length: int = 1024, rows: int = 4
) -> list[float]:
    """Of each text: the log-probability of all its pieces, each scored once, in windows of at most `length`."""
    documents = [(reader.tokenizer.document(text)[:-1], 1) for text in texts]
    return [each.log for each in score(logits, reader, documents, length=length, rows=rows)]


class Window(NamedTuple):
    """A stretch of a document that is read at once."""

    document: int
    begin: int
    """First piece read."""
    end: int
    """After the last piece read: the piece here is the last one scored."""
    first: int
    """First piece scored."""


def windows(document: int, pieces: int, first: int, length: int) -> Iterator[Window]:
    """Windows in which pieces `first` … are scored once each, with as much before them as there is room for."""
    for scored in range(first, pieces, length):
        end = min(scored + length, pieces) - 1
        yield Window(document, max(0, end - length), end, scored)


@torch.no_grad()
def score(
    logits: Logits, reader: Reader, documents: Sequence[tuple[NDArray[np.int32], int]], *, length: int, rows: int
) -> list[Likelihood]:
    """Of each (ids with begin, first piece scored): the likelihood of the pieces from there on. Windows of like size go
    together."""
    split = split_of({str(number): (ids, reader.annotator.annotate(ids)) for number, (ids, _) in enumerate(documents)})
    cuts = [
        window for number, (ids, first) in enumerate(documents) for window in windows(number, len(ids), first, length)
    ]
    cuts.sort(key=lambda window: window.begin - window.end)
    log, greedy = [0.0] * len(documents), [True] * len(documents)
    for some in _batches(cuts, rows):
        width = some[0].end - some[0].begin
        place = np.arange(width)
        document_BN, position_BN = np.full((len(some), width), -1), np.zeros((len(some), width), np.int64)
        for row, window in enumerate(some):
            inside = place < window.end - window.begin
            document_BN[row] = np.where(inside, window.document, -1)
            position_BN[row] = np.where(inside, window.begin + place, 0)
        logits_BNV = logits(*read_places(split, document_BN, position_BN))
        for row, window in enumerate(some):
            targets = documents[window.document][0][window.first : window.end + 1].astype(np.int64)
            said = logits_BNV[row, window.first - 1 - window.begin : window.end - window.begin].cpu()
            found = Likelihood(*_likelihood(said, torch.from_numpy(targets)))
            log[window.document] += found.log
            greedy[window.document] &= found.greedy
    return [Likelihood(*each) for each in zip(log, greedy, strict=True)]


def _likelihood(logits_NV: Tensor, targets_N: Tensor) -> tuple[float, bool]:
    exact = torch.promote_types(logits_NV.dtype, torch.float32)
    logs_N = logits_NV.to(exact).log_softmax(-1).gather(1, targets_N[:, None])
    return float(logs_N.double().sum()), bool((logits_NV.argmax(-1) == targets_N).all())


def _batches(windows: Sequence[Window], rows: int) -> Iterable[Sequence[Window]]:
    return (windows[first : first + rows] for first in range(0, len(windows), rows))
