"""Compressed attention: summaries of finished blocks alone, without gaps, without the future."""

import pytest
import torch
from torch import Tensor

from model.attention import compressed
from model.attention.compressed import Blocks, CompressedAttention, blocks_of
from model.attention.near import Near
from model.config import ModelConfig
from model.config.compressed import CompressedConfig
from model.layer import context_of_places
from tests.model.toy import toy_context


def made(heads: int = 3, **said: object) -> CompressedAttention:
    torch.manual_seed(0)
    return CompressedAttention(ModelConfig(dim=8 * heads, heads=heads, compressed=CompressedConfig(**said))).double()  # type: ignore[arg-type]


def test_ratios_are_shared_out_among_the_heads() -> None:
    assert made(3).ratios == (1, 2, 4)
    assert made(8).ratios == (1, 1, 1, 2, 2, 2, 4, 4)
    assert made(2, ratios=(4,)).ratios == (4, 4)


def test_a_query_reaches_its_window_and_reach_times_ratio_pieces_before_it() -> None:
    context, N = context_of_places(1, 64), 64
    x = torch.randn(1, N, 24, dtype=torch.float64, requires_grad=True)
    for ratio, furthest in ((1, 4 + 3), (2, 4 + 6), (4, 4 + 12)):
        layer = made(3, ratios=(ratio,), window=4, reach=3)
        t = 4 * 12 + 3  # the window begins where a block does
        (grad,) = torch.autograd.grad(layer(x, context)[0, t].sum(), x)
        seen = grad[0].abs().sum(-1).nonzero().flatten().tolist()
        assert seen == list(range(t - furthest + 1, t + 1)), ratio


def test_a_summary_that_holds_the_query_s_own_unfinished_block_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test of law 1 must see the leak that it is there for."""
    context, cut = context_of_places(1, 40), 22  # in the midst of a block of 4
    layer, x = made(3, window=4, reach=3), torch.randn(1, 40, 24, dtype=torch.float64)
    later = torch.cat([x[:, :cut], torch.randn(1, 40 - cut, 24, dtype=torch.float64)], dim=1)

    def moved() -> Tensor:
        return (layer(x, context)[:, :cut] - layer(later, context)[:, :cut]).abs().max()

    assert moved() < 1e-12

    def leaky(near: Near, ratio: int, window: int, reach: int, heads: int) -> Blocks:
        """A window that ends a block later: what a query reads is then one block more, its own."""
        return blocks_of(near, ratio, 0, reach, heads)

    monkeypatch.setattr(compressed, "blocks_of", leaky)
    assert moved() > 1e-6


@pytest.mark.parametrize("ratio", [1, 2, 3, 4])
def test_no_piece_falls_between_blocks_and_window(ratio: int) -> None:
    _, context = toy_context([[23, 14, 2], [31]])
    layer = made(1, ratios=(ratio,), window=4, reach=30)
    x = torch.randn(2, 39, 8, dtype=torch.float64, requires_grad=True)
    out = layer(x, context)
    starts = context.sequence_start()
    for row, t in ((0, 22), (0, 30), (0, 38), (1, 30), (1, 2)):
        (grad,) = torch.autograd.grad(out[row, t].sum(), x, retain_graph=True)
        seen = grad[row].abs().sum(-1).nonzero().flatten().tolist()
        assert seen == list(range(int(starts[row, t]), t + 1))


def test_unfit_settings_are_named() -> None:
    for said in ({"ratios": ()}, {"ratios": (0,)}, {"window": 3}, {"reach": 0}):
        with pytest.raises(ValueError, match=f"compressed.{next(iter(said))}"):
            CompressedConfig(**said)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="positions"):
        CompressedAttention(ModelConfig(positions="alibi"))
