"""Latent attention: a small cache, grouped keys, packed rows in blocks of queries."""

import pytest
import torch

from model.attention import latent
from model.attention.latent import LatentAttention
from model.config import ModelConfig
from model.config.latent import LatentConfig
from model.layer import context_of_places
from tests.model.toy import toy_context


def made(**said: int) -> LatentAttention:
    torch.manual_seed(0)
    return LatentAttention(ModelConfig(dim=64, heads=4, kv_heads=2, latent=LatentConfig(**said))).double()


@pytest.mark.parametrize(("said", "each"), [({}, 64 + 8), ({"rank": 10, "rotary": 4}, 14)])
def test_a_stream_keeps_a_latent_and_a_turned_key_a_piece_and_nothing_else(said: dict[str, int], each: int) -> None:
    layer, rows = made(**said), 3
    state, begins = layer.begin(rows), torch.ones(rows, dtype=torch.bool)
    for _ in range(5):
        _, state = layer.step(torch.randn(rows, 64, dtype=torch.float64), begins, state)
        begins = torch.zeros_like(begins)
    assert state.kept.numel() == rows * 5 * each  # keys and values of 4 heads of 16 would be 128 a piece
    assert state.begin.numel() == rows


def test_packed_rows_in_blocks_of_queries_are_what_one_mask_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    for causal in (True, False):
        _, context = toy_context([[30, 11], [17]])
        context = context._replace(causal=causal)
        layer, x = made(query_rank=6), torch.randn(2, 41, 64, dtype=torch.float64)
        whole = layer(x, context)
        monkeypatch.setattr(latent, "BLOCK", 7)
        torch.testing.assert_close(layer(x, context), whole, rtol=1e-12, atol=1e-12)
        monkeypatch.undo()


def test_one_sequence_a_row_needs_no_mask() -> None:
    layer, x = made(), torch.randn(2, 23, 64, dtype=torch.float64)
    context = layer.prepare(context_of_places(2, 23))
    assert context.plans[latent.ALONE]
    masked = context._replace(plans={latent.ALONE: False})
    torch.testing.assert_close(layer(x, context), layer(x, masked), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("said", [{"rank": -1}, {"rotary": 3}, {"query_rank": -2}])
def test_unfit_settings_are_named(said: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"latent.{next(iter(said))}"):
        LatentConfig(**said)
