"""Drawing: which pieces may come, how often, and what is refused."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model.generate.sampling import Sampling, draw

ODDS = np.array([0.4, 0.3, 0.15, 0.1, 0.05])
NONE = np.zeros(5, bool)


def drawn(forbidden: NDArray[np.bool_] = NONE, draws: int = 2000, **given: Any) -> NDArray[np.float64]:
    """How often each piece comes."""
    sampling = Sampling(**given)
    random = sampling.generator()
    found = [draw(np.log(ODDS), sampling, forbidden, random) for _ in range(draws)]
    return np.bincount(found, minlength=5) / draws


def test_pieces_come_as_often_as_they_are_likely() -> None:
    np.testing.assert_allclose(drawn(draws=20_000), ODDS, atol=0.015)
    hot = ODDS**0.5 / (ODDS**0.5).sum()
    np.testing.assert_allclose(drawn(draws=20_000, temperature=2.0), hot, atol=0.015)


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ({"top_k": 2}, 2),
        ({"top_k": 9}, 5),
        ({"top_p": 0.7}, 2),
        ({"top_p": 0.71}, 3),
        ({"top_p": 1e-9}, 1),
        ({"min_p": 0.3}, 3),
        ({"min_p": 1.0}, 1),
        ({"top_k": 3, "top_p": 0.9}, 3),
        ({"temperature": 0}, 1),
    ],
)
def test_limits_leave_the_likeliest(given: dict[str, Any], left: int) -> None:
    expected = np.where(np.arange(5) < left, ODDS, 0)
    found = drawn(**given)
    assert np.flatnonzero(found).tolist() == list(range(left))
    np.testing.assert_allclose(found, expected / expected.sum(), atol=0.05)


def test_forbidden_pieces_never_come() -> None:
    first = np.arange(5) == 0
    assert drawn(first, temperature=0)[1] == 1
    assert drawn(first, top_k=2)[[0, 3, 4]].sum() == 0
    with pytest.raises(ValueError, match="no piece is left"):
        drawn(np.ones(5, bool))


def test_of_equals_the_first_is_the_likeliest() -> None:
    assert draw(np.zeros(5), Sampling(temperature=0), NONE, np.random.default_rng(0)) == 0


def test_logits_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="no numbers"):
        draw(np.array([0.0, np.nan]), Sampling(), np.zeros(2, bool), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"temperature": -1}, "temperature is -1"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_k": -1}, "top_k is -1"),
        ({"top_p": 0}, "top_p is 0"),
        ({"min_p": 2}, "min_p is 2"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_settings_that_mean_nothing_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Sampling(**given)
