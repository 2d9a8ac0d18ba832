"""The kernel of views against dense masks: in Triton's interpreter where there is no GPU, so on small rows.

tests/model/test_kernels_cuda.py tests it on a GPU, at lengths that matter.
"""

from typing import Any

import pytest
import torch

pytest.importorskip("triton", reason="Triton is not installed here")

from model.attention.views import ViewsAttention, attend, view_bias
from model.config import ModelConfig
from model.context import Context, Facts
from model.kernels import choose, lists, triton_views
from model.kernels.bits import Tiles, bits_by_kernel, bits_slow
from model.kernels.covers import cover_of
from model.kernels.lists import key_lists, query_lists
from model.kernels.pairs import line_of
from model.kernels.program import Launch, Program, Shape, program_of
from model.kernels.triton_views import attend_program, views_backward, views_forward
from model.kernels.truth import truth_of
from model.parse import parse
from tests.model.test_kernels import NEAR, context_of, drawn

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SMALL = Shape(16, 16, Launch(), Launch(), Launch())
VIEWS = ("window(7)", "(pos & sentences(2)) | open", "sentences(2) & ~blocked", "bonds")
SLOPES = (0.5, 0.25, 0.125, 0.0625)


def program(
    context: Context, views: tuple[str, ...], slopes: tuple[float, ...], key_heads: int, shape: Shape
) -> Program:
    line = line_of(context)
    parsed = [parse(view) for view in views]
    return program_of(parsed, {view: cover_of(view, line) for view in parsed}, line, slopes, key_heads, shape)


@pytest.mark.parametrize(
    ("rows", "causal", "key_heads", "slopes", "shape"),
    [
        ([[1]], True, 4, (), SMALL),
        ([[7], [3, 4]], False, 2, SLOPES, SMALL),
        ([[41], [20, 19]], True, 4, (), SMALL),
        ([[33], [20, 9]], False, 1, (), Shape(16, 32, Launch(64), Launch(64), Launch(64))),
        ([[70]], True, 2, SLOPES, Shape(32, 64)),
    ],
)
def test_the_kernel_equals_dense_masks(
    rows: list[list[int]], causal: bool, key_heads: int, slopes: tuple[float, ...], shape: Shape
) -> None:
    context = context_of(rows, causal).to(DEVICE)
    q, k, v, up = (
        each.detach().to(DEVICE).requires_grad_() for each in drawn(context.to("cpu"), key_heads, torch.float32)
    )
    out = attend_program(q, k, v, program(context, VIEWS, slopes, key_heads, shape))
    bias = view_bias([parse(view) for view in VIEWS], slopes, context, torch.float32)
    k_all, v_all = (each.repeat_interleave(4 // key_heads, 1) for each in (k, v))
    true = attend(q, k_all, v_all, bias)
    torch.testing.assert_close(out, true, rtol=1e-4, atol=1e-5)
    for ours, its in zip(*(torch.autograd.grad(each, (q, k, v), up) for each in (out, true)), strict=True):
        torch.testing.assert_close(ours, its, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rows", [[[41], [20, 19]], [[70]]])
def test_two_tiles_at_a_time_are_two_tiles(rows: list[list[int]]) -> None:
    """In 16 bits, where launches are as their shape says; an odd tile has none beside it."""
    context = context_of(rows).to(DEVICE)
    q, k, v, up = (each.detach().to(DEVICE) for each in drawn(context.to("cpu"), 4, torch.float32))
    told = program(context, VIEWS, (), 4, Shape(16, 32, Launch(64), Launch(64), Launch(64)))
    found = []
    for dtype in (torch.float16, torch.float32):
        given = [each.to(dtype).requires_grad_() for each in (q, k, v)]
        if dtype == torch.float16:
            out = attend_program(*given, told)
        else:
            out = attend(*given, view_bias([parse(view) for view in VIEWS], (), context, dtype))
        found.append([out, *torch.autograd.grad(out, given, up.to(dtype))])
    for ours, true in zip(*found, strict=True):
        torch.testing.assert_close(ours.float(), true, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(("rows", "key_heads"), [([[150]], 4), ([[90, 60], [3, 140]], 2)])
def test_what_first_pieces_get_in_long_rows_is_added_part_by_part(
    rows: list[list[int]], key_heads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = context_of(rows).to(DEVICE)
    q, k, v, up = (
        each.detach().to(DEVICE).requires_grad_() for each in drawn(context.to("cpu"), key_heads, torch.float32)
    )
    told, found = program(context, ("window(7)", "sentence") * 2, (), key_heads, SMALL), []
    for part in (2, 64):
        monkeypatch.setattr(triton_views, "PART", part)
        found.append(torch.autograd.grad(attend_program(q, k, v, told), (q, k, v), up))
    for ours, its in zip(*found, strict=True):
        torch.testing.assert_close(ours, its, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("view", NEAR)
def test_bits_by_the_kernel_are_those_of_masks_by_pairs(
    view: str, causal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = line_of(context_of([[45], [20, 19]], causal).to(DEVICE))
    parsed, kept = parse(view), list[Tiles]()
    cover = cover_of(parsed, line)
    with monkeypatch.context() as patched:
        patched.setattr(lists, "bits_of", lambda tiles: kept.append(tiles) or bits_slow(tiles))
        key_lists(parsed, cover, line, 16)
        query_lists(parsed, cover, line, 32, 16)
    truth = truth_of(parsed)
    assert truth is not None
    for tiles in kept:
        assert torch.equal(bits_by_kernel(tiles, truth), bits_slow(tiles))


def test_all_that_comes_back_is_written_and_nothing_else_is_read() -> None:
    """Outputs and scratch memory hold NaN before; heads are no power of two wide, and their rows lie apart."""
    context = context_of([[37]]).to(DEVICE)
    told = program(context, ("window(5)", "sentence"), (), 2, SMALL)
    wide = torch.randn(1, 37, 3, 2, 24, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    q, k, v = (each.transpose(1, 2).requires_grad_() for each in wide.unbind(2))
    torch.use_deterministic_algorithms(True)  # then memory that nobody has written yet holds NaN
    try:
        assert torch.empty(9, device=DEVICE).isnan().all()
        out = attend_program(q, k, v, told)
        grads = torch.autograd.grad(out, (q, k, v), torch.ones_like(out))
    finally:
        torch.use_deterministic_algorithms(False)
    bias = view_bias([parse("window(5)"), parse("sentence")], (), context, torch.float32)
    true = attend(q, k, v, bias)
    torch.testing.assert_close(out, true, rtol=1e-4, atol=1e-5)
    for ours, its in zip(grads, torch.autograd.grad(true, (q, k, v), torch.ones_like(out)), strict=True):
        torch.testing.assert_close(ours, its, rtol=1e-4, atol=1e-5)


def test_the_operator_keeps_what_torch_asks_of_operators() -> None:
    context = context_of([[19]]).to(DEVICE)
    told = program(context, ("window(5)", "sentence"), (), 2, SMALL)
    q, k, v = (torch.randn(1, 2, 19, 16, device=DEVICE, requires_grad=True) for _ in range(3))
    given = (q, k, v, torch.zeros(0, device=DEVICE), told.tensors, told.shape.numbers(), "ieee")
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(views_forward, given, test_utils=checks)
    out, lse = views_forward(*given)
    back = (*(each.detach() for each in (*given[:4], out, lse)), torch.ones_like(out), *given[4:])
    torch.library.opcheck(views_backward, back, test_utils=("test_schema", "test_faketensor"))


@pytest.mark.parametrize("positions", ["rotary", "alibi"])
@pytest.mark.parametrize("asked", [{"scores": True}, {"kind_bias": True}, {"scores": True, "kind_gates": True}])
def test_learned_terms_are_those_of_dense_masks(
    asked: dict[str, Any], positions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = with_drawn_facts(context_of([[41], [20, 19]]), seed=0).to(DEVICE)
    views = ("(pos & sentences(2)) | open", "window(7)", "bonds", "dense")  # the last has no list
    config = ModelConfig(dim=64, heads=4, views=views, positions=positions, **asked)
    torch.manual_seed(0)
    layer = ViewsAttention(config).to(DEVICE)
    for weight in layer.terms.parameters():
        torch.nn.init.normal_(weight)
    x = torch.randn(*context.document.shape, 64, device=DEVICE, requires_grad=True)
    up, found = torch.randn_like(x).masked_fill(~context.valid()[:, :, None], 0.0), []
    for path in ("kernel", "twin"):
        measured = choose.Measured("kernel", shortest=1 if path == "kernel" else 1 << 30, pair=0.0, block=64)
        monkeypatch.setitem(choose.MEASURED, DEVICE, measured)
        monkeypatch.setattr(choose, "SHORTEST", 1)
        prepared = layer.prepare(context)
        assert ("kernel" in {way.path for way in prepared.plans[layer.look]}) == (path == "kernel")
        out = layer(x, prepared).masked_fill(~context.valid()[:, :, None], 0.0)
        found.append((out, *torch.autograd.grad(out, (x, *layer.parameters()), up)))
    for ours, true in zip(*found, strict=True):
        torch.testing.assert_close(ours, true, rtol=1e-4, atol=1e-4 * float(true.detach().abs().max()))


def with_drawn_facts(context: Context, seed: int) -> Context:
    """Features and preferences of words that nobody has."""
    drawn, shape = torch.Generator().manual_seed(seed), context.document.shape
    features = [torch.randint(1 << 12, shape, generator=drawn) for _ in range(2)]
    verbs = [torch.randint(5, shape, generator=drawn) for _ in range(2)]
    nouns = [torch.randint(6, shape, generator=drawn) for _ in range(2)]
    selection = torch.randint(-1, 2, (5, 6), generator=drawn, dtype=torch.int8)
    columns = (features[0], verbs[0], nouns[0], features[1], verbs[1], nouns[1])
    return context._replace(facts=Facts(*columns, selection))
