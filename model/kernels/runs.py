"""Attention of each query to one run of neighbours in a list of keys, as products of small matrices; linear time.

Keys stand in a list whose order is the mechanism's business: by bucket and place (hash), or by place (windows,
summaries of blocks). Query t reads the keys low[t] <= s < high[t]. Where K is the longest run, cut the list into blocks
of K keys: a run that ends by key j*K + (0 … K-1) lies in blocks j-1 and j, and if runs may reach K keys further, in
j-1, j and j+1. So queries are put together by block, C to a tile, and a tile is one product with 2*K or 3*K keys.
Blocks have as many tiles as their queries need; all together there are at most N/C and one more a block.

Neither blocks nor tiles decide what a query reads. No matrix of all pairs is made or kept: backward computes scores
again. Letters: L lanes (lists that have nothing to do with each other), Q queries of a lane, S keys of a lane, D width,
K keys of a block, J blocks of a lane, T tiles, C queries of a tile, W keys that a tile is multiplied with.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from model.kernels.uncompiled import uncompiled

QUERIES = 64
"""Queries of a tile."""

SCORES = {"cpu": 2**18}
"""Scores computed at a time, by device: on a CPU they stay in its caches."""
MOST_SCORES = 2**27
"""The same for other devices; half a GiB in 32 bits."""


class Runs(NamedTuple):
    """Which keys each query reads, and in which tile it is computed."""

    block: int
    """K"""
    span: int
    """Blocks that a tile reads, 2 or 3."""
    slot: Tensor
    """int64 [L*Q]: place of each query among the queries of all tiles."""
    first: Tensor
    """int64 [T]: the first block that a tile reads, in a list of all lanes' blocks with one empty block before each."""
    column: Tensor
    """int64 [T]: place in the lane's list of the first key that a tile reads; -K for the empty block."""
    low: Tensor
    """int64 [T,C]: the runs; empty where a tile has no query."""
    high: Tensor
    """int64 [T,C]"""


def runs_of(rank_LQ: Tensor, low_LQ: Tensor, high_LQ: Tensor, *, keys: int, block: int, both: bool = False) -> Runs:
    """Runs rank-K <= low <= high <= rank, or with `both` up to rank+K. int64; rank: 0 … keys. keys: S; block: K."""
    (L, Q), device = rank_LQ.shape, rank_LQ.device
    J = keys // block + 1
    own_LQ = rank_LQ // block
    sorted_LQ, order_LQ = own_LQ.sort(dim=1, stable=True)
    each_J = torch.arange(J + 1, device=device).expand(L, -1).contiguous()
    begin_LJ = torch.searchsorted(sorted_LQ, each_J)  # of each block's queries, in their order
    tiles_LJ = (begin_LJ.diff(dim=1) + QUERIES - 1) // QUERIES
    until_LJ = tiles_LJ.cumsum(dim=1)
    T = Q // QUERIES + J
    within_LQ = torch.arange(Q, device=device) - begin_LJ.gather(1, sorted_LQ)
    slot_LQ = (until_LJ - tiles_LJ).gather(1, sorted_LQ) * QUERIES + within_LQ
    slot_LQ = torch.empty_like(slot_LQ).scatter_(1, order_LQ, slot_LQ)
    slot_X = (slot_LQ + torch.arange(L, device=device)[:, None] * T * QUERIES).flatten()
    tile_LT = torch.arange(T, device=device).expand(L, -1).contiguous()
    own_LT = torch.searchsorted(until_LJ, tile_LT, right=True).clamp(max=J - 1)
    span = 3 if both else 2
    first_LT = own_LT + torch.arange(L, device=device)[:, None] * (J + span - 1)
    low, high = (rank_LQ.new_zeros(L * T * QUERIES).index_copy(0, slot_X, each.flatten()) for each in (low_LQ, high_LQ))
    low_TC, high_TC = low.view(-1, QUERIES), high.view(-1, QUERIES)
    first_T, column_T = first_LT.flatten(), (own_LT.flatten() - 1) * block
    if device.type == "cpu" and not torch.compiler.is_compiling():
        # Half the tiles beyond N/C are empty. Elsewhere to find out which would mean to wait for the device.
        used_T = (high_TC > low_TC).any(dim=1)
        moved_T = (used_T.cumsum(0) - 1).clamp(min=0)
        # A query without keys may stand anywhere, in a slot that is none of another's: behind all tiles.
        tile_X = slot_X // QUERIES
        last = int(used_T.sum()) * QUERIES
        slot_X = torch.where(used_T[tile_X], moved_T[tile_X] * QUERIES + slot_X % QUERIES, last)
        first_T, column_T, low_TC, high_TC = (each[used_T] for each in (first_T, column_T, low_TC, high_TC))
    return Runs(block, span, slot_X, first_T, column_T, low_TC, high_TC)


@uncompiled  # its loops over tiles would be written out one by one
def attend_runs(
    q_LQD: Tensor, k_LSD: Tensor, v_LSD: Tensor, bias_LS: Tensor | None, runs: Runs
) -> tuple[Tensor, Tensor]:
    """([L,Q,D], [L,Q]): each query's softmax attention to its run, and the logarithm of the sum of its exponentials in
    at least 32 bits, by which parts are joined (`join`); zeros and -inf where a run is empty. bias: added to the scores
    of a key. On a CPU 16-bit types are computed in 32."""
    exact = torch.promote_types(q_LQD.dtype, torch.float32)
    if q_LQD.device.type == "cpu":
        q_LQD, k_LSD, v_LSD = (each.to(exact) for each in (q_LQD, k_LSD, v_LSD))
    if bias_LS is None:
        bias_LS = torch.zeros(k_LSD.shape[:2], dtype=exact, device=k_LSD.device)
    with torch.autocast(q_LQD.device.type, enabled=False):  # or forward and backward would compute in two types
        inputs = q_LQD, k_LSD.to(q_LQD.dtype), v_LSD.to(q_LQD.dtype), bias_LS.to(exact), runs
        mixed, total = _Attend.apply(*inputs)  # type: ignore[no-untyped-call]
    return mixed, total


def join(parts: list[tuple[Tensor, Tensor]]) -> Tensor:
    """[L,Q,D]: one softmax over the keys of all parts; a key of two parts counts twice."""
    weights = torch.stack([total for _, total in parts]).softmax(0)
    mixed = parts[0][0] * weights[0, :, :, None].to(parts[0][0].dtype)
    for (each, _), weight in zip(parts[1:], weights[1:], strict=True):
        mixed = torch.addcmul(mixed, each, weight[:, :, None].to(each.dtype))
    return mixed


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q_LQD: Tensor, k_LSD: Tensor, v_LSD: Tensor, bias_LS: Tensor, runs: Runs
    ) -> tuple[Tensor, Tensor]:
        q_TCD = _tiled(q_LQD, runs)
        keys, values, biases = (_blocks(each, runs) for each in (k_LSD, v_LSD, bias_LS[..., None]))
        out_TCD, total_TC = torch.zeros_like(q_TCD), q_TCD.new_full(q_TCD.shape[:2], float("-inf"), dtype=bias_LS.dtype)
        for part in _parts(runs, q_LQD.device):
            score = _scores(q_TCD, keys, biases, runs, part)
            high = score.amax(dim=-1, keepdim=True)
            high = high.masked_fill_(high == float("-inf"), 0.0)  # or -inf - -inf
            weight = score.sub_(high).exp_()
            some = weight.sum(dim=-1, keepdim=True)
            total_TC[part] = (some.log() + high).squeeze(-1)
            mixed = torch.bmm(weight.to(q_TCD.dtype), _taken(values, runs, part))
            out_TCD[part] = mixed / some.clamp(min=1e-30).to(mixed.dtype)
        out = _untiled(out_TCD, runs, q_LQD.shape[:2])
        total = _untiled(total_TC[..., None], runs, q_LQD.shape[:2], float("-inf")).squeeze(-1)
        ctx.save_for_backward(q_LQD, k_LSD, v_LSD, bias_LS, out, total)
        ctx.runs = runs
        return out, total

    @staticmethod
    def backward(ctx: Any, up_LQD: Tensor, up_total_LQ: Tensor) -> tuple[Tensor | None, ...]:
        q_LQD, k_LSD, v_LSD, bias_LS, out_LQD, total_LQ = ctx.saved_tensors
        runs: Runs = ctx.runs
        exact = bias_LS.dtype
        less_LQ = (up_LQD.to(exact) * out_LQD.to(exact)).sum(-1) - up_total_LQ
        q_TCD, up_TCD = _tiled(q_LQD, runs), _tiled(up_LQD, runs)
        finite = total_LQ.masked_fill(total_LQ == float("-inf"), 0.0)
        total_TC1, less_TC1 = _tiled(finite[..., None], runs), _tiled(less_LQ[..., None], runs)
        keys, values, biases = (_blocks(each, runs) for each in (k_LSD, v_LSD, bias_LS[..., None]))
        d_q = torch.zeros_like(q_TCD)
        d_keys, d_values, d_biases = (torch.zeros_like(each, dtype=exact) for each in (keys, values, biases))
        scale = q_LQD.shape[-1] ** -0.5
        for part in _parts(runs, q_LQD.device):
            weight = _scores(q_TCD, keys, biases, runs, part).sub_(total_TC1[part]).exp_()
            up = up_TCD[part]
            _add(d_values, torch.bmm(weight.to(up.dtype).transpose(1, 2), up), runs, part)
            d_score = (
                torch.bmm(up, _taken(values, runs, part).transpose(1, 2)).to(exact).sub_(less_TC1[part]).mul_(weight)
            )
            _add(d_biases, d_score.sum(1)[..., None], runs, part)
            d_score = d_score.mul_(scale).to(up.dtype)
            d_q[part] = torch.bmm(d_score, _taken(keys, runs, part))
            _add(d_keys, torch.bmm(d_score.transpose(1, 2), q_TCD[part]), runs, part)
        d_k, d_v, d_bias = (_listed(each, k_LSD.shape[:2], runs) for each in (d_keys, d_values, d_biases))
        return _untiled(d_q, runs, q_LQD.shape[:2]), d_k.to(q_LQD.dtype), d_v.to(q_LQD.dtype), d_bias.squeeze(-1), None


def _parts(runs: Runs, device: torch.device) -> list[slice]:
    """Tiles computed at a time."""
    T, C = runs.low.shape
    step = max(1, SCORES.get(device.type, MOST_SCORES) // (C * runs.span * runs.block))
    return [slice(at, min(T, at + step)) for at in range(0, T, step)]


def _scores(q_TCD: Tensor, keys: Tensor, biases: Tensor, runs: Runs, part: slice) -> Tensor:
    """[T,C,W] of some tiles; -inf outside the runs."""
    bias_T1W = _taken(biases, runs, part).transpose(1, 2)
    score = torch.bmm(q_TCD[part], _taken(keys, runs, part).transpose(1, 2)).to(biases.dtype)
    score = score.mul_(q_TCD.shape[-1] ** -0.5).add_(bias_T1W)
    column = torch.arange(runs.span * runs.block, device=score.device) + runs.column[part, None]
    outside = (column[:, None] < runs.low[part][..., None]) | (column[:, None] >= runs.high[part][..., None])
    return score.masked_fill_(outside, float("-inf"))


def _tiled(x_LQD: Tensor, runs: Runs) -> Tensor:
    """[T,C,D]: the queries, or what belongs to them, in their tiles."""
    T, C = runs.low.shape
    slots = x_LQD.new_zeros(T * C + 1, x_LQD.shape[-1]).index_copy_(0, runs.slot, x_LQD.flatten(0, 1))
    return slots[:-1].view(T, C, x_LQD.shape[-1])


def _untiled(x_TCD: Tensor, runs: Runs, shape: torch.Size, none: float = 0.0) -> Tensor:
    """[L,Q,D]: back from the tiles; `none` for queries without a tile."""
    x_XD = torch.cat([x_TCD.flatten(0, 1), x_TCD.new_full((1, x_TCD.shape[-1]), none)])
    return x_XD.index_select(0, runs.slot).view(*shape, -1)


def _blocks(x_LSD: Tensor, runs: Runs) -> Tensor:
    """[blocks,K,D]: a list a lane with an empty block before it, filled up behind."""
    (_, S, _), K = x_LSD.shape, runs.block
    J = S // K + 1
    return functional.pad(x_LSD, (0, 0, K, (J + runs.span - 2) * K - S)).view(-1, K, x_LSD.shape[-1])


def _listed(blocks: Tensor, shape: torch.Size, runs: Runs) -> Tensor:
    """[L,S,D]: back from `_blocks`."""
    L, S = shape
    return blocks.view(L, -1, blocks.shape[-1])[:, runs.block : runs.block + S]


def _taken(blocks: Tensor, runs: Runs, part: slice) -> Tensor:
    """[T,W,D]: the keys that some tiles read."""
    _, K, D = blocks.shape
    # Neighbouring blocks are one stretch of memory: overlapping stretches, one of them a tile.
    stretches = blocks.as_strided((len(blocks) - runs.span + 1, runs.span * K * D), (K * D, 1))
    return stretches.index_select(0, runs.first[part]).view(-1, runs.span * K, D)


def _add(blocks: Tensor, more_TWD: Tensor, runs: Runs, part: slice) -> None:
    """Add what tiles give to the keys that they read."""
    for n, more in enumerate(torch.unflatten(more_TWD, 1, (runs.span, -1)).unbind(1)):
        blocks.index_add_(0, runs.first[part] + n, more.to(blocks.dtype))
