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


class Launch(NamedTuple):
    """How a kernel is started."""

    step: int = 32
    """Places of its lists at a time: one tile or two."""
    warps: int = 4
    stages: int = 2
    registers: int = 0
    """At most so many a thread, where entries have two bytes and heads are no wider than 64; 0: as the compiler will.
    """


class Shape(NamedTuple):
    """How a layer is cut: a small table, chosen by measurement (docs/kernels.md)."""

    block: int = 64
    """Queries of a block."""
    key_block: int = 32
    forward: Launch = Launch(registers=80)
    queries: Launch = Launch(step=64, stages=1, registers=128)
    keys: Launch = Launch(warps=1, stages=3)

    def numbers(self) -> list[int]:
        return [self.block, self.key_block, *self.forward, *self.queries, *self.keys]

    @staticmethod
    def of(numbers: Sequence[int]) -> "Shape":
        """Errors: TypeError where they are not fourteen."""
        block, key_block, *rest = numbers
        launches = [Launch(*rest[at : at + 4]) for at in range(0, len(rest), 4)]
        return Shape(block, key_block, *launches)


SHAPE = Shape()
LONG = 8
"""Times the mean: so long a list is begun before all others."""
FALLBACK = Launch()
"""Of wide heads and entries of four bytes, whatever the shape says."""


class Program(NamedTuple):
    """What the kernels are told about the heads of a layer."""

    tensors: list[Tensor]
    """items of forward and of gradients of queries, items of gradients of keys, lists of keys (place, bits), lists of
    queries (the same), where each piece's sequence begins, sequences with their blocks, slopes."""
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
        lists, first = key_lists(view, cover, line, shape.block)
        keys.append(lists)
        firsts.append(first)
        queries.append(query_lists(view, cover, line, shape.key_block, shape.block))
    sinks = sinks_of(firsts, line, shape.block)
    load = [len(each.bits) for each in keys]
    heaviest = sorted(range(len(distinct)), key=lambda number: -load[number])
    own = [distinct.index(view) for view in views]
    ranks = [heaviest.index(number) for number in own]
    key_list, query_list = together(keys), together(queries)
    N = line.context.document.shape[1]
    forward = _items(own, ranks, key_list.begin, len(views), (N, shape.block), sinks.first)
    backward = _items(own, ranks, query_list.begin, key_heads or len(views), (N, shape.key_block))
    fall = torch.tensor(slopes, dtype=torch.float32, device=line.run.device)
    told = [forward, backward, *key_list[1:], *query_list[1:], sinks.begin, sinks.sequence, fall]
    return Program(told, shape)


def _items(
    own: Sequence[int],
    ranks: Sequence[int],
    begin: Tensor,
    heads: int,
    cut: tuple[int, int],
    sink: Tensor | None = None,
) -> Tensor:
    """int32 [heads*X,...]: what each program is told, in the order in which they start: head, row, first piece of its
    block, the tiles from-to of each head of views that it works for, and its sink. own: number of each head's view;
    ranks: how wide it is, 0 the widest; cut: pieces of a row and of a block.

    Blocks with far longer lists than others come first, then heads whose views are wide, so that none ends long after
    all others; of like heads, what is near in the text is near in time, for the sake of the cache.
    """
    (N, size), device = cut, begin.device
    X, each = (len(begin) - 1) // len(set(own)), len(own) // heads
    number = torch.tensor([ranks, own], device=device).view(2, heads, each)
    # Heads of one rank share their places in the order: head by head within a block.
    head, x = torch.arange(heads, device=device).repeat_interleave(X), torch.arange(X, device=device).repeat(heads)
    rank, number = number[0].amin(1), number[1]
    at = (number[head] * X + x[:, None])[:, :, None] + torch.arange(2, device=device)
    blocks = -(-N // size)
    columns = [head[:, None], (x // blocks)[:, None], (x % blocks * size)[:, None], begin[at].flatten(1)]
    if sink is not None:
        columns.append(sink[number[head, 0] * X + x][:, None])
    tiles = (columns[3][:, 1::2] - columns[3][:, ::2]).sum(1)
    usual = tiles <= LONG * tiles.double().mean()
    order = torch.argsort((usual * heads + rank[head]) * X + x, stable=True)
    return torch.cat(columns, dim=1)[order].int()


def attend_program(q_BHND: Tensor, k_BGND: Tensor, v_BGND: Tensor, program: Program, precision: str = "") -> Tensor:
    """[B,H,N,D]. float32, bfloat16 or float16, D at least 16.

    precision: of float32's products: `ieee` (the default), `tf32x3` or `tf32`, as Triton's `dot` says.
    """
    given = program.tensors, program.shape.numbers(), precision or "ieee"
    out: Tensor = views_forward(q_BHND, k_BGND, v_BGND.to(q_BHND.dtype), *given)[0]
    return out


@torch.library.custom_op("valency::views_forward", mutates_args=())
def views_forward(
    q: Tensor, k: Tensor, v: Tensor, told: list[Tensor], shape: list[int], precision: str
) -> tuple[Tensor, Tensor]:
    """out as q, and float32 [B,H,N]: of each query the base-2 logarithm of the sum of its weights."""
    from model.kernels.triton_forward import forward_kernel

    items, _, place, bits, *_, slope = told
    cut = Shape.of(shape)
    q, k, v = (_lines(x) for x in (q, k, v))
    (B, H, N, D), out = q.shape, _like(q)
    lse = torch.empty(B, H, N, dtype=torch.float32, device=q.device)
    forward_kernel[(len(items),)](
        q, k, v, out, lse, items, place, bits, slope,
        *q.stride()[:3], *k.stride()[:3], *v.stride()[:3], *out.stride()[:3],
        N, H, D**-0.5 * LOG2E,
        WHOLE=N % cut.block == 0, EACH=H // k.shape[1], S=cut.block, D=_padded(D), WIDTH=D,
        SLOPED=len(slope) > 0, PRECISION=precision, **_options(cut.forward, q),
    )  # fmt: skip
    return out, lse


@torch.library.custom_op("valency::views_backward", mutates_args=())
def views_backward(
    q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, up: Tensor,
    told: list[Tensor], shape: list[int], precision: str,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of q, k and v."""
    from model.kernels.triton_backward import keys_kernel, queries_kernel, sinks_kernel

    items, key_items, k_place, k_bits, q_place, q_bits, sequence, sequences, slope = told
    cut = Shape.of(shape)
    q, k, v, out, up = (_lines(x) for x in (q, k, v, out, up))
    (B, H, N, D), G = q.shape, k.shape[1]
    dq, dk, dv, delta = _like(q), _like(k), _like(v), torch.empty_like(lse)
    wide, sloped = _padded(D), len(slope) > 0
    partial = torch.empty(B * -(-N // cut.block), H, 2, FIRST_ANCHORS, wide, dtype=torch.float32, device=q.device)
    queries_kernel[(len(items),)](
        q, k, v, out, up, lse, dq, delta, partial, items, k_place, k_bits, slope,
        *q.stride()[:3], *k.stride()[:3], *v.stride()[:3], *out.stride()[:3], *up.stride()[:3], *dq.stride()[:3],
        N, H, D**-0.5,
        WHOLE=N % cut.block == 0, EACH=H // G, S=cut.block, D=wide, WIDTH=D, SLOPED=sloped,
        PRECISION=precision, **_options(cut.queries, q),
    )  # fmt: skip
    keys_kernel[(len(key_items),)](
        q, k, v, up, lse, delta, dk, dv, key_items, q_place, q_bits, slope,
        *q.stride()[:3], *k.stride()[:3], *v.stride()[:3], *up.stride()[:3], *dk.stride()[:3], *dv.stride()[:3],
        N, H, D**-0.5,
        WHOLE=N % cut.key_block == 0, EACH=H // G, S=cut.key_block, D=wide, WIDTH=D, SLOPED=sloped,
        PRECISION=precision, **_options(cut.keys, q),
    )  # fmt: skip
    if len(sequences):
        sinks_kernel[(len(sequences), G, 2 * FIRST_ANCHORS)](
            partial, dk, dv, sequence, sequences, *dk.stride()[:3], *dv.stride()[:3],
            N, H, EACH=H // G, D=wide, WIDTH=D, C=64,
        )  # fmt: skip
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
    within = x_BHND.shape[2] * x_BHND.stride(2) < 1 << 31  # kernels count entries of a row in 32 bits
    return x_BHND if x_BHND.stride(-1) == 1 and within else x_BHND.contiguous()


def _options(launch: Launch, q: Tensor) -> dict[str, int]:
    small = q.element_size() == 2 and q.shape[-1] <= 64
    launch = launch if small else FALLBACK
    options = {"T": launch.step, "num_warps": launch.warps, "num_stages": launch.stages}
    return options | ({"maxnreg": launch.registers} if launch.registers else {})


def _padded(width: int) -> int:
    return max(16, 1 << (width - 1).bit_length())
