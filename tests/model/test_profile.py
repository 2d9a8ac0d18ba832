"""The profile: exponents of made-up curves, memory by hand, every part of a model there."""

import numpy as np
import pytest
import torch
from torch import nn

from model.batches import gather
from model.profile import PARTS, WHOLE, components, exponent, measured, profile
from tests.model.readers import text_model


def batch_of(length: int):  # type: ignore[no-untyped-def]
    text = text_model()
    split = text.split([text.ids("The cat sat on the mat and saw a bird. " * 8)])
    return gather(split, np.zeros((1, length), np.int64), np.arange(length)[None])


def test_exponents_are_slopes_with_their_error() -> None:
    assert exponent([1, 2, 4, 8], [3, 12, 48, 192]) == {
        "exponent": pytest.approx(2.0),
        "standard_error": pytest.approx(0.0, abs=1e-9),
    }
    # by hand: logs to base 2 are x = 0, 1, 2 and y = 0, 1, 1: slope 1/2, residuals ∓1/6, ±1/3, so √(1/6 / 1 / 2)
    found = exponent([1, 2, 4], [1, 2, 2])
    assert found["exponent"] == pytest.approx(0.5)
    assert found["standard_error"] == pytest.approx((1 / 12) ** 0.5)
    assert exponent([1, 2], [1, 2]) == {"exponent": None, "standard_error": None}


def test_memory_is_what_is_kept_for_going_back_without_weights() -> None:
    linear, x = nn.Linear(64, 32, bias=False), torch.ones(128, 64)
    kept = measured(lambda: linear(x), repeats=1)
    assert kept.saved_mib == pytest.approx(128 * 64 * 4 / 2**20)
    twice = measured(lambda: x.requires_grad_() * x, repeats=1)
    assert twice.saved_mib == pytest.approx(128 * 64 * 4 / 2**20)  # one storage, saved twice
    assert measured(lambda: None, repeats=1).saved_mib == 0


def test_every_part_of_a_model_costs_something_and_the_parts_are_the_whole() -> None:
    model = text_model().model
    found = components(model, batch_of(24), repeats=1)
    assert list(found) == [*PARTS, WHOLE]
    assert all(cost.ms > 0 for name, cost in found.items() if name != "attention")
    assert sum(found[name].saved_mib for name in PARTS) == pytest.approx(found[WHOLE].saved_mib, rel=0.35)
    assert all(weight.grad is None for weight in model.parameters())


def test_a_profile_has_rows_by_length_and_exponents_by_part() -> None:
    found = profile(text_model().model, batch_of, [8, 16, 32], repeats=1)
    assert {row["tokens"] for row in found["rows"]} == {8, 16, 32}
    assert set(found["memory_exponent"]) == {*PARTS, WHOLE}
    # what a linear map keeps is its input: as many times as many pieces
    assert found["memory_exponent"]["feed-forward"]["exponent"] == pytest.approx(1.0, abs=1e-6)
    assert found["memory_exponent"]["attention"]["exponent"] > 1
    with pytest.raises(ValueError, match="at least 3"):
        profile(text_model().model, batch_of, [8, 16], repeats=1)
