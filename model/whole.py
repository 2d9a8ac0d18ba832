"""Attributes for models that read the whole input: every word closed, every sentence boundary known from the start.

Nothing here is for causal models: a split whose attributes know the whole text says so (`Split.causal` is false), and
its contexts are not causal.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from model.batches import Batch, read_places
from model.bonds import stretches
from model.columns import Split, split_of
from model.evaluate.leak import known_of

if TYPE_CHECKING:
    from model.evaluate.leak import Annotator


def whole_split(split: Split) -> Split:
    """The split as a model sees it that has read each document to its end. O(pieces)."""
    columns, pieces = dict(split.columns), np.arange(len(split.columns["pieces"]))
    document = np.repeat(np.arange(len(split.documents)), split.pieces())
    begin = split.offset[document]
    # Where anybody ever says that a sentence begins, it begins for all who come after.
    begins = np.zeros(len(pieces), dtype=bool)
    begins[begin + columns["sentence_start"]] = True
    latest = np.maximum.accumulate(np.where(begins, pieces, 0))
    columns["sentence_start"] = (latest - begin).astype(columns["sentence_start"].dtype)
    has = split.pieces() > 0
    words = np.zeros(len(split.documents), columns["closed_word"].dtype)
    words[has] = columns["last_word"][split.offset[1:][has] - 1] + 1
    columns["closed_word"] = words[document]
    columns["input_tag"] = columns["key_tag"]
    return replace(split, columns=columns, causal=False)


def reread(batch: Batch, ids: NDArray[np.int64], annotator: "Annotator", end: int) -> Batch:
    """The batch with other ids, and with attributes made of these ids alone, each stretch of a document for itself.

    ids: int64 [B,N]. end: the piece that ends a document; it closes the last word of a stretch, and is read by nobody.
    Targets stay. Cost: that of the annotator.
    """
    document_BN = batch.context.document.numpy()
    place, position = np.full_like(document_BN, -1), np.zeros_like(document_BN)
    texts: list[NDArray[np.int32]] = []
    for row, owners in enumerate(document_BN):
        for first, stop in stretches(owners):
            place[row, first:stop], position[row, first:stop] = len(texts), np.arange(stop - first)
            texts.append(np.append(ids[row, first:stop], end).astype(np.int32))
    split = whole_split(_annotated(texts, annotator))
    read, context = read_places(split, place, position)
    return Batch(read, batch.targets, context)


def _annotated(texts: Sequence[NDArray[np.int32]], annotator: "Annotator") -> Split:
    known = [known_of(annotator, ids) for ids in texts]
    said = [each for each in known if each is not None]
    documents = {str(number): (ids, annotator.annotate(ids)) for number, ids in enumerate(texts)}
    return split_of(documents, said if len(said) == len(known) and said else None, causal=False)
