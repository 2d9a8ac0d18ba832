"""Raw documents as the words that spaCy's tokenizer makes of them, in stretches of a thousand words or so.

A stretch is a document, or some of its paragraphs in a row: what is chosen to be learnt from or annotated is chosen by
stretches, so that a choice among few books is spread as widely as one among many reviews.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language

from pipeline.corpus import Document, read_documents
from pipeline.fit.tokenizer import book_body
from pipeline.fit.vectors import BREAK

STRETCH = 1000
"""Words after which a stretch ends with its paragraph."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Words of some paragraphs; `orth` are spaCy's numbers of the forms."""

    corpus: int
    """Which of the inputs it is from."""
    document: str
    begins: bool
    """Whether the document begins here."""
    orth: NDArray[np.uint64]
    space: NDArray[np.bool_]
    """Whether a space comes before the word; at the beginning of a paragraph always."""
    paragraph: NDArray[np.bool_]
    """Whether a paragraph begins with the word."""


def read_stretches(inputs: Sequence[str | Path], nlp: Language) -> Iterator[Stretch]:
    """Stretches of all documents of the inputs, in order; each input is a corpus. Spaces of any length are one."""
    for corpus, each in enumerate(inputs):
        for document in read_documents([each]):
            if isinstance(document, Document):
                yield from _stretches(document, corpus, nlp)


def paragraphs(document: Document) -> list[str]:
    """Paragraphs, none empty. WikiText has one a line; elsewhere a blank line or an HTML break parts them."""
    text = book_body(document.text)
    parts = text.splitlines() if document.source.endswith(".tokens") else BREAK.split(text)
    return [" ".join(part.split()) for part in parts if part.strip()]


def _stretches(document: Document, corpus: int, nlp: Language) -> Iterator[Stretch]:
    gathered: list[NDArray[np.uint64]] = []
    begins, words = True, 0
    for paragraph in paragraphs(document):
        tokens: Any = nlp.tokenizer(paragraph).to_array(["ORTH", "SPACY"])
        gathered.append(tokens.astype(np.uint64))
        words += len(tokens)
        if words >= STRETCH:
            yield _stretch(document, corpus, gathered, begins)
            gathered, begins, words = [], False, 0
    if gathered:
        yield _stretch(document, corpus, gathered, begins)


def _stretch(document: Document, corpus: int, gathered: Sequence[NDArray[np.uint64]], begins: bool) -> Stretch:
    tokens = np.concatenate(gathered)
    paragraph = np.zeros(len(tokens), bool)
    paragraph[np.cumsum([0, *map(len, gathered[:-1])])] = True
    space = np.append(True, tokens[:-1, 1] > 0) | paragraph
    return Stretch(corpus, document.id, begins, tokens[:, 0].copy(), space, paragraph)


def choose(corpora: Sequence[int], sizes: Sequence[int], words: int, seed: int) -> NDArray[np.bool_]:
    """bool: which stretches to take, about so many words: as evenly from all corpora as these have text, at random.

    corpora, sizes: corpus and words of each stretch.
    """
    corpus, size = np.asarray(corpora, np.int64), np.asarray(sizes, np.int64)
    chosen = np.zeros(len(size), bool)
    if not len(size):
        return chosen
    available = np.bincount(corpus, weights=size).astype(np.int64)
    chance = np.random.default_rng(seed)
    for number, share in enumerate(_even_shares(available.tolist(), words)):
        order = chance.permutation(np.flatnonzero(corpus == number))
        before = np.cumsum(size[order]) - size[order]
        chosen[order[before < share]] = True
    return chosen


def _even_shares(available: Sequence[int], total: int) -> list[int]:
    """Parts of the total, equal but where a corpus has less; what it lacks the others give."""
    shares = [0] * len(available)
    for left, number in enumerate(sorted(range(len(available)), key=lambda number: available[number])):
        shares[number] = min(available[number], (total - sum(shares)) // (len(available) - left))
    return shares
