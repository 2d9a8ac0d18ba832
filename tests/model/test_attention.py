"""Mechanisms: fast equals slow in value and gradient, for all in the table."""

import pytest
import torch
from torch import Tensor

from model.attention.heads import alibi_slopes
from model.attention.rotary import rotate, turn_of
from model.attention.views import ViewsAttention, attend, attend_slow, view_bias
from model.config import ModelConfig
from model.parse import parse
from model.views import View
from tests.model.toy import toy_context

HEADS = ("dense", "dense", "sentence", "pos & sentences(2)", "window(5) | ~pos", "dense")
"""Neighbours of one view, and a view that comes back."""


@pytest.mark.parametrize("positions", ["rotary", "alibi"])
@pytest.mark.parametrize(
    ("rows", "opened"),
    [([[1]], None), ([[7], [2, 3]], None), ([[63], [31, 20]], None), *(([[7], [2, 3]], part) for part in (0, 0.3, 1))],
)
def test_attention_through_views_equals_its_slow_twin(
    rows: list[list[int]], opened: float | None, positions: str
) -> None:
    _, context = toy_context(rows, seed=1)
    if opened is not None:
        context = context._replace(opened=torch.tensor(opened, dtype=torch.float64))
    views = [parse(view) for view in HEADS]
    layer = ViewsAttention(ModelConfig(heads=6, dim=24, views=HEADS, positions=positions)).double()
    context = layer.prepare(context)
    B, N = context.document.shape
    generator = torch.Generator().manual_seed(0)
    qkv = torch.randn(3, B, len(HEADS), N, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    q, k, v = qkv.unbind(0)
    fast, slow = attend(q, k, v, context.biases[layer.look]), attend_slow(q, k, v, views, layer.slopes, context)
    torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-12)
    upstream = torch.randn(
        fast.shape, dtype=torch.float64, generator=generator
    )  # a plain sum would leave some untested
    (ours,), (true,) = (torch.autograd.grad(each, qkv, upstream) for each in (fast, slow))
    torch.testing.assert_close(ours, true, rtol=1e-11, atol=1e-11)


def test_open_views_are_dense_and_closed_ones_are_themselves() -> None:
    _, context = toy_context([[9], [4, 3]])
    views = [parse("sentence"), parse("pos & window(3)")]

    def bias(opened: float | None, *looks: View) -> Tensor:
        at = None if opened is None else torch.tensor(opened)
        return view_bias(looks or views, (), context._replace(opened=at), torch.float32)

    assert torch.equal(bias(1.0), bias(None, parse("dense")).expand(-1, 2, -1, -1))
    assert torch.equal(bias(0.0), bias(None))
    half = bias(0.5)
    assert set(half.unique().tolist()) == {0.0, float("-inf"), torch.tensor(0.5).log().item()}
    assert torch.equal(half == 0, bias(None) == 0)


def test_heads_of_one_view_share_a_bias_of_one_head_unless_slopes_part_them() -> None:
    _, context = toy_context([[9]])
    for positions, heads in (("rotary", 1), ("alibi", 4)):
        layer = ViewsAttention(ModelConfig(heads=4, dim=8, views=("sentence",), positions=positions))
        assert layer.prepare(context).biases[layer.look].shape == (1, heads, 9, 9)
    assert alibi_slopes(8) == tuple(2.0**-power for power in range(1, 9))  # the paper's own example


def test_a_layer_makes_a_bias_of_its_own_where_the_context_has_none() -> None:
    _, context = toy_context([[9]])
    torch.manual_seed(0)
    layer = ViewsAttention(ModelConfig(heads=2, dim=8, views=("dense", "sentence")))
    prepared = layer.prepare(context)
    assert list(prepared.biases) == ["dense, sentence"]
    assert layer.prepare(prepared) is prepared
    x_BNM = torch.randn(1, 9, 8)
    assert torch.equal(layer(x_BNM, context), layer(x_BNM, prepared))


def test_rotation_leaves_lengths_and_makes_scores_depend_on_distance() -> None:
    torch.manual_seed(0)
    q_D, k_D = torch.randn(2, 8, dtype=torch.float64)
    turn = turn_of(40, 8, torch.device("cpu"), torch.float64)
    turned_q_ND, turned_k_ND = (rotate(x_D.expand(1, 1, 40, 8), turn)[0, 0] for x_D in (q_D, k_D))
    torch.testing.assert_close(turned_q_ND.norm(dim=1), q_D.norm().expand(40))
    score_NN: Tensor = turned_q_ND @ turned_k_ND.T
    torch.testing.assert_close(score_NN[1:, 1:], score_NN[:-1, :-1])
    assert not torch.allclose(score_NN[0, 0], score_NN[0, 1])


def test_angles_that_generation_kept_serve_training_too() -> None:
    at = (11, 6, torch.device("cpu"), torch.float64)
    with torch.inference_mode():
        turn_of(*at)
    x = torch.randn(1, 1, 11, 6, dtype=torch.float64, requires_grad=True)
    rotate(x, turn_of(*at)).sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
