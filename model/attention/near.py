"""The pieces around a query, as runs of keys (model.kernels.runs): the exact part of mechanisms that see the far ones
otherwise. Letters: B rows, N pieces, G groups of heads that share keys, E heads of a group."""

from typing import NamedTuple

import torch
from torch import Tensor

from model.context import Context
from model.kernels.runs import Runs, runs_of


class Near(NamedTuple):
    """Of a batch."""

    start: Tensor
    """int64 [B,N]: place where the piece's sequence begins."""
    end: Tensor | None
    """int64 [B,N]: the place after its last piece, where a model may see that far."""
    runs: Runs
    """Lanes [B*G], queries [E*N]: the latest pieces; where a model sees ahead, as many to the other side."""


def with_near(context: Context, pieces: int, groups: int, each: int) -> tuple[Context, Near]:
    """The context with the near keys for heads of so many groups, made once a batch. pieces: with the query's own."""
    name = f"near: {pieces} pieces, {groups} groups of {each}"
    if name not in context.plans:
        start_BN, N = context.sequence_start(), context.document.shape[1]
        place_BN = torch.arange(N, device=start_BN.device).expand_as(start_BN)
        end_BN = None
        if not context.causal:
            back = context._replace(document=context.document.flip(1)).sequence_start().flip(1)
            end_BN = N - back
        high_BN = place_BN + 1 if end_BN is None else torch.minimum(place_BN + pieces, end_BN)
        low_BN = torch.maximum(start_BN, place_BN - pieces + 1)
        rank, low, high = (lanes(part, groups, each) for part in (place_BN + 1, low_BN, high_BN))
        runs = runs_of(rank, low, high, keys=N, block=pieces, both=not context.causal)
        context = context._replace(plans={**context.plans, name: Near(start_BN, end_BN, runs)})
    near: Near = context.plans[name]
    return context, near


def lanes(x_BN: Tensor, groups: int, each: int) -> Tensor:
    """[B*G,E*N]: the same for all heads."""
    return x_BN[:, None, None].expand(-1, groups, each, -1).reshape(len(x_BN) * groups, -1)
