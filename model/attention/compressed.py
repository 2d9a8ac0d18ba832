"""Near pieces one by one, far ones as summaries of blocks; heads at 1:1, 1:2, 1:4.

    summary of a block     a = softmax_i(u'k_i + w_i) over its pieces i;  K = sum a_i k_i,  V = sum a_i v_i
    what a query reads     the latest pieces, and of the blocks that begin before these, the latest `reach`;
                           one softmax over both, a summary of r pieces counted r times

with u and w learnt a head (pooling by Yuan et al. 2025 is an MLP; mean pooling is u = w = 0). Keys are pooled as they
are and turned by the place of the block's last piece.

A block that holds a piece after the query has no summary for it. Blocks are counted from the sequence's own beginning,
the window is no narrower than a block, and so a block that begins before the window has ended by the query: neither a
gap nor the future. (Summaries of the block that the query stands in have leaked the future in published code.) Pieces
of a last, unfinished block are seen through windows alone. Where a model sees ahead, windows and blocks lie on both
sides. `views` say nothing here. O(N) time and memory. Letters: B rows, N pieces, M width of the model, H heads, G
groups of heads, E heads of a group, D width of a head, J blocks of a row, R pieces of a block.
"""

from math import log
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn, unflatten

from model.attention.heads import Heads, computed_in
from model.attention.near import Near, lanes, with_near
from model.attention.rotary import Turn, rotate, turn_of
from model.context import Context
from model.kernels.runs import Runs, attend_runs, join, runs_of

if TYPE_CHECKING:
    from model.config import ModelConfig


class Blocks(NamedTuple):
    """Of one ratio, in a batch."""

    last: Tensor
    """int64 [B,J]: place of each block's last piece, in their order; where a row has fewer, any place."""
    before: Runs
    """Lanes [B*heads at the ratio], queries [N]."""
    after: Runs | None
    """Where a model sees ahead."""


class CompressedAttention(Heads):
    """A layer of it."""

    def __init__(self, config: "ModelConfig", layer: int = 0) -> None:
        super().__init__(config)
        if self.slopes:
            raise ValueError("compressed has no distances to summaries for ALiBi; set positions to rotary or learned")
        said, heads = config.compressed, config.heads
        self.window, self.reach = said.window, said.reach
        self.ratios = tuple(said.ratios[head * len(said.ratios) // heads] for head in range(heads))
        """Of each head."""
        self.pool = nn.Parameter(torch.randn(heads, self.width) * 0.02)
        self.pool_place = nn.Parameter(torch.zeros(heads, max(said.ratios)))

    def prepare(self, context: Context) -> Context:
        """The context with the pieces and blocks that each query reads."""
        context, near = self.near(context)
        for ratio in dict.fromkeys(self.ratios):
            if self.name(ratio) not in context.plans:
                blocks = blocks_of(near, ratio, self.window, self.reach, self.ratios.count(ratio))
                context = context._replace(plans={**context.plans, self.name(ratio): blocks})
        return context

    def near(self, context: Context) -> tuple[Context, Near]:
        return with_near(context, self.window, self.key_heads, self.query_heads // self.key_heads)

    def name(self, ratio: int) -> str:
        """Under which a context keeps the blocks."""
        return f"blocks of {ratio}: {self.reach} beyond {self.window}, {self.ratios.count(ratio)} heads"

    def forward(self, x_BNM: Tensor, context: Context) -> Tensor:
        # Zeros, not a mask alone: a weight of 0 times a NaN is NaN, and would carry it out of the padding.
        x_BNM = x_BNM.masked_fill(~context.valid()[:, :, None], 0.0)
        context, near = self.near(self.prepare(context))
        q_BHND, k_BGND, v_BGND = self.heads(x_BNM, None)
        (B, H, N, D), turn = q_BHND.shape, None
        turned_BGND = k_BGND
        if self.positions == "rotary":
            turn = turn_of(N, D, x_BNM.device, computed_in(self.qkv.weight))
            q_BHND, turned_BGND = rotate(q_BHND, turn), rotate(k_BGND, turn)
        keys = turned_BGND.flatten(0, 1), v_BGND.flatten(0, 1)
        window, window_total = attend_runs(q_BHND.reshape(B * self.key_heads, -1, D), *keys, None, near.runs)
        window, window_total = window.view(B, H, N, D), window_total.view(B, H, N)
        mixed = []
        for ratio in dict.fromkeys(self.ratios):
            heads = [head for head, its in enumerate(self.ratios) if its == ratio]
            blocks: Blocks = context.plans[self.name(ratio)]
            keys = self.summaries(k_BGND, v_BGND, heads, blocks.last, turn)
            some = slice(heads[0], heads[-1] + 1)
            q = q_BHND[:, some].flatten(0, 1)
            parts = [(window[:, some].flatten(0, 1), window_total[:, some].flatten(0, 1))]
            for runs in (blocks.before, blocks.after):
                if runs is not None:
                    far, total = attend_runs(q, *keys, None, runs)
                    parts.append((far, total + log(ratio)))
            mixed.append(join(parts).view(B, len(heads), N, D))
        mixed_BNM = torch.cat(mixed, dim=1).transpose(1, 2).reshape(x_BNM.shape)
        out_BNM: Tensor = self.out(mixed_BNM.to(v_BGND.dtype))
        return out_BNM

    def summaries(
        self, k_BGND: Tensor, v_BGND: Tensor, heads: list[int], last_BJ: Tensor, turn: Turn | None
    ) -> tuple[Tensor, Tensor]:
        """Keys (turned) and values of blocks, [B*heads,J,D] each; heads: neighbours of one ratio."""
        (B, J), ratio, each = last_BJ.shape, self.ratios[heads[0]], self.query_heads // self.key_heads
        place_BJR = last_BJ[..., None] + torch.arange(1 - ratio, 1, device=last_BJ.device)
        index = place_BJR.clamp(min=0).view(B, 1, -1, 1).expand(-1, len(heads), -1, k_BGND.shape[-1])
        k, v = (
            unflatten(torch.stack([x_BGND[:, head // each] for head in heads], dim=1).gather(2, index), 2, (J, ratio))
            for x_BGND in (k_BGND, v_BGND)
        )  # [B,heads,J,R,D]
        some = slice(heads[0], heads[-1] + 1)
        weight = self.pooling(k, self.pool[some, None, :], self.pool_place[some, None, :ratio])[..., None]
        k, v = (k * weight).sum(3), (v * weight).sum(3)
        if turn is not None:
            cos, sin = (part[last_BJ][:, None] for part in turn)
            k = rotate(k, Turn(cos, sin))
        return k.flatten(0, 1), v.flatten(0, 1)

    @staticmethod
    def pooling(k_R: Tensor, pool: Tensor, pool_place: Tensor) -> Tensor:
        """[...,R]: how much of a block's summary is each of its pieces. k_R: [...,R,D]."""
        return ((k_R * pool[..., None, :]).sum(-1) + pool_place).softmax(-1)


def blocks_of(near: Near, ratio: int, window: int, reach: int, heads: int) -> Blocks:
    """The finished blocks of a batch, and which of them each query reads."""
    start_BN, (B, N) = near.start, near.start.shape
    place_N = torch.arange(N, device=start_BN.device)
    own_BN = place_N - start_BN
    ends_BN = (own_BN + 1) % ratio == 0
    ended_BN = ends_BN.cumsum(1)  # blocks of the row that have ended by the piece
    J = N // ratio
    # Pieces that end no block are written behind the list, which is then cut.
    slot_BN = torch.where(ends_BN, ended_BN - 1, J)
    last_BJ = start_BN.new_zeros(B, J + 1).scatter_(1, slot_BN, place_N.expand(B, -1))[:, :J]
    first_BN = (ended_BN - ends_BN.long()).gather(1, start_BN)  # blocks of the row before the sequence's own
    rank_BN = first_BN + (own_BN - window + ratio).clamp(min=0) // ratio
    low_BN = torch.maximum(first_BN, rank_BN - reach)
    lane = [lanes(each, heads, 1) for each in (rank_BN, low_BN, rank_BN)]
    before = runs_of(*lane, keys=J, block=reach)
    if near.end is None:
        return Blocks(last_BJ, before, None)
    total_BN = first_BN + (near.end - start_BN) // ratio
    rank_BN = torch.minimum(first_BN + (own_BN + window) // ratio, total_BN)
    high_BN = torch.minimum(rank_BN + reach, total_BN)
    lane = [lanes(each, heads, 1) for each in (rank_BN, rank_BN, high_BN)]
    return Blocks(last_BJ, before, runs_of(*lane, keys=J, block=reach, both=True))


def compressed_slow(layer: CompressedAttention, x_BNM: Tensor, context: Context) -> Tensor:
    """The slow twin: one query of one head at a time, places counted from the sequence's own beginning."""
    x_BNM = x_BNM.masked_fill(~context.valid()[:, :, None], 0.0)
    q_BHND, k_BGND, v_BGND = layer.heads(x_BNM, None)
    (B, H, N, D), start, rows = q_BHND.shape, context.sequence_start(), []
    turn = turn_of(N, D, x_BNM.device, x_BNM.dtype) if layer.positions == "rotary" else None

    def turned(x_D: Tensor, place: int) -> Tensor:
        return x_D if turn is None else rotate(x_D[None], Turn(turn.cos[place], turn.sin[place]))[0]

    for row in range(B):
        for head in range(H):
            group, ratio = head // (H // layer.key_heads), layer.ratios[head]
            k, v = k_BGND[row, group], v_BGND[row, group]
            for t in range(N):
                own = [s for s in range(N) if start[row, s] == start[row, t]]
                known = [s for s in own if s <= t or not context.causal]
                near = [s for s in known if abs(s - t) < layer.window]
                blocks = [known[at : at + ratio] for at in range(0, len(known) - ratio + 1, ratio)]
                before = [block for block in blocks if block[0] <= t - layer.window][-layer.reach :]
                after = [block for block in blocks if block[-1] >= t + layer.window][: layer.reach]
                q = turned(q_BHND[row, head, t], t - own[0])
                scores, values = [q.dot(turned(k[s], s - own[0])) / D**0.5 for s in near], [v[s] for s in near]
                for block in before + after:
                    weight = (k[block] @ layer.pool[head] + layer.pool_place[head, :ratio]).softmax(0)
                    summary = turned(weight @ k[block], block[-1] - own[0])
                    scores.append(q.dot(summary) / D**0.5 + log(ratio))
                    values.append(weight @ v[block])
                rows.append(torch.stack(scores).softmax(0) @ torch.stack(values))
    out_BNM: Tensor = layer.out(torch.stack(rows).view(B, H, N, D).transpose(1, 2).reshape(x_BNM.shape))
    # A gradient for all weights, of 0 where no block has been read.
    return out_BNM + 0 * (layer.pool.sum() + layer.pool_place.sum())
