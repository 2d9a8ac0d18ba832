"""Attention through views by one kernel forward and one backward, for all near heads of a layer at once.

`program_of` makes what the kernels are told, once a batch for all layers; `attend_program` computes. It is an operator
of PyTorch's own (torch.library), so `torch.compile` and export see one node with a gradient. Works on CUDA, and on a
CPU in Triton's interpreter (`TRITON_INTERPRET=1`), which tests use. Letters as in model.kernels.lists; H heads, G heads
of keys and values, D width of a head.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from model.kernels.covers import Cover
from model.kernels.lists import Lists, key_lists, query_lists, sinks_of, together
from model.kernels.pairs import Line
from model.kernels.threads import undivided
from model.views import FIRST_ANCHORS, View


class Shape(NamedTuple):
    """How a launch is cut: a row of a small table, chosen by measurement (docs/kernels.md)."""

    block: int = 64
    """Queries of a block."""
    tile: int = 32
    """Keys of a tile of its list."""
    key_block: int = 64
    query_tile: int = 32
    warps: int = 4
    stages: int = 3
    back_warps: int = 4
    back_stages: int = 2


SHAPE = Shape()


class Program(NamedTuple):
    """What the kernels are told about the heads of a layer."""

    tensors: list[Tensor]
    """forward items, backward items, view of each head, key lists (begin, place, bits), query lists (the same), sinks
    (first, begin, sequence), slopes."""
    shape: Shape


@undivided()
def program_of(
    views: Sequence[View],
    covers: Mapping[View, Cover],
    line: Line,
    slopes: Sequence[float] = (),
    key_heads: int | None = None,
    shape: Shape = SHAPE,
) -> Program:
    """views: one a head, each with its cover. slopes: of ALiBi, one a head, or none. key_heads: None: as heads.

    O(N * keys of a query). A few dozen operations on the device, and two waits for sizes a view.
    """
    distinct = list(dict.fromkeys(views))
    keys, queries, firsts = list[Lists](), list[Lists](), list[Tensor]()
    for view in distinct:
        cover = covers[view]
        lists, first = key_lists(view, cover, line, shape.block, shape.tile)
        keys.append(lists)
        firsts.append(first)
        queries.append(query_lists(view, cover, line, shape.key_block, shape.query_tile, shape.block))
    sinks = sinks_of(firsts, line, shape.block)
    device = line.run.device
    load = [len(each.bits) for each in keys]
    heaviest = sorted(range(len(distinct)), key=lambda number: -load[number])
    rank = {distinct[number]: place for place, number in enumerate(heaviest)}
    ranks = torch.tensor([rank[view] for view in views], device=device)
    X, Y = len(firsts[0]), len(queries[0].begin) - 1
    forward, backward = _items(ranks, X, Y, key_heads or len(views))
    own = torch.tensor([distinct.index(view) for view in views], dtype=torch.int32, device=device)
    fall = torch.tensor(slopes, dtype=torch.float32, device=device)
    return Program([forward, backward, own, *together(keys), *together(queries), *sinks, fall], shape)


def _items(rank_H: Tensor, X: int, Y: int, key_heads: int) -> tuple[Tensor, Tensor]:
    """int32: the order in which programs start. Heads whose views are wide come first, so that none of their blocks
    ends long after all others; of like heads, what is near in the text is near in time, for the sake of the cache."""
    H, device = len(rank_H), rank_H.device
    head, x = torch.arange(H, device=device).repeat_interleave(X), torch.arange(X, device=device).repeat(H)
    group, y = (
        torch.arange(key_heads, device=device).repeat_interleave(Y),
        torch.arange(Y, device=device).repeat(key_heads),
    )
    place = x * Y
    forward = torch.argsort(rank_H[head] * X * Y + place, stable=True)
    code = torch.cat([2 * (head * X + x), 2 * (group * Y + y) + 1])
    rank_G = rank_H[:: H // key_heads]
    order = torch.argsort(torch.cat([rank_H[head] * X * Y + place, rank_G[group] * X * Y + y * X]), stable=True)
    return (head * X + x)[forward].int(), code[order].int()


def attend_program(q_BHND: Tensor, k_BGND: Tensor, v_BGND: Tensor, program: Program, precision: str = "") -> Tensor:
    """[B,H,N,D]. float32, bfloat16 or float16, D at least 16.

    precision: of float32's products: `ieee` (the default), `tf32x3` or `tf32`, as Triton's `dot` says.
    """
    given = program.tensors, list(program.shape), precision or "ieee"
    out: Tensor = views_forward(q_BHND, k_BGND, v_BGND.to(q_BHND.dtype), *given)[0]
    return out


@torch.library.custom_op("valency::views_forward", mutates_args=())
def views_forward(
    q: Tensor, k: Tensor, v: Tensor, told: list[Tensor], shape: list[int], precision: str
) -> tuple[Tensor, Tensor]:
    """out as q, and float32 [B,H,N]: of each query the base-2 logarithm of the sum of its weights."""
    from model.kernels.triton_forward import forward_kernel

    items, _, view_of_head, begin, place, bits, _, _, _, sink, sequence, _, slope = told
    cut = Shape(*shape)
    q, k, v = (_lines(x) for x in (q, k, v))
    (B, H, N, D), out = q.shape, _like(q)
    lse = torch.empty(B, H, N, dtype=torch.float32, device=q.device)
    X, blocks = len(items) // H, -(-N // cut.block)
    forward_kernel[(len(items),)](
        q, k, v, out, lse, items, view_of_head, begin, place, bits, sink, sequence, slope,
        *q.stride()[:3], *k.stride()[:3], *v.stride()[:3], *out.stride()[:3],
        N, X, blocks, H, H // k.shape[1], D**-0.5 * LOG2E,
        S=cut.block, T=cut.tile, D=_padded(D), WIDTH=D, SLOPED=len(slope) > 0, PRECISION=precision,
        num_warps=cut.warps, num_stages=cut.stages,
    )  # fmt: skip
    return out, lse


@torch.library.custom_op("valency::views_backward", mutates_args=())
def views_backward(
    q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, up: Tensor,
    told: list[Tensor], shape: list[int], precision: str,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of q, k and v."""
    from model.kernels.triton_backward import backward_kernel, sinks_kernel

    _, items, view_of_head, k_begin, k_place, k_bits, q_begin, q_place, q_bits, sink, sequence, sequences, slope = told
    cut = Shape(*shape)
    q, k, v, out, up = (_lines(x) for x in (q, k, v, out, up))
    (B, H, N, D), G = q.shape, k.shape[1]
    dq, dk, dv = _like(q), _like(k), _like(v)
    blocks, key_blocks = -(-N // cut.block), -(-N // cut.key_block)
    X, wide = B * blocks, _padded(D)
    partial = torch.empty(X, H, 2, FIRST_ANCHORS, wide, dtype=torch.float32, device=q.device)
    backward_kernel[(len(items),)](
        q, k, v, out, up, lse, dq, dk, dv, partial,
        items, view_of_head, k_begin, k_place, k_bits, q_begin, q_place, q_bits, sink, sequence, slope,
        *q.stride()[:3], *k.stride()[:3], *v.stride()[:3], *out.stride()[:3],
        *up.stride()[:3], *dq.stride()[:3], *dk.stride()[:3], *dv.stride()[:3],
        N, X, blocks, B * key_blocks, key_blocks, H, H // G, D**-0.5,
        S=cut.block, T=cut.tile, KS=cut.key_block, QT=cut.query_tile, D=wide, WIDTH=D,
        SLOPED=len(slope) > 0, PRECISION=precision, num_warps=cut.back_warps, num_stages=cut.back_stages,
    )  # fmt: skip
    if len(sequences):
        sinks_kernel[(len(sequences), G, 2 * FIRST_ANCHORS)](
            partial, dk, dv, sequences, *dk.stride()[:3], *dv.stride()[:3], N, H, H // G, D=wide, WIDTH=D, C=64
        )
    return dq, dk, dv


LOG2E = 1.4426950408889634


@views_forward.register_fake
def _(q: Tensor, k: Tensor, v: Tensor, told: Any, shape: Any, precision: Any) -> tuple[Tensor, Tensor]:
    return _like(q), q.new_empty(q.shape[:3], dtype=torch.float32)


@views_backward.register_fake
def _(
    q: Tensor, k: Tensor, v: Tensor, out: Any, lse: Any, up: Any, told: Any, shape: Any, precision: Any
) -> tuple[Tensor, Tensor, Tensor]:
    return _like(q), _like(k), _like(v)


def _keep(ctx: Any, inputs: Any, output: Any) -> None:
    q, k, v, told, shape, precision = inputs
    out, lse = output
    ctx.save_for_backward(q, k, v, out, lse, *told)
    ctx.shape, ctx.precision = shape, precision


def _back(ctx: Any, up: Tensor, _up_lse: Tensor) -> tuple[Any, ...]:
    q, k, v, out, lse, *told = ctx.saved_tensors
    grads = views_backward(q, k, v, out, lse, up, told, ctx.shape, ctx.precision)
    return (*grads, [None] * len(told), None, None)


views_forward.register_autograd(_back, setup_context=_keep)


def _like(x_BHND: Tensor) -> Tensor:
    """[B,H,N,D], laid out so that the heads of a piece lie side by side: what follows then needs no copy."""
    B, H, N, D = x_BHND.shape
    return x_BHND.new_empty(B, N, H, D).transpose(1, 2)


def _lines(x_BHND: Tensor) -> Tensor:
    """The same with neighbouring entries of a head side by side."""
    return x_BHND if x_BHND.stride(-1) == 1 else x_BHND.contiguous()


def _padded(width: int) -> int:
    return max(16, 1 << (width - 1).bit_length())
