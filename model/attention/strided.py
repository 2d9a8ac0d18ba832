"""Strided attention: each piece reads every n-th piece before it, heads at steps of their own.

A step of 1 is a plain window; larger ones reach further with as many keys, as the second pattern of Child et al. 2019
(section 4.2) and the dilated windows of Beltagy et al. 2020 (section 3.1), who give heads different steps as well.
"""

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from model.attention.local import tags
from model.attention.patterns import Asked, Pattern, PatternAttention, each_query, over_places
from model.context import Context
from model.kernels.blocks import NOBODY, Window, attend_window, parts, window_of

if TYPE_CHECKING:
    from model.config import ModelConfig


class Group(NamedTuple):
    """Neighbouring heads of one step."""

    stride: int
    window: Window


class Strided(Pattern):
    """Query t reads t - j * stride for 0 <= j < keys, in its sequence; without order, t + j * stride as well."""

    def __init__(self, config: "ModelConfig", layer: int = 0) -> None:
        super().__init__(config, "strided")
        strides = self.settings.strides
        if config.heads % len(strides):
            raise ValueError(f"strides has {len(strides)} entries; {config.heads} heads must share them out evenly")
        each = config.heads // len(strides)
        self.strides = tuple(stride for stride in strides for _ in range(each))
        self.groups = [(stride, slice(n * each, (n + 1) * each)) for n, stride in enumerate(strides)]

    def plan(self, context: Context, dtype: torch.dtype) -> tuple[Group, ...]:
        tag_BN, made = tags(context), list[Group]()
        for stride, heads in self.groups:
            tag_Z1C = _fold(tag_BN[:, None, :, None], stride, NOBODY)[..., 0]
            slopes = tuple(slope * stride for slope in self.slopes[heads])
            window = window_of(tag_Z1C, self.settings.keys, context.causal, dtype, slopes)
            made.append(Group(stride, window))
        return tuple(made)

    def mix(self, asked: Asked, context: Context, plan: tuple[Group, ...]) -> Tensor:
        N, mixed = asked.x.shape[1], list[Tensor]()
        # Chunks and not a slice a group, whose gradients would each be as large as the whole.
        groups = zip(*(x.chunk(len(plan), dim=1) for x in (asked.q, asked.k, asked.v)), strict=True)
        for (stride, window), given in zip(plan, groups, strict=True):
            q, k, v = (_fold(x, stride, 0) for x in given)
            mixed.append(_unfold(attend_window(q, k, v, window), stride)[:, :, :N])
        return torch.cat(mixed, dim=1)

    def reads(self, asked: Asked, context: Context, plan: tuple[Group, ...]) -> Tensor:
        return torch.cat([group.window.blocks.reads().expand(self.head_count // len(plan)) for group in plan])

    def slow(self, asked: Asked, context: Context) -> Tensor:
        def mixed(row: int, head: int, t: int, places: range) -> Tensor:
            steps = [j * self.strides[head] for j in range(1 - self.settings.keys, self.settings.keys)]
            return over_places(asked, self.slopes, row, head, t, [t + step for step in steps if t + step in places])

        return each_query(asked, context, mixed)


def _fold(x: Tensor, stride: int, fill: int) -> Tensor:
    """[B,H,N,D] to [B*stride,H,C,D]: each line every stride-th place, from one place on."""
    x = functional.pad(x, (0, 0, 0, -x.shape[2] % stride), value=fill)
    return parts(x, 2, stride).permute(0, 3, 1, 2, 4).flatten(0, 1)


def _unfold(x: Tensor, stride: int) -> Tensor:
    return parts(x, 0, stride).permute(0, 2, 3, 1, 4).flatten(2, 3)


def strided(config: "ModelConfig", layer: int = 0) -> PatternAttention:
    return PatternAttention(config, Strided(config, layer), "strided")
