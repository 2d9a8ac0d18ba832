"""Sentences to learn tags and arcs from: a treebank's, or a parser's, in its own words or in the annotator's.

The annotator cuts some words otherwise than a treebank (`don` `'t` for `do` `n't`). Each of its words takes tag and
features of the word that its first character belongs to; an arc runs between the first of the annotator's words that
belong to either end; what else belongs to a word hangs on the first.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.corpus import Document, read_documents
from pipeline.parsers import load_parser
from pipeline.prefix.fast import read_text
from pipeline.prefix.state import SENTENCE_WORDS
from pipeline.prefix.text import Alphabet
from pipeline.records import Strings, Words

Bools = NDArray[np.bool_]

LINE_BREAK = re.compile(r"<br ?/?>")
"""As film reviews have it."""
LONGEST = 50_000
"""Characters of a document: of a book, a chapter or two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """Words as columns [W], sentence after sentence."""

    form: Strings
    tag: NDArray[np.uint8]
    """Position in UPOS."""
    feats: Strings
    head: NDArray[np.int64]
    """Row of the head in the same sentence, -1 if it has none there."""
    first: NDArray[np.int64]
    """[S + 1] row where each sentence begins, and W at the end; none is longer than SENTENCE_WORDS."""

    def __len__(self) -> int:
        return len(self.tag)


def read_treebank(path: Path) -> tuple[Words, list[Document]]:
    """Gold words of a CoNLL-U file, and its documents as raw text."""
    documents = [each for each in read_documents([path]) if isinstance(each, Document)]
    return load_parser("conllu", str(path)).parse(documents)[0], documents


def raw_documents(inputs: Sequence[str], words: int) -> Iterator[Document]:
    """Documents of raw text, about so many words, each input giving an equal share; of long ones the beginning."""
    for each in inputs:
        left = words // len(inputs)
        for document in read_documents([each]):
            if left <= 0:
                break
            if isinstance(document, Document):
                text = LINE_BREAK.sub("\n", document.text[:LONGEST])
                left -= len(text.split())
                yield replace(document, text=text)


def own_words(words: Words) -> Examples:
    """The words as they are."""
    number = np.arange(len(words)) - words.sentence_first()
    return _examples(words.text, words.upos, words.feats, words.head.astype(np.int64), number % SENTENCE_WORDS == 0)


def annotators_words(words: Words, documents: Sequence[Document], alphabet: Alphabet) -> Examples:
    """The annotator's words and sentences on the texts of the documents, which are those of `words`."""
    forms, owners, heads, begins = list[str](), list[NDArray[np.int64]](), list[NDArray[np.int64]](), list[Bools]()
    place = np.searchsorted(words.document, np.arange(len(documents) + 1))
    rows = 0
    for document, first, last in zip(documents, place[:-1].tolist(), place[1:].tolist(), strict=True):
        found = read_text(alphabet, document.text)
        if not len(found.begin) or first == last:
            continue
        start = words.start[first:last].astype(np.int64)
        forms += [document.text[b:e] for b, e in zip(found.begin.tolist(), found.end.tolist(), strict=True)]
        owner = np.searchsorted(start, found.begin, side="right") - 1
        owner = np.searchsorted(start, start[np.maximum(owner, 0)], side="left")  # the first of those that share a span
        mine = np.minimum(np.searchsorted(found.end, start, side="right"), len(found.begin) - 1)
        chief = mine[owner]
        up = words.head[first:last].astype(np.int64) - first
        above = np.where(up[owner] >= 0, mine[np.maximum(up[owner], 0)], -1)
        head = np.where(chief == np.arange(len(chief)), above, chief)
        head[head == np.arange(len(head))] = -1
        owners.append(owner + first)
        heads.append(np.where(head >= 0, head + rows, -1))
        begins.append(np.append(True, np.diff(found.sentence) != 0))
        rows += len(head)
    owner = np.concatenate(owners) if owners else np.empty(0, np.int64)
    head = np.concatenate(heads) if heads else np.empty(0, np.int64)
    begin = np.concatenate(begins) if begins else np.empty(0, bool)
    return _examples(Strings.of(forms), words.upos[owner], words.feats.take(owner), head, begin)


def _examples(form: Strings, tag: NDArray[np.uint8], feats: Strings, head: NDArray[np.int64], begin: Bools) -> Examples:
    sentence = np.cumsum(begin)
    head = np.where((head >= 0) & (sentence[head] == sentence), head, -1)
    return Examples(form=form, tag=tag, feats=feats, head=head, first=np.append(np.flatnonzero(begin), len(begin)))
