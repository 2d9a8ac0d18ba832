"""Pieces for models that may read the whole input: words, tags and sentences of the parse, for all pieces of a word.

Nothing here is for a causal model: a piece is told its whole word. Every word is closed from the first piece on.
"""

from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.cache.blocks import BLOCK, document_rows, listed_columns
from pipeline.cache.lists import DocumentWords
from pipeline.corpus import Document
from pipeline.pieces import Tokenizer
from pipeline.prefix.state import NO_TAG

Ints = NDArray[np.int64]


def whole_rows(document: Document, tokenizer: Tokenizer, words: DocumentWords) -> pa.Table:
    """The blocks of a document, in the schema of the pieces layer with bonds; `state` is empty.

    Words and pieces meet by the characters that they cover, so that any tokenizer will do.
    """
    ids, begin, end = tokenizer.document_spans(document.text)
    columns = {"pieces": ids} | word_columns(begin, end, words)
    last = columns["last_word"].astype(np.int64)
    starts = np.arange(0, len(ids), BLOCK)
    asked = np.maximum(last[starts], 0), last[np.minimum(starts + BLOCK, len(ids)) - 1] + 1
    listed = listed_columns(words.lists, *asked)
    return document_rows(document, columns, [""] * len(starts), listed)


class Spans(Protocol):
    """Words by the characters that they cover: of a cache, or as a parser gives them."""

    @property
    def start(self) -> NDArray[np.int32]: ...
    @property
    def end(self) -> NDArray[np.int32]: ...
    @property
    def sentence(self) -> NDArray[np.int32]: ...
    @property
    def upos(self) -> NDArray[np.uint8]: ...


def word_columns(begin: Ints, end: Ints, words: Spans) -> dict[str, NDArray[Any]]:
    """What is known of pieces that cover the characters [begin, end) of a document; pieces that cover none stand where
    the piece before them ends. Columns as in the pieces layer, all but `pieces`."""
    count, ends = len(words.start), np.maximum.accumulate(words.end)
    last = np.searchsorted(words.start, end) - 1
    first = np.searchsorted(ends, begin, side="right")  # count, and so after `last`, where no word follows
    inside = (first <= last) & (begin < end)
    first, last = np.where(inside, first, last), np.maximum.accumulate(last)
    tags = np.append(words.upos, NO_TAG)  # -1, for no word yet, finds the last entry
    return {
        "first_word": first.astype(np.int32),
        "last_word": last.astype(np.int32),
        "closed_word": np.full(len(begin), count, np.int32),
        "sentence_start": _sentence_starts(words.sentence, last),
        "input_tag": np.where(inside, tags[last], NO_TAG).astype(np.uint8),
        "key_tag": tags[last].astype(np.uint8),
    }


def _sentence_starts(sentence: NDArray[np.int32], last: Ints) -> NDArray[np.int32]:
    """int32 [N]: the first piece whose last word is of the same sentence; 0 before any word."""
    of_piece = np.append(sentence, 0)[last]  # before any word: of the first sentence
    return np.searchsorted(of_piece, of_piece).astype(np.int32)
