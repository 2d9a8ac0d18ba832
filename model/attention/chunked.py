"""Linear attention in chunks: pairs inside a chunk, and between chunks a state that sums up what came before.

For features phi and scales e**a of the keys (model.attention.features) a query i gets

    sum_j w_ij v_j / sum_j w_ij,    w_ij = phi(q_i)·phi(k_j) * e**(a_j - m_i),    m_i the largest a_j that it may see,

over the keys j of its sequence, up to itself where order counts. The state S = sum_j phi(k_j) e**(a_j - M) [v_j, 1] is
one of the sequence that is open where a chunk ends; it is dropped where another begins, so that packed sequences need
no loop of their own. As m_i and M are largest values of keys that may be seen, nothing overflows, and no query's
rounding knows later keys. Without order, a second state comes from behind. O(N * (C + R) * D) time.

In causal order chunks are computed a few at a time, and again on the way back: what is remembered is q, k, v and a
state now and then, and what is computed stays in the processor's cache. Without order all are computed at once.

Letters: B rows, G heads of keys, E heads of queries that share one, N pieces, X chunks of C pieces, R features, D width
of a head.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from model.attention.features import Features
from model.context import Context

TOGETHER = {"cpu": 1024, "cuda": 16384}
"""Pieces whose chunks are computed together, about: scores of a head take 64 times as many numbers."""


class Side(NamedTuple):
    """What a state is made of and who reads it, chunk by chunk in the order in which it is carried."""

    adds: Tensor
    """bool [B,X,C]: pieces of the sequence whose state leaves the chunk."""
    through: Tensor
    """bool [B,X]: whether the state that came in is of that sequence."""
    reads: Tensor
    """bool [B,X,C]: pieces of the sequence whose state comes in."""


class Incoming(NamedTuple):
    """A state on its way."""

    state: Tensor
    """[B,G,R,D+1], over e**top."""
    top: Tensor
    """[B,G]: the largest scale in it; -inf where there is none yet, and 0 where keys have no scale."""


class Chunks(NamedTuple):
    """How rows are cut, made once a batch."""

    size: int
    together: Tensor
    """bool [B,X,C,C]: which pairs of a chunk count."""
    before: Side
    behind: Side | None
    """None where order counts."""

    def some(self, chosen: slice) -> "Chunks":
        """These chunks, where order counts."""
        assert self.behind is None
        return Chunks(self.size, self.together[:, chosen], Side(*(part[:, chosen] for part in self.before)), None)


def chunks_of(context: Context, size: int) -> Chunks:
    """Chunks of so many pieces. O(N*C)."""
    B, N = context.document.shape
    X = -(-N // size)
    begin = functional.pad(context.sequence_start(), (0, X * size - N), value=N).view(B, X, size)
    together = begin[:, :, :, None] == begin[:, :, None, :]
    if context.causal:
        together &= torch.ones(size, size, dtype=torch.bool, device=begin.device).tril()
    start = torch.arange(X, device=begin.device)[:, None] * size
    # A sequence that begins before its chunk is the one that was open where the last chunk ended.
    before = Side(begin == begin[:, :, -1:], begin[:, :, -1] < start[:, 0], begin < start)
    if context.causal:
        return Chunks(size, together, before, None)
    following = functional.pad(begin[:, 1:, 0], (0, 1), value=-1)
    behind = Side(begin == begin[:, :, :1], begin[:, :, 0] == following, begin == following[:, :, None])
    return Chunks(size, together, before, Side(*(part.flip(1) for part in behind)))


def attend_chunked(
    features: Callable[[Tensor], Features], q_BGEND: Tensor, k_BGND: Tensor, v_BGND: Tensor, chunks: Chunks
) -> Tensor:
    """[B,G,E,N,D]: linear attention by these features."""
    N, C, X = q_BGEND.shape[3], chunks.size, chunks.together.shape[1]
    each = X if chunks.behind else max(1, TOGETHER.get(q_BGEND.device.type, TOGETHER["cpu"]) // C)
    # What fills up the last chunk is a sequence of its own.
    q, k, v = (functional.pad(x, (0, 0, 0, X * C - N)) if X * C > N else x for x in (q_BGEND, k_BGND, v_BGND))

    def some(q: Tensor, k: Tensor, v: Tensor, first: int, state: Tensor | None, top: Tensor | None) -> Any:
        incoming = None if state is None or top is None else Incoming(state, top)
        its = chunks if each == X else chunks.some(slice(first, first + each))
        return _attend(features(q), features(k[:, :, None]), v, its, incoming)

    # split, not slices: the gradient of a slice is as large as the whole.
    parts = zip(
        torch.split(q, each * C, dim=3), torch.split(k, each * C, dim=2), torch.split(v, each * C, dim=2), strict=True
    )
    found, state, top = list[Tensor](), None, None
    for number, part in enumerate(parts):
        if each < X and torch.is_grad_enabled():
            settings: dict[str, Any] = {"use_reentrant": False, "preserve_rng_state": False}
            mixed, (state, top) = checkpoint(some, *part, number * each, state, top, **settings)
        else:
            mixed, (state, top) = some(*part, number * each, state, top)
        found.append(mixed)
    return torch.cat(found, dim=3)[:, :, :, :N]


def _attend(
    of_q: Features, of_k: Features, v_BGND: Tensor, chunks: Chunks, incoming: Incoming | None
) -> tuple[Tensor, Incoming]:
    """[B,G,E,N,D] of some chunks, and the state that leaves the last."""
    E, (X, C) = of_q.phi.shape[2], chunks.together.shape[1:3]

    def cut(x: Tensor) -> Tensor:
        """[...,N,width] in chunks, [...,X,C,width]."""
        return x.reshape(*x.shape[:-2], X, C, x.shape[-1])

    def by_query(x: Tensor) -> Tensor:
        """[B,G,X,E*C,width] as [B,G,X,E,C,width]."""
        return x.view(*x.shape[:3], E, C, x.shape[-1])

    q, k = cut(of_q.phi).transpose(2, 3).flatten(3, 4), cut(of_k.phi.squeeze(2))  # [B,G,X,E*C,R] and [B,G,X,C,R]
    v1 = cut(torch.cat([v_BGND, torch.ones_like(v_BGND[..., :1])], dim=-1))
    scale = None if of_k.log_scale is None else of_k.log_scale.view(*k.shape[:4])
    weight = by_query(q @ k.transpose(-1, -2))  # [B,G,X,E,C,C]
    sides = [_Sided(chunks.before, False), *([_Sided(chunks.behind, True)] if chunks.behind else [])]
    tops = [side.tops(scale, incoming.top if incoming else None) for side in sides] if scale is not None else []
    largest = None
    if scale is None:
        weight = weight.masked_fill(~chunks.together[:, None, :, None], 0.0)
    else:
        seen = scale[:, :, :, None, :].masked_fill(~chunks.together[:, None], float("-inf"))
        largest = seen.detach().amax(-1)  # [B,G,X,C]
        for side, top in zip(sides, tops, strict=True):
            largest = torch.maximum(largest, side.read(top))
        weight = weight * (seen - largest[..., None]).exp()[:, :, :, None]
    mixed = weight.flatten(3, 4) @ v1
    leaves: list[Incoming] = []
    for number, side in enumerate(sides):
        its_top = tops[number] if tops else None
        states, last = side.states(k, scale, v1, its_top, incoming)
        leaves.append(last)
        part = by_query(q @ states)
        if its_top is None or largest is None:
            part = part.masked_fill(~side.reads[:, None, :, None, :, None], 0.0)
        else:
            part = part * (side.read(its_top) - largest).exp()[:, :, :, None, :, None]
        mixed = mixed + part.flatten(3, 4)
    mixed = by_query(mixed).transpose(2, 3).flatten(3, 4)
    return mixed[..., :-1] / mixed[..., -1:], leaves[0]


class _Sided:
    """A side's states, with chunks in the order of the row; the side itself has them in that of its way."""

    def __init__(self, side: Side, turned: bool) -> None:
        self.side, self.turned = side, turned
        self.adds, self.reads = (part.flip(1) if turned else part for part in (side.adds, side.reads))

    def _turn(self, x: Tensor) -> Tensor:
        return x.flip(2) if self.turned else x

    def tops(self, scale: Tensor, first: Tensor | None) -> Tensor:
        """[B,G,X+1], in the side's order: the largest scale in the state that comes into each chunk, and in the one
        that leaves the last."""
        own = self._turn(scale.detach().masked_fill(~self.adds[:, None], float("-inf")).amax(-1))
        top = torch.full_like(own[:, :, 0], float("-inf")) if first is None else first
        found = [top]
        for at in range(own.shape[2]):
            top = torch.maximum(own[:, :, at], top.masked_fill(~self.side.through[:, None, at], float("-inf")))
            found.append(top)
        return torch.stack(found, dim=2)

    def read(self, top: Tensor) -> Tensor:
        """[B,G,X,C]: the largest scale in the state for the pieces that read it, and -inf for the others."""
        return self._turn(top[:, :, :-1])[..., None].masked_fill(~self.reads[:, None], float("-inf"))

    def states(
        self, k: Tensor, scale: Tensor | None, v1: Tensor, top: Tensor | None, incoming: Incoming | None
    ) -> tuple[Tensor, Incoming]:
        """[B,G,X,R,D+1]: the state that comes into each chunk; and the one that leaves the last."""
        if top is None or scale is None:
            k = k.masked_fill(~self.adds[:, None, ..., None], 0.0)
            decay = self.side.through.to(k.dtype)[:, None].expand(-1, k.shape[1], -1)
            last = k.new_zeros(k.shape[:2])
        else:
            leaves = self._turn(top[:, :, 1:])
            k = k * (scale - leaves[..., None]).masked_fill(~self.adds[:, None], float("-inf")).exp()[..., None]
            decay = (top[:, :, :-1] - top[:, :, 1:]).masked_fill(~self.side.through[:, None], float("-inf")).exp()
            last = top[:, :, -1]
        own = self._turn(k.transpose(-1, -2) @ v1)
        first = torch.zeros_like(own[:, :, 0]) if incoming is None else incoming.state
        states: Tensor = _Carried.apply(own, decay, first)  # type: ignore[no-untyped-call]
        return self._turn(states[:, :, :-1]), Incoming(states[:, :, -1], last)


class _Carried(torch.autograd.Function):
    """state[x+1] = decay[x] * state[x] + own[x] from state[0] = first. A decay of 0 forgets even a NaN."""

    @staticmethod
    def forward(ctx: Any, own_BGXRD: Tensor, decay_BGX: Tensor, first_BGRD: Tensor) -> Tensor:
        ctx.save_for_backward(decay_BGX)
        return _carry(own_BGXRD, decay_BGX, first_BGRD)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, up: Tensor) -> tuple[Tensor, None, Tensor]:
        (decay,) = ctx.saved_tensors
        # What state[x] is worth in all: worth[x] = up[x] + decay[x] * worth[x+1], the same from behind.
        worth = _carry(up[:, :, :-1].flip(2), decay.flip(2), up[:, :, -1]).flip(2)
        return worth[:, :, 1:], None, worth[:, :, 0]


def _carry(own: Tensor, decay: Tensor, first: Tensor) -> Tensor:
    B, G, X, R, D = own.shape
    state, forgets = own.new_empty(B, G, X + 1, R, D), (decay == 0)[..., None, None]
    state[:, :, 0] = first
    for at in range(X):
        into = state[:, :, at + 1]
        torch.mul(state[:, :, at], decay[:, :, at, None, None], out=into)
        into.masked_fill_(forgets[:, :, at], 0.0).add_(own[:, :, at])
    return state
