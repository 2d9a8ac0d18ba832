"""Bits per byte against a count by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from model.context import Context
from model.evaluate.perplexity import evaluate, piece_loss
from tests.model.toy import VOCABULARY, toy_split


def half_sure(ids_BN: Tensor, context: Context) -> Tensor:
    """A model over four pieces: an even piece is followed by 2 with probability 1/2, else all are alike."""
    even = torch.tensor([1 / 6, 1 / 6, 1 / 2, 1 / 6]).log()
    return torch.where((ids_BN % 2 == 0)[:, :, None], even, torch.zeros(4))


def test_bits_per_byte_counts_all_bits_over_all_bytes() -> None:
    # begin=0, 2, 3, 2, end=1 (nine bytes) and begin=0, 2, end=1 (one byte).
    split = replace(
        toy_split([5, 3]),
        columns={**toy_split([5, 3]).columns, "pieces": np.array([0, 2, 3, 2, 1, 0, 2, 1], np.int32)},
        bytes=np.array([9, 1]),
    )
    # After 0 comes 2: 1 bit. After 2 comes 3 or 1: log2(6). After 3 comes 2: 2 bits. The end pieces count.
    bits = (1 + math.log2(6) + 2 + math.log2(6)) + (1 + math.log2(6))
    for rows, length in ((1, 1), (2, 3), (8, 100)):
        score = evaluate(half_sure, split, rows=rows, length=length)
        assert score is not None
        assert score.bits_per_byte == pytest.approx(bits / 10, rel=1e-6)
        assert score.perplexity == pytest.approx(2 ** (bits / 6), rel=1e-6)
        assert score.pieces == 6


def test_a_part_is_scaled_to_the_bytes_that_its_pieces_stand_for() -> None:
    # A model that knows nothing needs log2(60) bits a piece, wherever it is measured.
    split = replace(toy_split([41] * 10), bytes=np.full(10, 100))
    for pieces in (None, 80):
        score = evaluate(lambda ids, _: torch.zeros(*ids.shape, VOCABULARY), split, rows=4, length=8, pieces=pieces)
        assert score is not None
        assert score.bits_per_byte == pytest.approx(math.log2(VOCABULARY) * 400 / 1000, rel=1e-6)
        assert score.pieces == (pieces or 400)


def test_a_split_without_documents_has_no_score() -> None:
    assert evaluate(half_sure, toy_split([]), rows=1, length=4) is None


def test_loss_of_half_precision_logits_is_computed_in_32_bits() -> None:
    logits = torch.zeros(1, 1, 1000, dtype=torch.bfloat16)
    assert piece_loss(logits, torch.tensor([[3]])).item() == pytest.approx(math.log(1000), rel=1e-6)
