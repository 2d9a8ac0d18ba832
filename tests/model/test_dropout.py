"""Dropout by key and place: as often as said, another draw at each key, layer and place, the same on every call."""

import pytest
import torch
from torch import Tensor

from model.dropout import Noise, drop, step_key


def noise(rate: float, seed: int = 0, step: int = 0) -> Noise:
    return Noise(step_key(torch.tensor(seed), torch.tensor(step)), torch.tensor(rate))


def dropped(rate: float, layer: int = 0, call: int = 0, **key: int) -> Tensor:
    """float64 [400, 500]: 0 where dropped."""
    return drop(torch.ones(400, 500, dtype=torch.float64), noise(rate, **key).spread(3)[layer], call)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_as_many_entries_are_dropped_as_said_and_the_rest_makes_up_for_them(rate: float) -> None:
    x = dropped(rate)
    spread = (rate * (1 - rate) / x.numel()) ** 0.5
    assert abs(float((x == 0).double().mean()) - rate) < 4 * spread
    assert torch.allclose(x[x != 0], torch.tensor(1 / (1 - rate), dtype=torch.float64), rtol=1e-6)
    for along in (0, 1):  # no row or column is drawn otherwise than the others
        off = ((x == 0).double().mean(along) - rate) / (rate * (1 - rate) / x.shape[along]) ** 0.5
        assert off.abs().max() < 5
        assert 0.8 < float(off.square().mean()) < 1.25


def test_draws_of_other_keys_layers_and_places_have_nothing_to_do_with_each_other() -> None:
    draws = [
        dropped(0.5),
        dropped(0.5, layer=1),
        dropped(0.5, call=1),
        dropped(0.5, seed=1),
        dropped(0.5, step=1),
        dropped(0.5).roll(1, 1),
    ]
    signs = torch.stack([(x != 0).double().flatten() * 2 - 1 for x in draws])
    correlation = signs @ signs.T / signs.shape[1] - torch.eye(len(draws))
    assert correlation.abs().max() < 5 * signs.shape[1] ** -0.5


def test_the_same_key_drops_the_same_and_rate_zero_drops_nothing() -> None:
    assert torch.equal(dropped(0.3, seed=4, step=7, layer=2), dropped(0.3, seed=4, step=7, layer=2))
    x = torch.randn(3, 5)
    assert torch.equal(drop(x, noise(0.0), 0), x)


def test_parts_of_a_batch_draw_what_the_whole_would() -> None:
    x = torch.ones(6, 5, 4)
    whole, halves = noise(0.5), [noise(0.5)._replace(part=torch.tensor(part)) for part in (0, 1)]
    parts = [drop(half, each.spread(2)[1], 1) for half, each in zip(x.chunk(2), halves, strict=True)]
    assert torch.equal(torch.cat(parts), drop(x, whole.spread(2)[1], 1))
    assert not torch.equal(*parts)
