"""Random attention: blocks of neighbours read each other and a few pieces drawn from all that is elsewhere.

The random and block parts of BigBird (Zaheer et al. 2020, section 2), by blocks of queries as there. Keys are drawn
one from each of as many even parts of what a block may draw from, so none is drawn twice and none of the past is left
out. What is drawn follows from the seed, the layer, the head, the block's number in its sequence and, without order,
the sequence's own length: never from content, the row, or what comes later.
Letters: X blocks, H heads, R keys drawn, Q queries and K keys of a block.
"""

from typing import TYPE_CHECKING, NamedTuple, TypeVar

import torch
from torch import Tensor

from model.attention.patterns import Asked, Pattern, PatternAttention, each_query, over_places
from model.context import Context
from model.kernels.blocks import Aligned, Blocks, aligned, attend_blocks, bias_of, parts

if TYPE_CHECKING:
    from model.config import ModelConfig

Number = TypeVar("Number", int, Tensor)


class Drawn(NamedTuple):
    """Blocks and the keys drawn for them."""

    layout: Aligned
    slot: Tensor
    """int64 [X,H,R]"""
    blocks: Blocks


class Random(Pattern):
    """Query t reads the pieces of its block, none ahead in a causal model, and `keys` pieces drawn for the block."""

    def __init__(self, config: "ModelConfig", layer: int = 0) -> None:
        super().__init__(config, f"random {layer}")
        self.layer = layer

    def plan(self, context: Context, dtype: torch.dtype) -> Drawn:
        layout, R = aligned(context, self.settings.block), self.settings.keys
        block, device = layout.block, layout.place.device
        number, place = layout.number, torch.arange(block, device=device)
        before = number * block
        own = (layout.length - before).clamp(max=block)
        total = before if context.causal else layout.length - own
        part = torch.arange(R + 1, device=device) * total[:, None] // R
        size = part.diff(dim=1)
        head = torch.arange(self.head_count, device=device)[:, None]
        code = self.code(head, number[:, None, None], torch.arange(R, device=device))
        drawn = part[:, None, :-1] + code % size.clamp(min=1)[:, None]
        drawn = torch.where(drawn < before[:, None, None], drawn, drawn + own[:, None, None])
        first = torch.arange(len(number), device=device) - number  # the block that the sequence begins with
        slot = (first[:, None, None] * block + drawn).clamp(max=max(0, len(layout.place) - 1))
        real_XQ = layout.real.view(-1, block)
        near_XQQ = real_XQ[:, None, :] & ((place <= place[:, None]) | (not context.causal))
        near_XQQ = near_XQQ | ~real_XQ[:, :, None]  # what fills up a block must see something
        far_XQR = (size > 0)[:, None].expand(-1, block, -1)
        seen = torch.cat([far_XQR, near_XQQ], dim=2)
        bias = bias_of(seen, dtype)[:, None]
        if self.slopes:
            at = before[:, None] + place
            keys = torch.cat([drawn, at[:, None].expand(-1, self.head_count, -1)], dim=2)
            back = (at[:, None, :, None] - keys[:, :, None, :]).abs().to(dtype)
            bias = bias - back * torch.tensor(self.slopes, dtype=dtype, device=device)[:, None, None]
        return Drawn(layout, slot, Blocks(bias, real_XQ[:, None]))

    def mix(self, asked: Asked, context: Context, plan: Drawn) -> Tensor:
        layout, (X, H, R) = plan.layout, plan.slot.shape
        index = (plan.slot * H + torch.arange(H, device=plan.slot.device)[:, None]).flatten()
        q, k, v = (layout.laid(x) for x in (asked.q, asked.k, asked.v))
        own_q, own_k, own_v = (parts(x, 0, layout.block).transpose(1, 2) for x in (q, k, v))
        far_k, far_v = (x.flatten(0, 1).index_select(0, index).view(X, H, R, -1) for x in (k, v))
        keys, values = torch.cat([far_k, own_k], dim=2), torch.cat([far_v, own_v], dim=2)
        out_XHQD = attend_blocks(own_q, keys, values, plan.blocks.bias)
        return layout.back(out_XHQD.transpose(1, 2).flatten(0, 1), len(asked.x))

    def reads(self, asked: Asked, context: Context, plan: Drawn) -> Tensor:
        return plan.blocks.reads()

    def code(self, head: Number, number: Number, slot: Number) -> Number:
        """A number below 2**32 for what a head draws into a slot for the block of this number."""
        return _mixed(_mixed(_mixed(self.settings.seed * 64 + self.layer + head * 0x9E3779B1) ^ number) + slot)

    def keys_of(self, head: int, at: int, length: int, causal: bool) -> list[int]:
        """What a query at a place of a sequence of so many pieces reads, as places of the sequence, ascending."""
        number, keys = at // self.settings.block, self.settings.keys
        block = [s for s in range(length) if s // self.settings.block == number]
        elsewhere = [s for s in range(length) if s not in block and (s < at or not causal)]
        parts = [elsewhere[j * len(elsewhere) // keys : (j + 1) * len(elsewhere) // keys] for j in range(keys)]
        drawn = [part[self.code(head, number, j) % len(part)] for j, part in enumerate(parts) if part]
        return sorted(drawn + [s for s in block if s <= at or not causal])

    def slow(self, asked: Asked, context: Context) -> Tensor:
        def mixed(row: int, head: int, t: int, places: range) -> Tensor:
            keys = self.keys_of(head, t - places.start, len(places), context.causal)
            return over_places(asked, self.slopes, row, head, t, [places.start + s for s in keys])

        return each_query(asked, context, mixed)


def _mixed(x: Number) -> Number:
    """Another number below 2**32 for each: xor, shift and multiply, twice; products stay below 2**63."""
    x = x & 0xFFFFFFFF
    for _ in range(2):
        x = ((x >> 16) ^ x) * 0x45D9F3B & 0xFFFFFFFF
    return (x >> 16) ^ x


def random(config: "ModelConfig", layer: int = 0) -> PatternAttention:
    return PatternAttention(config, Random(config, layer), "random")
