"""What the controls read off a document's columns: its words and sentences as they become known."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.columns import Split

Columns = Mapping[str, NDArray[Any]]
"""One document: an array a name of model.columns.COLUMNS, one entry a piece."""

Change = Callable[[int, Columns], dict[str, NDArray[Any]]]
"""(seed of the document, its honest columns) -> the columns that a control replaces."""


def document_columns(split: Split, number: int) -> Columns:
    """The columns of one document of a split."""
    part = slice(split.offset[number], split.offset[number + 1])
    return {name: array[part] for name, array in split.columns.items()}


def all_columns(split: Split) -> Iterator[Columns]:
    """The columns of each document."""
    return (document_columns(split, number) for number in range(len(split.documents)))


def words_of(columns: Columns) -> int:
    """Number of words begun."""
    return int(columns["last_word"][-1]) + 1 if len(columns["last_word"]) else 0


def sentence_bases(columns: Columns) -> NDArray[np.int64]:
    """int64 [S]: for each sentence the number of words begun before the piece where the sentence is first known.

    Never decreasing; equal neighbours are sentences without a word. Word w is of the last sentence whose base is <= w,
    which is known when the word begins.
    """
    known = np.flatnonzero(np.diff(columns["sentence_start"], prepend=-1))
    begun = np.concatenate([[0], columns["last_word"][:-1].astype(np.int64) + 1])
    return begun[known]
