"""Static word vectors from raw text: what a parser knows of words that its treebank hardly has.

Positive pointwise mutual information of a word and the words at each of the four places around it, the context smoothed
by 0.75, cut to few dimensions by a truncated SVD; the square root of the singular values on the words' side (Levy,
Goldberg and Dagan 2015; places apart, since syntax asks on which side a neighbour stands: Levy and Goldberg 2014).

About three minutes and 3 GB for 20 million words, on one core.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

PLACES = (-2, -1, 1, 2)
"""Where a context stands, counted from the word."""
SMOOTHING = 0.75
BREAK = re.compile(r"\n\s*\n|<br ?/?>")
"""Between paragraphs; the second as film reviews have it."""
UNKNOWN, BORDER = -1, -2

Vectors = tuple[list[str], NDArray[np.float32]]
"""Words, the frequent ones first, and float32 [words, dimensions]: rows of length 1."""


def fit_vectors(
    texts: Iterable[str],
    split: Callable[[str], Sequence[str]],
    size: int = 16_000,
    contexts: int = 6_000,
    dimensions: int = 64,
    least: int = 5,
    seed: int = 0,
) -> Vectors:
    """Vectors of the `size` most frequent words that occur `least` times. split: a paragraph's words, as normalised.

    Errors: ValueError if fewer words than dimensions are frequent enough.
    """
    paragraphs, counts = [], Counter[str]()
    for text in texts:
        for paragraph in BREAK.split(text):
            if words := list(split(paragraph)):
                paragraphs.append(words)
                counts.update(words)
    vocabulary = [word for word, count in counts.most_common(size) if count >= least]
    if len(vocabulary) <= dimensions:
        raise ValueError(
            f"{len(vocabulary)} words occur {least} times or more, too few for {dimensions} dimensions; give more text"
        )
    torch.manual_seed(seed)  # the SVD is a randomised one
    stream = _stream(paragraphs, {word: row for row, word in enumerate(vocabulary)})
    association = torch.from_numpy(_association(stream, len(vocabulary), min(contexts, len(vocabulary))))
    left, values, _ = torch.svd_lowrank(association, q=dimensions + 16, niter=3)
    vectors = left[:, :dimensions] * values[:dimensions].sqrt()
    return vocabulary, torch.nn.functional.normalize(vectors, dim=1).numpy().astype(np.float32)


def save_vectors(vectors: Vectors, path: Path) -> None:
    words, rows = vectors
    said = np.frombuffer("\n".join(words).encode(), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"vectors": np.ascontiguousarray(rows), "words": said.copy()}, path)


def load_vectors(path: Path) -> Vectors:
    """What `save_vectors` wrote. Errors: ValueError if it is something else."""
    try:
        found = load_file(path)
        words, rows = bytes(found["words"]).decode().split("\n"), found["vectors"]
        if rows.dtype != np.float32 or rows.ndim != 2 or len(rows) != len(words):
            raise ValueError(f"{len(words)} words and {rows.dtype} {rows.shape} do not go together")
    except Exception as error:
        raise ValueError(f"{path} holds no word vectors ({error}); make them by `valency fit vectors`") from error
    return words, rows


def _stream(paragraphs: Sequence[Sequence[str]], rows: dict[str, int]) -> NDArray[np.int64]:
    """All words as rows, with borders between paragraphs as wide as the outermost place."""
    border = [BORDER] * max(PLACES)
    return np.fromiter(
        (row for words in paragraphs for row in (*(rows.get(word, UNKNOWN) for word in words), *border)), np.int64
    )


def _association(stream: NDArray[np.int64], words: int, contexts: int) -> NDArray[np.float32]:
    """float32 [words, places * contexts]: positive pointwise mutual information. The first words are the contexts."""
    counts = np.zeros((words, len(PLACES) * contexts), np.float32)
    for number, place in enumerate(PLACES):
        word, context = (stream[:-place], stream[place:]) if place > 0 else (stream[-place:], stream[:place])
        known = (word >= 0) & (context >= 0) & (context < contexts)
        pair, times = np.unique(word[known] * contexts + context[known], return_counts=True)
        counts[pair // contexts, number * contexts + pair % contexts] = times
    of_context = counts.sum(0, keepdims=True) ** SMOOTHING
    expected = counts.sum(1, keepdims=True) * (of_context / of_context.sum())
    # a pair that never occurs tells nothing, and log 0 is cut at 0 like all that is below
    ratio = np.ones_like(counts)
    np.divide(counts, expected, out=ratio, where=counts > expected)
    return np.log(ratio, out=ratio)
