"""The baselines' own rules: what a window and BigBird see, what Linformer cannot, and what Performer is made of."""

import pytest
import torch

from model.attention.bigbird import BigBirdAttention
from model.attention.dense import DenseAttention
from model.attention.linformer import Linformer
from model.attention.performer import performer
from model.attention.window import WindowAttention
from model.config import ModelConfig, Recipe
from model.config.bigbird import BigBirdConfig
from model.config.linformer import LinformerConfig
from model.config.performer import PerformerConfig
from model.config.window import WindowConfig
from model.layer import attention, context_of_places
from tests.model.toy import toy_context


def test_a_window_sees_its_last_keys_and_no_anchors() -> None:
    layer = WindowAttention(ModelConfig(dim=24, heads=2, window=WindowConfig(reach=3)))
    assert [layer.keys(at, 9, causal=True) for at in (0, 1, 8)] == [[0], [0, 1], [6, 7, 8]]
    assert layer.keys(4, 9, causal=False) == [2, 3, 4, 5, 6]
    plan = layer.plan(context_of_places(1, 4096))
    assert plan.pairs() < 4096 * (3 + 32)


def test_bigbird_sees_near_first_and_drawn_keys() -> None:
    settings = BigBirdConfig(block=10, reach=2, first=3, random=2)
    layer = BigBirdAttention(ModelConfig(dim=24, heads=2, bigbird=settings), 1)
    for at in (0, 9, 10, 45, 99):
        keys = layer.keys(at, 100, causal=True)
        assert max(keys) == at
        assert {0, min(at, 1), min(at, 2), max(0, at - 1)} <= set(keys)
        far = {key // 10 for key in keys if key >= 3 and key < at - 1}
        assert far <= set(range(max(1, at // 10)))
        assert len(keys) <= 3 + 2 + 2 * 10
        # The draw is the same however long the text becomes.
        assert keys == layer.keys(at, 2000, causal=True)
    assert layer.keys(1, 100, causal=False) == list(range(100))
    other = BigBirdAttention(ModelConfig(dim=24, heads=2, bigbird=settings), 2)
    assert any(layer.keys(at, 400, causal=True) != other.keys(at, 400, causal=True) for at in range(200, 400, 10))


@pytest.mark.parametrize("causal", [True, False])
def test_bigbirds_pairs_grow_with_the_text_and_not_with_its_square(causal: bool) -> None:
    layer = BigBirdAttention(ModelConfig(dim=24, heads=2))
    few, many = (layer.plan(context_of_places(1, N, causal=causal)).pairs() for N in (4096, 16384))
    assert 3.5 < many / few < 4.5


def test_dense_asks_torchs_causal_kernel_where_it_can() -> None:
    layer = DenseAttention(ModelConfig(dim=24, heads=2))
    for context, alone in (
        (context_of_places(2, 9), True),
        (toy_context([[4, 5]])[1], False),
        (toy_context([[9], [5]])[1], False),
    ):
        prepared = layer.prepare(context)
        assert prepared.plans[layer.look] is alone
        assert bool(prepared.biases) is not alone


def test_linformer_is_not_causal_and_says_so_early() -> None:
    layer = Linformer(ModelConfig(dim=24, heads=2, linformer=LinformerConfig(slots=4, length=16)))
    with pytest.raises(ValueError, match="linformer mixes later pieces"):
        layer.prepare(context_of_places(1, 9))
    with pytest.raises(ValueError, match="'linformer', which does not know that order"):
        Recipe(name="wrong", model=ModelConfig(pattern=("dense", "linformer")))
    assert Recipe(name="right", model=ModelConfig(pattern=("linformer",), objective="masked")).model.pattern
    with pytest.raises(ValueError, match="16 places and a sequence has 17 pieces"):
        layer(torch.zeros(1, 17, 24), context_of_places(1, 17, causal=False))


def test_performer_is_linear_attention_with_its_papers_features() -> None:
    layer = performer(ModelConfig(dim=128, heads=2))
    assert layer.settings.features == "favor"
    assert layer.settings.threshold == 0
    assert layer.settings.dimension == 267  # 64 ln 64, rounded up
    assert PerformerConfig(dimension=32).linear(64).dimension == 32


@pytest.mark.parametrize("name", ["dense", "window", "bigbird", "linear", "performer"])
def test_each_is_a_layer_for_other_peoples_code(name: str) -> None:
    layer = attention(24, heads=2, mechanism=name)
    out = layer(torch.randn(2, 40, 24))
    out.sum().backward()
    assert out.shape == (2, 40, 24)


def test_linear_has_presets_of_its_own() -> None:
    assert attention(24, heads=2, mechanism="linear", preset="extreme").config.linear.threshold == 8
    assert attention(24, heads=2, mechanism="linear", preset="standard").config.linear.dimension == 64
    with pytest.raises(ValueError, match="preset is 'extreme'"):
        attention(24, heads=2, mechanism="window", preset="extreme")


@pytest.mark.parametrize("make", [WindowConfig, BigBirdConfig, LinformerConfig, PerformerConfig])
def test_settings_below_their_least_are_refused(make: type) -> None:
    for name in make.__dataclass_fields__:
        with pytest.raises(ValueError, match=name):
            make(**{name: -1})
