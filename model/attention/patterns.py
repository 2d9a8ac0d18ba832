"""What the sparse patterns have in common: a layer whose heads all read by one pattern, and how to say it slowly.

A pattern is a module of its own, so that `adaptive` can mix several over one set of projections.
Letters: B rows, N pieces, H heads, D width of a head, M width of the model.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from model.attention.heads import Heads, alibi_slopes, computed_in, weights_of
from model.attention.info import Info
from model.attention.rotary import rotate, turn_of
from model.context import Context

if TYPE_CHECKING:
    from model.config import ModelConfig


class Asked(NamedTuple):
    """What a layer hands to its pattern: every head with keys and values of its own, padding zero."""

    x: Tensor
    """[B,N,M]"""
    q: Tensor
    """[B,H,N,D]; so with the others."""
    k: Tensor
    v: Tensor
    plain: Tensor
    """Keys as they are before rotary positions turn them: what a piece is, wherever it stands."""


class Pattern(nn.Module):
    """Which keys each query reads."""

    slopes: tuple[float, ...]
    """Of ALiBi, one a head, or none."""
    look: str
    """Name under which layers that read alike share a plan."""

    def __init__(self, config: "ModelConfig", name: str) -> None:
        super().__init__()
        self.settings, self.head_count = config.patterns, config.heads
        self.slopes = alibi_slopes(config.heads) if config.positions == "alibi" else ()
        self.look = f"pattern {name}"

    def plan(self, context: Context, dtype: torch.dtype) -> Any:
        """What depends on places alone. dtype: of scores."""
        raise NotImplementedError

    def mix(self, asked: Asked, context: Context, plan: Any) -> Tensor:
        """[B,H,N,D]; at padding it means nothing."""
        raise NotImplementedError

    def slow(self, asked: Asked, context: Context) -> Tensor:
        """The same, one query at a time; 0 at padding."""
        raise NotImplementedError

    def reads(self, asked: Asked, context: Context, plan: Any) -> Tensor:
        """[H] or [1]: keys that the pieces of the batch read, together."""
        raise NotImplementedError

    def prepare(self, context: Context, dtype: torch.dtype) -> Context:
        """The context with the plan that layers of this look share; what it has already is kept."""
        if self.look in context.plans:
            return context
        return context._replace(plans={**context.plans, self.look: self.plan(context, dtype)})

    def forward(self, asked: Asked, context: Context) -> Tensor:
        """[B,H,N,D], of a prepared context; at padding it means nothing."""
        return self.mix(asked, context, context.plans[self.look])

    def density(self, asked: Asked, context: Context) -> tuple[float, ...]:
        """Of each head: the part of allowed pairs that it reads."""
        reads = self.reads(asked, context, context.plans[self.look]).double() / allowed_pairs(context).clamp(min=1)
        return tuple(reads.expand(self.head_count).tolist())


class PatternAttention(Heads):
    """A layer of attention by one pattern."""

    def __init__(self, config: "ModelConfig", pattern: Pattern, name: str) -> None:
        super().__init__(config)
        self.name, self.pattern = name, pattern

    def prepare(self, context: Context) -> Context:
        return self.pattern.prepare(context, computed_in(self.qkv.weight))

    def forward(self, x_BNM: Tensor, context: Context) -> Tensor:
        context, asked = self.prepare(context), self.asked(x_BNM, context)
        return self.back(self.pattern(asked, context), context)

    def asked(self, x_BNM: Tensor, context: Context) -> Asked:
        # Zeros, not a mask alone: a weight of 0 times a NaN is NaN, and would carry it out of the padding.
        x_BNM = x_BNM.masked_fill(~context.valid()[:, :, None], 0.0)
        q, plain, v = self.heads(x_BNM, None)
        k = plain
        if self.positions == "rotary":
            turn = turn_of(x_BNM.shape[1], self.width, x_BNM.device, computed_in(self.qkv.weight))
            q, k = rotate(q, turn), rotate(k, turn)
        each = self.query_heads // self.key_heads
        if each > 1:
            k, v, plain = (x.repeat_interleave(each, dim=1) for x in (k, v, plain))
        return Asked(x_BNM, q, k, v, plain)

    def mix(self, q_BHND: Tensor, k_BGND: Tensor, v_BGND: Tensor, context: Context) -> Tensor:
        """[B,H,N,D], of a prepared context. What is routed or gated by x elsewhere reads keys and queries as they are:
        a model of somebody else's gives no more (model.swap)."""
        each = self.query_heads // self.key_heads
        k, v = (x.repeat_interleave(each, dim=1) if each > 1 else x for x in (k_BGND, v_BGND))
        mixed: Tensor = self.pattern(Asked(q_BHND.transpose(1, 2).flatten(2), q_BHND, k, v, k), context)
        return mixed

    def weights(self, x_BNM: Tensor, context: Context) -> Tensor:
        context = self.prepare(context)
        asked = self.asked(x_BNM, context)
        return weights_of(lambda units_BHND: self.pattern(asked._replace(v=units_BHND), context), asked.v)

    def back(self, mixed_BHND: Tensor, context: Context) -> Tensor:
        mixed_BNM = mixed_BHND.transpose(1, 2).flatten(2).masked_fill(~context.valid()[:, :, None], 0.0)
        out_BNM: Tensor = self.out(mixed_BNM)
        return out_BNM

    def info(self, x_BNM: Tensor, context: Context) -> Info:
        """Of a call with this x and context."""
        heads = self.query_heads
        with torch.no_grad():
            context = self.prepare(context)
            density = self.pattern.density(self.asked(x_BNM, context), context)
        return Info(views=(self.name,) * heads, density=density, cost=("linear",) * heads, path=("blocks",) * heads)


def mix_slow(layer: PatternAttention, x_BNM: Tensor, context: Context) -> Tensor:
    """The slow twin of a layer."""
    return layer.back(layer.pattern.slow(layer.asked(x_BNM, context), context), context)


def allowed_pairs(context: Context) -> Tensor:
    """No dimension: pairs of pieces that order and documents allow. O(N)."""
    place = torch.arange(context.document.shape[1], device=context.document.device)
    upto = (place - context.sequence_start() + 1)[context.valid()].sum()
    # A sequence of n pieces has n(n+1)/2 pairs that look back, and n*n in all.
    return upto if context.causal else 2 * upto - context.valid().sum()


def each_query(asked: Asked, context: Context, mixed: Callable[[int, int, int, range], Tensor]) -> Tensor:
    """[B,H,N,D] of slow twins. mixed: (row, head, place, places of its sequence that it may read) -> [D]."""
    B, H, N, D = asked.q.shape
    out = []
    for row in range(B):
        document = context.document[row].tolist()
        for head in range(H):
            for t in range(N):
                if document[t] < 0:
                    out.append(asked.v.new_zeros(D))
                    continue
                start = next(p for p in range(t, -1, -1) if p == 0 or document[p - 1] != document[t])
                end = next(p for p in range(t + 1, N + 1) if p == N or document[p] != document[t])
                out.append(mixed(row, head, t, range(start, t + 1 if context.causal else end)))
    return torch.stack(out).view(B, H, N, D)


def softmax_over(q_D: Tensor, keys: Sequence[Tensor], values: Sequence[Tensor], less: Sequence[float]) -> Tensor:
    """[D]: softmax attention of one query over a few keys. less: what distance takes from each score."""
    scores = [q_D.dot(key) / len(q_D) ** 0.5 - far for key, far in zip(keys, less, strict=True)]
    weights = torch.stack(scores).softmax(0)
    return torch.stack([weight * value for weight, value in zip(weights, values, strict=True)]).sum(0)


def over_places(asked: Asked, slopes: Sequence[float], row: int, head: int, t: int, places: Sequence[int]) -> Tensor:
    """[D]: what query t takes from these places."""
    keys, values = ([x[row, head, s] for s in places] for x in (asked.k, asked.v))
    less = [abs(t - s) * slopes[head] if slopes else 0.0 for s in places]
    return softmax_over(asked.q[row, head, t], keys, values, less)
