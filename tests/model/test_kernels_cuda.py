"""The kernel of views and FlexAttention on a GPU: value and gradient against dense masks."""

import numpy as np
import pytest
import torch
from torch import Tensor

from model.attention.views import ViewsAttention, attend, view_bias
from model.config import ModelConfig
from model.context import BondLists, Context
from model.kernels import choose
from model.kernels.covers import cover_of
from model.kernels.pairs import line_of
from model.kernels.program import Launch, Shape, program_of
from model.kernels.triton_views import attend_program
from model.parse import parse
from pipeline.records import KINDS
from tests.model.toy import toy_context, with_toy_bonds

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")

VIEWS = ("dense", "sentence", "(pos & sentences(2)) | open", "window(40)")
NEAR = ("window(1)", "window(200)", "sentence", "pos & sentences(2)", "(pos & sentences(2)) | open", "~(~sentence)")
NEAR += ("sentences(3) & ~blocked", "bonds")
SHAPES = (
    Shape(),
    Shape(128, 128, Launch(64, 8), Launch(64, 8), Launch(64, 8)),
    Shape(16, 16, Launch(32, 1), Launch(64, 2), Launch(64, 1)),
    Shape(32, 64, Launch(64, 2, 3), Launch(32, 1, 2), Launch(32, 4, 3, 128)),
)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("positions", ["rotary", "alibi"])
@pytest.mark.parametrize("key_heads", [8, 4, 1])
@pytest.mark.parametrize("rows", [[[600], [300, 200]], [[1024, 1024]]])
@pytest.mark.parametrize("path", ["kernel", "flex"])
def test_a_layer_equals_dense_masks(
    path: str,
    rows: list[list[int]],
    key_heads: int,
    positions: str,
    causal: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, context = toy_context(rows, seed=1)
    context = with_toy_bonds(context._replace(causal=causal)).to("cuda")
    torch.manual_seed(0)
    config = ModelConfig(dim=256, heads=8, kv_heads=key_heads, views=VIEWS, positions=positions)
    layer = ViewsAttention(config).cuda()
    x = torch.randn(*context.document.shape, 256, device="cuda", requires_grad=True)
    up = torch.randn_like(x).masked_fill(~context.valid()[:, :, None], 0.0)
    found = []
    for shortest in (1, 1 << 30):
        measured = {"kernel": choose.MEASURED["cuda"], "flex": choose.FLEX}[path]._replace(shortest=shortest, pair=0.0)
        monkeypatch.setitem(choose.MEASURED, "cuda", measured)
        prepared = layer.prepare(context)
        paths = {way.path for way in prepared.plans[layer.look]}
        assert (path in paths) == (shortest == 1)
        out = layer(x, prepared).masked_fill(~context.valid()[:, :, None], 0.0)
        found.append((out, *torch.autograd.grad(out, (x, layer.qkv.weight), up)))
    for ours, true in zip(*found, strict=True):
        torch.testing.assert_close(ours, true, rtol=1e-4, atol=1e-4 * float(true.abs().max()))


def case(seed: int, causal: bool, longest: int) -> Context:
    """Random documents packed in a few rows, with bonds; lengths from 1 up."""
    random = np.random.default_rng(seed)
    width = int(random.integers(1, longest + 1))
    rows = []
    for _ in range(int(random.integers(1, 4))):
        left, row = width, list[int]()
        while left > 0 and (not row or random.random() < 0.7):
            row.append(int(min(left, random.integers(1, longest + 1))))
            left -= row[-1]
        rows.append(row)
    _, context = toy_context(rows, seed=seed, width=width)
    return with_quick_bonds(context._replace(causal=causal), random).to("cuda")


def with_quick_bonds(context: Context, random: np.random.Generator) -> Context:
    """As `with_toy_bonds` gives, but a list a piece, drawn at once: rows here are long."""
    (B, N), document = context.document.shape, context.document
    begin, place = context.sequence_start(), torch.arange(N).expand(B, N)
    end = place + 1 if context.causal else N - context._replace(document=document.flip(1)).sequence_start().flip(1)
    size = torch.from_numpy(random.integers(0, 6, (B, N))).masked_fill(document < 0, 0)
    query = torch.arange(B * N).repeat_interleave(size.flatten())
    low, high = begin.flatten()[query], end.flatten()[query]
    key = (low + torch.from_numpy(random.random(len(query))) * (high - low)).long()
    last = size.flatten().cumsum(0).view(B, N)
    kind = torch.from_numpy(random.integers(len(KINDS), size=len(query), dtype=np.uint8))
    return context._replace(bonds=BondLists((last - size).int(), last.int(), key.int(), kind))


def apart(ours: Tensor, true: Tensor) -> float:
    return float((ours.double() - true).norm() / true.norm().clamp(min=1e-30))


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 1e-4), (torch.bfloat16, 1e-2), (torch.float16, 1e-2)])
@pytest.mark.parametrize(("seed", "longest", "width", "key_heads", "shape"), [
    (0, 5, 64, 8, 0), (1, 90, 32, 2, 1), (2, 700, 64, 8, 0), (3, 700, 128, 4, 0), (4, 1500, 80, 1, 3),
    (5, 1500, 64, 8, 1), (6, 400, 48, 8, 2), (7, 5000, 64, 2, 0), (8, 5000, 64, 8, 3),
])  # fmt: skip
def test_the_kernel_equals_float64(
    seed: int, longest: int, width: int, key_heads: int, shape: int, dtype: torch.dtype, most: float, causal: bool
) -> None:
    context = case(seed, causal, longest)
    (B, N), line, generator = context.document.shape, line_of(context), torch.Generator("cuda").manual_seed(seed)
    views = [parse(view) for view in NEAR]
    drawn = [torch.randn(B, N, h, width, device="cuda", generator=generator) for h in (8, key_heads, key_heads, 8)]
    q, k, v, up = (each.to(dtype).transpose(1, 2) for each in drawn)
    q, k, v = (each.requires_grad_() for each in (q, k, v))
    told = program_of(views, {view: cover_of(view, line) for view in views}, line, (), key_heads, SHAPES[shape])
    torch.use_deterministic_algorithms(True)  # memory that nobody has written yet holds NaN
    try:
        out = attend_program(q, k, v, told)
        grads = torch.autograd.grad(out, (q, k, v), up)
        again = torch.autograd.grad(attend_program(q, k, v, told), (q, k, v), up)
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(one, two) for one, two in zip(grads, again, strict=True))
    exact = [each.detach().double().requires_grad_() for each in (q, k, v)]
    wide = [exact[0], *(each.repeat_interleave(8 // key_heads, 1) for each in exact[1:])]
    true = attend(*wide, view_bias(views, (), context, torch.float64))
    assert apart(out, true) <= most
    for ours, its in zip(grads, torch.autograd.grad(true, exact, up.double()), strict=True):
        assert apart(ours, its) <= most


def test_a_compiled_layer_sees_through_the_operator() -> None:
    context = case(9, True, 900)
    line, view = line_of(context), parse("sentences(2)")
    told = program_of([view] * 4, {view: cover_of(view, line)}, line)
    q, k, v = (
        torch.randn(*context.document.shape, 4, 64, device="cuda").transpose(1, 2).requires_grad_() for _ in "qkv"
    )

    def layer(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return (attend_program(2 * q, k, v, told) + 1).square().sum()

    true = torch.autograd.grad(layer(q, k, v), (q, k, v))
    ours = torch.autograd.grad(torch.compile(layer, fullgraph=True)(q, k, v), (q, k, v))
    for one, two in zip(ours, true, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)
