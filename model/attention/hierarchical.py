"""Hierarchical attention: what is near piece by piece, what is further off by summaries of blocks, at several scales.

At each scale a query reads the pieces of its own block one by one, none ahead in a causal model, and each of the last
`keys` whole blocks before it as one key and one value, the means of its pieces'. A summary's score grows by the log
of its pieces, so that it weighs what they would if they were all alike (Zhu and Soricut 2021 coarsen in this way). The
softmaxes of the scales are mixed by shares that each head learns. A block that is not over is summed up for nobody in
a causal model: it would bring what comes later.
Letters: M blocks of a scale, X blocks of queries, Q queries of a block, F summaries, H heads, D width of a head,
L scales.
"""

from math import log
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from model.attention.patterns import Asked, Pattern, PatternAttention, each_query, softmax_over
from model.context import Context
from model.kernels.blocks import QUERIES, Aligned, Blocks, aligned, attend_blocks, bias_of, parts

if TYPE_CHECKING:
    from model.config import ModelConfig


class Scale(NamedTuple):
    """Blocks of one size."""

    size: int
    pieces: Tensor
    """int64 [M]: in each block, fewer than `size` where a sequence ends."""
    summary: Tensor
    """int64 [X,F]: the blocks that a block of queries reads as summaries."""
    blocks: Blocks


class Scales(NamedTuple):
    layout: Aligned
    scales: tuple[Scale, ...]


class Hierarchical(Pattern):
    """Own block by pieces, the `keys` blocks before it (without order, after it as well) by summaries."""

    def __init__(self, config: "ModelConfig", layer: int = 0) -> None:
        super().__init__(config, "hierarchical")
        self.scale = nn.Parameter(torch.zeros(config.heads, len(self.settings.scales)))
        """Its softmax is what each scale is worth to each head."""

    def plan(self, context: Context, dtype: torch.dtype) -> Scales:
        largest = self.settings.scales[-1]
        layout = aligned(context, largest * max(1, QUERIES // largest))
        return Scales(layout, tuple(self.scale_of(size, layout, context, dtype) for size in self.settings.scales))

    def scale_of(self, size: int, layout: Aligned, context: Context, dtype: torch.dtype) -> Scale:
        """Queries of several small blocks are computed together: products of 16 pieces are thin."""
        device, keys = layout.place.device, self.settings.keys
        together = max(n for n in range(1, max(1, QUERIES // size) + 1) if layout.block % (size * n) == 0)
        queries, each = size * together, layout.block // size
        pieces_M = layout.real.view(-1, size).sum(1)
        sequence_M = (torch.arange(len(layout.number), device=device) - layout.number).repeat_interleave(each)
        M = len(pieces_M)
        own_X = torch.arange(M // together, device=device)[:, None] * together
        summary_XF = own_X + torch.arange(-keys, together - 1 if context.causal else together + keys, device=device)
        own_XQ = own_X + torch.arange(queries, device=device) // size
        there_XF = summary_XF.clamp(0, max(0, M - 1))
        back_XQF = own_XQ[:, :, None] - summary_XF[:, None, :]
        far = (back_XQF > 0) & (back_XQF <= keys) if context.causal else (back_XQF != 0) & (back_XQF.abs() <= keys)
        far = far & (summary_XF == there_XF)[:, None, :] & (pieces_M[there_XF] > 0)[:, None, :]
        far = far & (sequence_M[there_XF][:, None, :] == sequence_M[own_XQ][:, :, None])
        place, real_XQ = torch.arange(queries, device=device), layout.real.view(-1, queries)
        mine = (place[:, None] // size == place // size) & ((place <= place[:, None]) | (not context.causal))
        near = (mine & real_XQ[:, None, :]) | ~real_XQ[:, :, None]  # what fills up a block must see something
        bias = bias_of(torch.cat([far, near], dim=2), dtype)[:, None]
        bias[..., : far.shape[2]] += pieces_M[there_XF].clamp(min=1).to(dtype).log()[:, None, None, :]
        if self.slopes:
            middle_XF = there_XF * size + (pieces_M[there_XF] - 1).to(dtype) / 2
            slot_XQ = (own_X * size + place).to(dtype)
            back = (slot_XQ[:, :, None] - torch.cat([middle_XF, slot_XQ], dim=1)[:, None, :]).abs()
            bias = bias - back[:, None] * torch.tensor(self.slopes, dtype=dtype, device=device)[:, None, None]
        return Scale(size, pieces_M, there_XF, Blocks(bias, real_XQ[:, None]))

    def mix(self, asked: Asked, context: Context, plan: Scales) -> Tensor:
        layout = plan.layout
        q, k, v = (layout.laid(x) for x in (asked.q, asked.k, asked.v))
        if not layout.same:  # means are of pieces
            k, v = (x.masked_fill(~layout.real[:, None, None], 0.0) for x in (k, v))
        mixed = list[Tensor]()
        for (size, pieces, summary, blocks), share_H in zip(plan.scales, self.shares().unbind(1), strict=True):
            queries = blocks.bias.shape[2]
            read = list[Tensor]()
            for x in (k, v):
                mean = parts(x, 0, size).sum(1) / pieces.clamp(min=1)[:, None, None].to(x.dtype)
                far = parts(mean.index_select(0, summary.flatten()), 0, summary.shape[1])
                read.append(torch.cat([far, parts(x, 0, queries)], dim=1).transpose(1, 2))
            out_XHQD = attend_blocks(parts(q, 0, queries).transpose(1, 2), read[0], read[1], blocks.bias)
            mixed.append((out_XHQD * share_H[:, None, None].to(q.dtype)).transpose(1, 2).flatten(0, 1))
        return layout.back(torch.stack(mixed).sum(0) if len(mixed) > 1 else mixed[0], len(asked.x))

    def shares(self) -> Tensor:
        """[H,L], of each head 1 together."""
        return self.scale.softmax(-1)

    def reads(self, asked: Asked, context: Context, plan: Scales) -> Tensor:
        """Of the scales, weighed by their shares; a summary counts as one key."""
        reads_LH = torch.stack([scale.blocks.reads() for scale in plan.scales])
        return (reads_LH * self.shares().T).sum(0)

    def slow(self, asked: Asked, context: Context) -> Tensor:
        def mixed(row: int, head: int, t: int, places: range) -> Tensor:
            k, v, slope = asked.k[row, head], asked.v[row, head], self.slopes[head] if self.slopes else 0.0
            total = torch.zeros_like(v[0])
            for size, share in zip(self.settings.scales, self.shares()[head], strict=True):
                keys, values, less, own = [], [], [], (t - places.start) // size
                for number in range(own - self.settings.keys, own + self.settings.keys + 1):
                    block = [s for s in places if (s - places.start) // size == number]
                    for part in [[s] for s in block] if number == own else [block] if block else []:
                        keys.append(k[part].mean(0))
                        values.append(v[part].mean(0))
                        less.append(slope * abs(t - sum(part) / len(part)) - log(len(part)))
                total = total + share * softmax_over(asked.q[row, head, t], keys, values, less)
            return total

        return each_query(asked, context, mixed)


def hierarchical(config: "ModelConfig", layer: int = 0) -> PatternAttention:
    return PatternAttention(config, Hierarchical(config, layer), "hierarchical")
