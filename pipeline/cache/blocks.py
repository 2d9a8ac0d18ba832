"""Documents to rows of the pieces layer: one row a block of 4,096 pieces, with the annotator's state before it.

The state makes every block a place to go on from: a reader begins anywhere in a document without reading what is
before it. Where bonds are asked for, the words that closed before a block and may still be asked for in it have their
lists in it again, for the same reason.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.cache.lists import WordLists
from pipeline.cache.schema import PIECES, PIECES_WITH_BONDS
from pipeline.corpus import Document
from pipeline.errors import Failure
from pipeline.pieces import Tokenizer
from pipeline.prefix.fast import key_tags
from pipeline.prefix.state import Block, PrefixState

BLOCK = 4_096
"""Pieces in a row."""

COUNTED = ("first_word", "last_word", "closed_word", "sentence_start")
"""Attributes that count words or pieces of the document."""

RowsOf = Callable[[Document], pa.Table]
"""A document to its rows."""


class Annotator(Protocol):
    """What is asked of the left-to-right annotator: pipeline.prefix.PrefixAnnotator has it."""

    digest: str

    def start(self) -> PrefixState: ...

    def annotate_block(self, ids: NDArray[np.int32], state: PrefixState) -> Block: ...


def blocks_table(documents: Sequence[Document], rows_of: RowsOf, schema: pa.Schema) -> tuple[pa.Table, dict[str, str]]:
    """Rows of the pieces layer, in the order of the documents, and reason by id for documents that failed."""
    tables, failed = [], {}
    for document in documents:
        try:
            tables.append(rows_of(document))
        except (MemoryError, OSError, ImportError, Failure):  # no document is to blame for these
            raise
        except Exception as error:  # of one document; it must not take the others with it
            failed[document.id] = f"{type(error).__name__}: {error}"
    return pa.concat_tables(tables or [schema.empty_table()]).combine_chunks(), failed


def causal_rows(
    document: Document, tokenizer: Tokenizer, annotator: Annotator, lists: WordLists | None = None
) -> pa.Table:
    """The blocks of a document with the attributes that law 1 allows; lists: with the bonds of closed words.

    Errors: ValueError if pieces and lists count other words.
    """
    ids = tokenizer.document(document.text)
    state, states, blocks = annotator.start(), [], []
    for start in range(0, len(ids), BLOCK):
        states.append(state)
        blocks.append(annotator.annotate_block(ids[start : start + BLOCK], state))
        state = blocks[-1].state
    columns = {name: np.concatenate([getattr(block.attributes, name) for block in blocks]) for name in COUNTED}
    tags = np.concatenate([block.attributes.input_tag for block in blocks])
    closed = np.concatenate([block.closed_tags for block in blocks])
    # Not the blocks' own: a word that is open at the end of its block has its tag from the next one.
    keys = key_tags(columns["last_word"], closed, annotator.start())
    listed = None
    if lists is not None:
        if len(lists) != state.closed:
            raise ValueError(f"its pieces close {state.closed} words, its parse has {len(lists)}")
        before = np.array([each.closed for each in states])
        listed = listed_columns(lists, np.maximum(before - 1, 0), np.append(before[1:], state.closed))
    pieces = {"pieces": ids, **columns, "input_tag": tags, "key_tag": keys}
    return document_rows(document, pieces, [each.to_json() for each in states], listed)


def listed_columns(lists: WordLists, first: NDArray[np.int64], stop: NDArray[np.int64]) -> dict[str, pa.Array]:
    """The columns that the layer has with bonds: the lists of the words [first, stop) of each block."""
    return {"first_listed": pa.array(first.astype(np.int32)), **lists.of_words(first, stop)}


def document_rows(
    document: Document,
    columns: Mapping[str, NDArray[np.generic]],
    states: Sequence[str],
    listed: Mapping[str, pa.Array] | None,
) -> pa.Table:
    """Rows of a document, in the schema of the layer without or with bonds. columns: of all its pieces, by name."""
    size = len(columns["pieces"])
    starts = list(range(0, size, BLOCK))
    offsets = pa.array([*starts, size], pa.int32())
    rows = len(starts)
    about = {
        "document": [document.id] * rows,
        "split": [document.split] * rows,
        "block": range(rows),
        "start": starts,
        "document_pieces": [size] * rows,
        "document_bytes": [len(document.text.encode())] * rows,
    }
    arrays = {name: pa.ListArray.from_arrays(offsets, pa.array(values)) for name, values in columns.items()}
    schema = PIECES if listed is None else PIECES_WITH_BONDS
    return pa.table({**about, **arrays, "state": list(states), **(listed or {})}, schema=schema)
