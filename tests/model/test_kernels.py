"""Kernels: views by pairs, their covers and plans, and the two sparse paths, each against dense masks."""

import pytest
import torch
from torch import Tensor

from model.attention.views import attend, view_bias
from model.context import Context
from model.kernels import flex
from model.kernels.choose import choose
from model.kernels.covers import cover_of, is_covered
from model.kernels.cpu import attend_sparse
from model.kernels.flex import attend_flex, tiles_of
from model.kernels.pairs import PAIR_MASKS, Pairs, line_of, see
from model.kernels.plan import Plan, plan_of
from model.masks import MASKS
from model.parse import parse
from model.views import cost, view_masks
from tests.model.toy import toy_context, with_toy_bonds

ROWS = [[[1]], [[2], [1]], [[7], [3, 4]], [[63], [20, 30]], [[17, 1, 2], [40]], [[130], [50, 3, 70]]]
"""Rows that pack documents, short of their width and of a block, one of a single piece."""

NEAR = (
    *("window(1)", "window(7)", "sentence", "sentences(2)", "sentences(3)", "~dense", "~(dense | pos)"),
    *("pos & sentences(2)", "window(5) & sentence", "sentence | window(9)", "~(~sentence & dense)"),
    *("bonds", "blocked", "(pos & sentences(2)) | open", "sentences(2) & ~blocked", "dependency | role"),
    *("(sentence | open) & (role | sentences(3))", "~~(escape | window(2))"),
)
FAR = ("dense", "pos", "~sentence", "~pos", "pos | open", "~bonds")
SLOPES = ((), (0.5, 0.25, 0.125, 0.0625))


def context_of(rows: list[list[int]], causal: bool = True) -> Context:
    _, context = toy_context(rows, seed=sum(map(sum, rows)))
    return with_toy_bonds(context._replace(causal=causal))


def drawn(
    context: Context, key_heads: int, dtype: torch.dtype = torch.float64, heads: int = 4
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Queries, keys, values and what comes back from above."""
    (B, N), generator = context.document.shape, torch.Generator().manual_seed(0)
    each = (heads, key_heads, key_heads, heads)
    q, k, v, up = (torch.randn(B, many, N, 16, generator=generator, dtype=dtype) for many in each)
    return q.requires_grad_(), k.requires_grad_(), v.requires_grad_(), up


def twin(view: str, slopes: tuple[float, ...], context: Context, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    each = q.shape[1] // k.shape[1]
    bias = view_bias([parse(view)] * 4, slopes, context, q.dtype)
    return attend(q, k.repeat_interleave(each, 1), v.repeat_interleave(each, 1), bias)


def plan(view: str, context: Context, slopes: tuple[float, ...] = (), queries: int = 32) -> Plan:
    line = line_of(context)
    return plan_of(parse(view), cover_of(parse(view), line), line, slopes, torch.float64, queries)


def test_every_mask_has_a_form_by_pairs() -> None:
    assert PAIR_MASKS.keys() == MASKS.keys()


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("rows", ROWS)
def test_pairs_see_what_dense_masks_see(rows: list[list[int]], causal: bool) -> None:
    context = context_of(rows, causal)
    B, N = context.document.shape
    every = torch.arange(B * N).view(B, N)
    some = torch.arange(N // 3, N)[None].repeat(B, 1) + torch.arange(B)[:, None] * N
    masks = view_masks([parse(view) for view in NEAR + FAR], context)
    for number, view in enumerate(NEAR + FAR):
        assert torch.equal(see(parse(view), line_of(context), Pairs(every, every)), masks[:, number]), view
        seen = see(parse(view), line_of(context), Pairs(some.flip(1), some))
        assert torch.equal(seen, masks[:, number, N // 3 :, N // 3 :].flip(1)), view


def test_random_keys_have_no_form_by_pairs() -> None:
    context = context_of([[5]])
    with pytest.raises(ValueError, match="dense masks"):
        see(parse("random(sentence)"), line_of(context), Pairs(torch.zeros(1, 1).long(), torch.zeros(1, 1).long()))


def test_views_of_linear_cost_have_a_cover_and_others_none() -> None:
    for view in map(parse, NEAR + FAR):
        assert is_covered(view) == (cost(view) == "linear"), view
    assert not is_covered(parse("random(sentence)"))


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("rows", ROWS)
def test_sparse_attention_equals_its_twin(rows: list[list[int]], causal: bool) -> None:
    context = context_of(rows, causal)
    for number, view in enumerate(NEAR):
        slopes = SLOPES[number % 2]
        q, k, v, up = drawn(context, key_heads=(4, 2, 1)[number % 3])
        fast = attend_sparse(q, k, v, plan(view, context, slopes, queries=(32, 5, 16)[number % 3]))
        slow = twin(view, slopes, context, q, k, v)
        torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-12)
        for ours, true in zip(*(torch.autograd.grad(each, (q, k, v), up) for each in (fast, slow)), strict=True):
            torch.testing.assert_close(ours, true, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("key_heads", [4, 3, 1])
def test_threads_share_heads_and_change_nothing(key_heads: int) -> None:
    context, parts = context_of([[150], [40, 9]]), plan("pos & sentences(2)", context_of([[150], [40, 9]]))
    q, k, v, up = drawn(context, key_heads, heads=2 * key_heads)
    found, before = [], torch.get_num_threads()
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        try:
            out = attend_sparse(q, k, v, parts)
            found.append((out, *torch.autograd.grad(out, (q, k, v), up)))
            assert torch.get_num_threads() == threads
        finally:
            torch.set_num_threads(before)
    for other in found[1:]:
        for ours, true in zip(other, found[0], strict=True):
            torch.testing.assert_close(ours, true, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_bias_of_the_plan_gets_its_gradient(threads: int, request: pytest.FixtureRequest) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    request.addfinalizer(lambda: torch.set_num_threads(before))
    context = context_of([[41], [20, 9]])
    q, k, v, up = drawn(context, key_heads=2)
    parts = plan("sentences(2)", context)
    learned = torch.zeros(4, 1, 1, 1, dtype=torch.float64).requires_grad_()
    back = [(c.query[:, :, None] - c.key[:, None, :]).double() for c in parts.chunks]
    biased = Plan(tuple(c._replace(bias=c.bias + learned * far) for c, far in zip(parts.chunks, back, strict=True)))
    (ours,) = torch.autograd.grad(attend_sparse(q, k, v, biased), learned, up)
    far = torch.arange(41)[:, None] - torch.arange(41)
    bias = view_bias([parse("sentences(2)")], (), context, torch.float64) + learned[:, 0] * far
    (true,) = torch.autograd.grad(attend(q, k.repeat_interleave(2, 1), v.repeat_interleave(2, 1), bias), learned, up)
    torch.testing.assert_close(ours, true, rtol=1e-11, atol=1e-11)


def test_types_below_32_bits_are_computed_in_32_even_under_autocast() -> None:
    context = context_of([[41]])
    q, k, v, up = (x.detach().bfloat16().requires_grad_() for x in drawn(context, key_heads=4))
    parts = plan("sentence", context)
    parts = Plan(tuple(chunk._replace(bias=chunk.bias.float()) for chunk in parts.chunks))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        fast = attend_sparse(q, k, v, parts)
    slow = twin("sentence", (), context, *(x.float() for x in (q, k, v)))
    assert fast.dtype == torch.bfloat16
    assert torch.equal(fast, slow.bfloat16())
    assert torch.autograd.grad(fast, q, up)[0].dtype == torch.bfloat16


def test_a_plan_grows_with_the_row_and_not_with_its_square() -> None:
    pairs = [plan("(pos & sentences(2)) | window(9)", context_of([[n]])).pairs() for n in (500, 1000, 2000)]
    assert pairs[2] < 2.2 * pairs[1] < 5 * pairs[0]


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile:UserWarning")
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("rows", [[[1]], [[33], [20, 10]], [[90], [40, 3, 30]]])
def test_flex_attention_by_bits_equals_its_twin_forward(
    rows: list[list[int]], causal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flex, "TILE", 16)
    context = context_of(rows, causal)
    line = line_of(context)
    for number, view in enumerate(NEAR):
        slopes = SLOPES[number % 2]
        q, k, v, _ = (x.detach() for x in drawn(context, (4, 2, 1)[number % 3], torch.float32))
        tiles = tiles_of(parse(view), cover_of(parse(view), line), line, slopes)
        torch.testing.assert_close(attend_flex(q, k, v, tiles), twin(view, slopes, context, q, k, v))


@pytest.mark.parametrize("causal", [True, False])
def test_lists_of_tiles_name_the_tiles_that_hold_a_visible_pair(causal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # Uncompiled FlexAttention asks the mask function alone, so the lists, which a GPU goes by, are held up here.
    monkeypatch.setattr(flex, "TILE", 16)
    context = context_of([[75], [40, 22]], causal)
    line, T, tile = line_of(context), 5, 16
    for view in map(parse, NEAR):
        mask = tiles_of(view, cover_of(view, line), line).mask
        room = T * tile - 75
        pairs = torch.nn.functional.pad(view_masks([view], context)[:, 0], (0, room, 0, room))
        pairs = pairs.view(2, T, tile, T, tile).transpose(2, 3).flatten(3)
        assert torch.equal(mask.to_dense()[:, 0].bool(), pairs.any(3)), view
        full = torch.zeros(2, T, T, dtype=torch.bool)
        for row, at in torch.cartesian_prod(torch.arange(2), torch.arange(T)).tolist():
            full[row, at, mask.full_kv_indices[row, 0, at, : mask.full_kv_num_blocks[row, 0, at]].long()] = True
        assert torch.equal(full, pairs.all(3)), view


def test_the_choice_by_length_reach_and_what_a_row_holds() -> None:
    def path(view: str, rows: list[list[int]], **more: object) -> str:
        context = context_of(rows)
        return choose(parse(view), context, line_of(context), torch.float32, width=64, **more).path  # type: ignore[arg-type]

    assert path("sentence", [[300]]) == "twin"  # short
    assert path("window(9)", [[700]]) == "sparse"
    assert path("(pos & window(9)) | open", [[700], [300, 400]]) == "sparse"
    assert path("window(600)", [[700]]) == "twin"  # skips too little
    assert path("random(window(9))", [[700]]) == "twin"
    assert path("pos", [[700]]) == "twin"
    assert path("dense", [[700]]) == "causal"
    assert path("dense", [[700]], sloped=True) == "twin"
    assert path("dense", [[700], [300, 400]]) == "twin"  # packed
    assert path("dense", [[700], [699]]) == "twin"  # padded
