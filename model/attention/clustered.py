"""Clustered attention: each piece reads the last few pieces of its own kind, kinds being learnt.

After Roy et al. 2021 (Routing Transformer): each head has centroids on the unit sphere, and a piece belongs to the
nearest to its key. There a centroid takes the pieces that are nearest to it in the whole row, which tells each piece
of those after it; here a query reads the last `keys` pieces of its cluster, so no piece moves what another before it
reads, and the cap counts by query. There centroids follow the pieces by moving averages; here by gradient: a value is
multiplied by the probability of its piece's cluster, as the experts of Fedus et al. 2022 are by their router's.
Keys route before rotary positions turn them: what a piece is, not where it stands.

Sorted by sequence, cluster and place, a query's keys are its neighbours: a window of a line in that order.
Letters: B rows, H heads, N pieces, C clusters, D width of a head.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.attention.local import tags
from model.attention.patterns import Asked, Pattern, PatternAttention, each_query, over_places
from model.context import Context
from model.kernels.blocks import NOBODY, Window, attend_window, window_of

if TYPE_CHECKING:
    from model.config import ModelConfig


class Clustered(Pattern):
    """Query t reads itself and the last keys - 1 pieces before it of its cluster; without order, as many after it."""

    def __init__(self, config: "ModelConfig", layer: int = 0) -> None:
        super().__init__(config, "clustered")
        width = config.dim // config.heads
        self.centroid = nn.Parameter(torch.randn(config.heads, self.settings.clusters, width))
        """[H,C,D]; their directions count."""

    def plan(self, context: Context, dtype: torch.dtype) -> Tensor:
        return tags(context)

    def mix(self, asked: Asked, context: Context, plan: Tensor) -> Tensor:
        belongs_BHN, order_BHN, window = self.sorted(asked, context, plan)
        B, H, N, D = asked.q.shape
        first = torch.arange(B * H, device=order_BHN.device).view(B, H, 1) * N
        order = (order_BHN + first).flatten()
        inverse = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
        q, k, v = (
            _Permuted.apply(x.reshape(B * H * N, D), order, inverse).view(B, H, N, D)  # type: ignore[no-untyped-call]
            for x in (asked.q, asked.k, asked.v * belongs_BHN[..., None])
        )
        out = attend_window(q, k, v, window).reshape(B * H * N, D)
        back: Tensor = _Permuted.apply(out, inverse, order)  # type: ignore[no-untyped-call]
        return back.view(B, H, N, D)

    def clusters(self, plain_BHND: Tensor) -> tuple[Tensor, Tensor]:
        """(the probability of the nearest cluster, its number), [B,H,N]."""
        near = functional.normalize(plain_BHND, dim=-1) @ functional.normalize(self.centroid, dim=-1).transpose(1, 2)
        # Cosines of D entries have a spread of D**-0.5 at first; over it, the softmax is neither flat nor hard.
        belongs, cluster = (near * plain_BHND.shape[-1] ** 0.5).softmax(-1).max(-1)
        return belongs, cluster

    def sorted(self, asked: Asked, context: Context, tag_BN: Tensor) -> tuple[Tensor, Tensor, Window]:
        """(probabilities, places in the order of the line, who reads whom in it)."""
        belongs, cluster = self.clusters(asked.plain)
        tag_BHN = torch.where(tag_BN[:, None] < 0, NOBODY, tag_BN[:, None] * self.settings.clusters + cluster)
        tag_BHN, order = tag_BHN.sort(stable=True, dim=-1)
        settings, dtype = self.settings, asked.q.dtype
        return belongs, order, window_of(tag_BHN, settings.keys, context.causal, dtype, self.slopes, order)

    def reads(self, asked: Asked, context: Context, plan: Tensor) -> Tensor:
        return self.sorted(asked, context, plan)[2].blocks.reads()

    def slow(self, asked: Asked, context: Context) -> Tensor:
        belongs, cluster = self.clusters(asked.plain)
        asked = asked._replace(v=asked.v * belongs[..., None])

        def mixed(row: int, head: int, t: int, places: range) -> Tensor:
            own = [s for s in places if cluster[row, head, s] == cluster[row, head, t]]
            at, keys = own.index(t), self.settings.keys
            return over_places(asked, self.slopes, row, head, t, own[max(0, at + 1 - keys) : at + keys])

        return each_query(asked, context, mixed)


class _Permuted(torch.autograd.Function):
    """Rows in another order. Its gradient is the way back: rows that are read, where index_select's adds them up."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(inverse)
        return x.index_select(0, order)

    @staticmethod
    def backward(ctx: Any, up: Tensor) -> tuple[Tensor, None, None]:
        return up.index_select(0, ctx.saved_tensors[0]), None, None


def clustered(config: "ModelConfig", layer: int = 0) -> PatternAttention:
    return PatternAttention(config, Clustered(config, layer), "clustered")
