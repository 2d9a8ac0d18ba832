"""Local attention: each piece reads its nearest neighbours (Parmar et al. 2018; Beltagy et al. 2020, section 3.1)."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from model.attention.patterns import Asked, Pattern, PatternAttention, each_query, over_places
from model.context import Context
from model.kernels.blocks import NOBODY, Window, attend_window, window_of

if TYPE_CHECKING:
    from model.config import ModelConfig


class Local(Pattern):
    """Query t reads s with 0 <= t - s < window; without order, |t - s| < window."""

    def __init__(self, config: "ModelConfig", layer: int = 0) -> None:
        super().__init__(config, "local")

    def plan(self, context: Context, dtype: torch.dtype) -> Window:
        return window_of(tags(context)[:, None], self.settings.window, context.causal, dtype, self.slopes)

    def mix(self, asked: Asked, context: Context, plan: Window) -> Tensor:
        return attend_window(asked.q, asked.k, asked.v, plan)

    def reads(self, asked: Asked, context: Context, plan: Window) -> Tensor:
        return plan.blocks.reads()

    def slow(self, asked: Asked, context: Context) -> Tensor:
        def mixed(row: int, head: int, t: int, places: range) -> Tensor:
            near = [s for s in places if abs(t - s) < self.settings.window]
            return over_places(asked, self.slopes, row, head, t, near)

        return each_query(asked, context, mixed)


def tags(context: Context) -> Tensor:
    """int64 [B,N]: one number for the pieces of a sequence, NOBODY at padding."""
    return torch.where(context.valid(), context.sequence_start(), NOBODY)


def local(config: "ModelConfig", layer: int = 0) -> PatternAttention:
    return PatternAttention(config, Local(config, layer), "local")
