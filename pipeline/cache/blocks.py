"""Documents to rows of the pieces layer: one row a block of 4,096 pieces, with the annotator's state before it.

The state makes every block a place to go on from: a reader begins anywhere in a document without reading what is
before it.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.cache.schema import PIECES
from pipeline.corpus import Document
from pipeline.pieces import Tokenizer
from pipeline.prefix.fast import key_tags
from pipeline.prefix.state import Block, PrefixState

BLOCK = 4_096
"""Pieces in a row."""

COUNTED = ("first_word", "last_word", "closed_word", "sentence_start")
"""Attributes that count words or pieces of the document."""


class Annotator(Protocol):
    """What is asked of the left-to-right annotator: pipeline.prefix.PrefixAnnotator has it."""

    digest: str

    def start(self) -> PrefixState: ...

    def annotate_block(self, ids: NDArray[np.int32], state: PrefixState) -> Block: ...


def blocks_table(
    documents: Sequence[Document], tokenizer: Tokenizer, annotator: Annotator
) -> tuple[pa.Table, dict[str, str]]:
    """Rows of the pieces layer, in the order of the documents, and reason by id for documents that failed."""
    tables, failed = [], {}
    for document in documents:
        try:
            tables.append(_document_blocks(document, tokenizer, annotator))
        except (MemoryError, OSError, ImportError):  # no document is to blame for these
            raise
        except Exception as error:  # of one document; it must not take the others with it
            failed[document.id] = f"{type(error).__name__}: {error}"
    return pa.concat_tables(tables or [PIECES.empty_table()]).combine_chunks(), failed


def _document_blocks(document: Document, tokenizer: Tokenizer, annotator: Annotator) -> pa.Table:
    ids = tokenizer.document(document.text)
    starts = list(range(0, len(ids), BLOCK))
    state, states, blocks = annotator.start(), [], []
    for start in starts:
        states.append(state.to_json())
        blocks.append(annotator.annotate_block(ids[start : start + BLOCK], state))
        state = blocks[-1].state
    columns = {name: np.concatenate([getattr(block.attributes, name) for block in blocks]) for name in COUNTED}
    tags = np.concatenate([block.attributes.input_tag for block in blocks])
    closed = np.concatenate([block.closed_tags for block in blocks])
    # Not the blocks' own: a word that is open at the end of its block has its tag from the next one.
    keys = key_tags(columns["last_word"], closed, annotator.start())
    offsets = pa.array([*starts, len(ids)], pa.int32())
    lists = {"pieces": ids, **columns, "input_tag": tags, "key_tag": keys}
    rows = len(starts)
    about = {
        "document": [document.id] * rows,
        "split": [document.split] * rows,
        "block": range(rows),
        "start": starts,
        "document_pieces": [len(ids)] * rows,
        "document_bytes": [len(document.text.encode())] * rows,
    }
    arrays = {name: pa.ListArray.from_arrays(offsets, pa.array(values)) for name, values in lists.items()}
    return pa.table({**about, **arrays, "state": states}, schema=PIECES)
