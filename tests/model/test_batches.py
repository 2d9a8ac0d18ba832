"""Batches: every piece exactly once, nothing across documents, and exact resume."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.batches import NO_TARGET, Batch, TrainingRows, evaluation_batches
from model.columns import Split
from tests.model.toy import toy_split

LENGTHS = st.lists(st.integers(2, 40), min_size=1, max_size=8)


def pairs(batch: Batch, split: Split) -> list[tuple[int, int, int]]:
    """(document, piece, next piece) of every place that holds a piece."""
    rows = zip(batch.context.document.flatten(), batch.ids.flatten(), batch.targets.flatten(), strict=True)
    return [(int(document), int(piece), int(target)) for document, piece, target in rows if document >= 0]


def expected(split: Split) -> list[tuple[int, int, int]]:
    """The same of all documents, straight from the columns."""
    found = []
    for document, begin in enumerate(split.offset[:-1]):
        ids = split.columns["pieces"][begin : split.offset[document + 1]].tolist()
        found += [(document, piece, following) for piece, following in pairwise(ids)]
    return sorted(found)


def rows_of_an_epoch(rows: TrainingRows) -> list[tuple[int, int, int]]:
    """All pairs until the epoch ends; rows must give one row a batch."""
    found, epoch = pairs(rows.next(), rows.split), rows.epoch
    while rows.position < len(rows._plan.order):
        found += pairs(rows.next(), rows.split)
    assert rows.epoch == epoch
    return found


@given(LENGTHS, st.integers(1, 16), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_an_epoch_of_training_predicts_every_piece_once(lengths: list[int], length: int, seed: int) -> None:
    split = toy_split(lengths, seed)
    rows = TrainingRows(split, rows=1, length=length, seed=seed)
    for _ in range(2):
        assert sorted(rows_of_an_epoch(rows)) == expected(split)


@given(LENGTHS, st.integers(1, 16), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_evaluation_predicts_every_piece_once(lengths: list[int], length: int, rows: int) -> None:
    split = toy_split(lengths)
    batches = list(evaluation_batches(split, rows=rows, length=length))
    assert sorted(pair for batch in batches for pair in pairs(batch, split)) == expected(split)
    assert all(batch.ids.shape[0] <= rows and batch.ids.shape[1] <= length for batch in batches)
    targets = torch.cat([batch.targets.flatten() for batch in batches])
    valid = torch.cat([batch.context.valid().flatten() for batch in batches])
    assert torch.equal(targets != NO_TARGET, valid)


def test_a_row_tells_positions_by_the_row_and_never_before_its_sequence() -> None:
    # One document cut into rows of six: sentence starts before the cut stand at the row's first place.
    split = toy_split([40], seed=7)
    starts = split.columns["sentence_start"]
    assert len(set(starts.tolist())) > 2, "the document must have sentences for this test to say anything"
    batches = list(evaluation_batches(split, rows=1, length=6))
    for number, batch in enumerate(batches):
        width = batch.ids.shape[1]
        wanted = np.maximum(starts[6 * number : 6 * number + width] - 6 * number, 0)
        assert batch.context.sentence_start[0].tolist() == wanted.tolist()


def test_packed_documents_begin_where_they_lie_in_the_row() -> None:
    split = toy_split([5, 9, 7])
    batch = TrainingRows(split, rows=2, length=32, seed=3).next()
    for document, start, first in zip(
        batch.context.document[0], batch.context.sentence_start[0], batch.context.sequence_start()[0], strict=True
    ):
        assert start >= first
        assert batch.context.document[0, first] == document


def test_a_resumed_loader_gives_what_it_would_have_given() -> None:
    split = toy_split([20, 9, 33, 4])
    whole = TrainingRows(split, rows=3, length=8, seed=5)
    first = [whole.next() for _ in range(7)]
    state = whole.state()
    later = [whole.next() for _ in range(9)]  # goes through several epochs
    resumed = TrainingRows(split, rows=3, length=8, seed=5)
    resumed.resume(state)
    for batch in later:
        again = resumed.next()
        assert torch.equal(again.ids, batch.ids)
        assert all(torch.equal(one, other) for one, other in zip(again.context[:7], batch.context[:7], strict=True))
    assert any(not torch.equal(one.ids, other.ids) for one, other in zip(first, later, strict=False))


def test_epochs_and_seeds_differ() -> None:
    split = toy_split([30, 30, 30])  # 87 pairs: one batch is one epoch
    one, other = (TrainingRows(split, rows=87, length=1, seed=seed) for seed in (0, 1))
    first, second = one.next(), one.next()
    assert not torch.equal(first.ids, second.ids)
    assert not torch.equal(first.ids, other.next().ids)


def test_epochs_cut_a_document_at_different_places() -> None:
    rows = TrainingRows(toy_split([100]), rows=1, length=10, seed=0)
    paddings = set()
    while rows.epoch < 5:
        valid = rows.next().context.valid()[0]
        if not valid[0]:
            paddings.add(int((~valid).sum()))
    assert len(paddings) > 2


def test_a_measured_part_is_spread_over_the_split() -> None:
    split = toy_split([30] * 20)
    batches = list(evaluation_batches(split, rows=4, length=10, pieces=100))
    documents = torch.cat([batch.context.document.flatten() for batch in batches])
    assert 80 <= (documents >= 0).sum() <= 100
    assert {0, 19} <= set(documents.tolist())


def test_no_training_documents_is_an_error() -> None:
    with pytest.raises(ValueError, match="no training documents"):
        TrainingRows(toy_split([]), rows=1, length=4, seed=0)
