"""Sparse attention as many small dense ones: blocks of queries, each against the keys that any of them reads.

Every block is one batch entry of SDPA under a bias, so time and memory are O(pieces * keys of a block) and the same
code runs on every device. Two ways to lay pieces out: a *line*, in which a query's keys are its neighbours (whatever
order the line has), and *aligned* blocks, which begin where sequences begin.
Letters: Z lines, H heads, C places of a line, X blocks, Q queries and K keys of a block, T slots, D width of a head.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from model.context import Context

QUERIES = 32
"""Of a block. On one core and a window of 64, 16 to 64 take 218, 155 and 207 ms at 16,384 pieces: smaller products are
thin, larger ones score more keys that most of their queries do not read."""

NOBODY = -1
"""Tag of places that hold no piece: they see each other, so that no softmax is empty; nobody reads what it gives."""


class Blocks(NamedTuple):
    """What is added to the scores of blocks."""

    bias: Tensor
    """[X,1 or H,Q,K]: 0, or what distance takes away; -inf where the query does not read the key."""
    real: Tensor
    """bool [X,1 or H,Q]: the queries that are pieces."""

    def reads(self) -> Tensor:
        """[1 or H]: keys that all pieces read, together."""
        return ((self.bias > float("-inf")).sum(-1) * self.real).sum((0, 2))


class Window(NamedTuple):
    """Places of a line that read their neighbours."""

    blocks: Blocks
    queries: int
    before: int
    """Blocks of keys before a block's own."""
    ahead: int


def attend_blocks(q_XHQD: Tensor, k_XHKD: Tensor, v_XHKD: Tensor, bias: Tensor) -> Tensor:
    """[X,H,Q,D]"""
    # A boolean mask costs half as much again as a bias on a CPU.
    return functional.scaled_dot_product_attention(q_XHQD, k_XHKD, v_XHKD, attn_mask=bias.to(q_XHQD.dtype))


def parts(x: Tensor, dim: int, size: int) -> Tensor:
    """The dimension as two, the second of so many entries."""
    return x.view(*x.shape[:dim], x.shape[dim] // size, size, *x.shape[dim + 1 :])


def bias_of(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """What is added to scores: 0 where seen, -inf elsewhere."""
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, float("-inf"))


def window_of(
    tag: Tensor,
    reach: int,
    causal: bool,
    dtype: torch.dtype,
    slopes: tuple[float, ...] = (),
    place: Tensor | None = None,
) -> Window:
    """Each place reads the last `reach` places of its tag, itself among them; without order, so many to either side.

    tag: int64 [Z,1 or H,C], neighbours of another tag are not read. slopes: of ALiBi, by distance in `place`, int64 as
    tag; None: in the line.
    """
    C = tag.shape[-1]
    # Blocks of one size as near to QUERIES as can be, so that little is filled up.
    queries = -(-C // max(1, -(-C // QUERIES)))
    before = min(-(-(reach - 1) // queries), -(-C // queries) - 1)
    ahead = 0 if causal else before
    own = _cut(tag, queries, NOBODY)
    seen = own[..., None] == _around(own, before, ahead, NOBODY - 1)[..., None, :]
    at = torch.arange(queries, device=tag.device)[:, None] + before * queries
    back = at - torch.arange(seen.shape[-1], device=tag.device)
    seen = seen & ((back < reach) & (back >= 0) if causal else back.abs() < reach)
    bias = bias_of(seen, dtype)
    if slopes:
        if place is not None:
            asks = _cut(place, queries, 0)
            back = asks[..., None] - _around(asks, before, ahead, 0)[..., None, :]
        bias = bias - back.abs().to(dtype) * torch.tensor(slopes, dtype=dtype, device=tag.device)[:, None, None]
    return Window(Blocks(bias.flatten(0, 1), (own != NOBODY).flatten(0, 1)), queries, before, ahead)


def attend_window(q_ZHCD: Tensor, k_ZHCD: Tensor, v_ZHCD: Tensor, window: Window) -> Tensor:
    """[Z,H,C,D]"""
    (blocks, queries, before, ahead), (Z, H, C, D) = window, q_ZHCD.shape
    q, k, v = (_cut(x, queries, 0) for x in (q_ZHCD, k_ZHCD, v_ZHCD))
    k, v = (_around(x, before, ahead, 0).flatten(0, 1) for x in (k, v))
    out_XHQD = attend_blocks(q.flatten(0, 1), k, v, blocks.bias)
    return out_XHQD.view(Z, -1, H, queries, D).transpose(1, 2).reshape(Z, H, -1, D)[:, :, :C]


def _cut(x: Tensor, queries: int, fill: int) -> Tensor:
    """[Z,H,C,...] to [Z,X,H,Q,...]."""
    more = -x.shape[2] % queries
    if more:
        x = functional.pad(x, (*[0] * 2 * (x.ndim - 3), 0, more), value=fill)
    return parts(x, 2, queries).transpose(1, 2)


def _around(x: Tensor, before: int, ahead: int, fill: int) -> Tensor:
    """[Z,X,H,Q,...] to [Z,X,H,K,...]: each block with those before and ahead of it."""
    wide: Tensor = _Around.apply(x, before, ahead, fill) if before + ahead else x  # type: ignore[no-untyped-call]
    return wide


class _Around(torch.autograd.Function):
    """Each part is written once and its gradient added once: what torch makes of slices and a concatenation writes
    zeros as large as the whole for each, a quarter of a window's time."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, before: int, ahead: int, fill: int) -> Tensor:
        ctx.before, ctx.ahead = before, ahead
        Q, X = x.shape[3], x.shape[1]
        out = x.new_empty(*x.shape[:3], (before + 1 + ahead) * Q, *x.shape[4:])
        for number, (low, high) in enumerate(_there(X, before, ahead)):
            part, step = out.narrow(3, number * Q, Q), number - before
            part[:, :low] = fill
            part[:, low:high] = x[:, low + step : high + step]
            part[:, high:] = fill
        return out

    @staticmethod
    def backward(ctx: Any, up: Tensor) -> tuple[Tensor, None, None, None]:
        before, ahead = ctx.before, ctx.ahead
        Q = up.shape[3] // (before + 1 + ahead)
        dx = up.narrow(3, before * Q, Q).clone()
        for number, (low, high) in enumerate(_there(up.shape[1], before, ahead)):
            if step := number - before:
                dx[:, low + step : high + step] += up.narrow(3, number * Q, Q)[:, low:high]
        return dx, None, None, None


def _there(blocks: int, before: int, ahead: int) -> list[tuple[int, int]]:
    """For each step from a block to another: the blocks, first and one behind the last, that have one so far off."""
    return [(max(0, -step), min(blocks, blocks - step)) for step in range(-before, ahead + 1)]


class Aligned(NamedTuple):
    """Slots of a batch in which every sequence begins with a block; padding has none."""

    block: int
    place: Tensor
    """int64 [T]: row * N + place of each slot; any where it is empty."""
    real: Tensor
    """bool [T]: the slots that hold a piece."""
    slot: Tensor
    """int64 [B*N]: the slot of each piece; any for padding."""
    number: Tensor
    """int64 [X]: of a block in its sequence."""
    length: Tensor
    """int64 [X]: pieces of the block's sequence."""
    same: bool
    """Whether slots are the places themselves."""

    def laid(self, x_BHND: Tensor) -> Tensor:
        """[T,H,D]"""
        x_THD = x_BHND.transpose(1, 2).flatten(0, 1)
        return x_THD if self.same else x_THD.index_select(0, self.place)

    def back(self, x_THD: Tensor, rows: int) -> Tensor:
        """[B,H,N,D]"""
        x_PHD = x_THD if self.same else x_THD.index_select(0, self.slot)
        return parts(x_PHD, 0, len(self.slot) // rows).transpose(1, 2)


def aligned(context: Context, block: int) -> Aligned:
    """Blocks of so many pieces, counted from the begin of each sequence."""
    valid, start = context.valid(), context.sequence_start()
    within = (torch.arange(valid.shape[1], device=valid.device) - start).flatten()
    valid = valid.flatten()
    sequence = ((within == 0) & valid).cumsum(0)  # from 1; padding goes to 0
    sequence = torch.where(valid, sequence, 0)
    pieces = torch.bincount(sequence)
    pieces[0] = 0
    blocks = -(-pieces // block)
    blocks[0] = len(pieces) == 1  # a batch of nothing but padding has one block, which is empty
    first = blocks.cumsum(0) - blocks
    of_block = torch.repeat_interleave(blocks)
    slot = torch.where(valid, first[sequence] * block + within, 0)
    place = torch.zeros(len(of_block) * block, dtype=torch.int64, device=valid.device)
    place[slot[valid]] = valid.nonzero()[:, 0]
    real = torch.zeros_like(place, dtype=torch.bool)
    real[slot[valid]] = True
    return Aligned(
        block=block,
        place=place,
        real=real,
        slot=slot,
        number=torch.arange(len(of_block), device=valid.device) - first[of_block],
        length=pieces[of_block],
        same=len(place) == len(slot) and bool(real.all()),
    )
