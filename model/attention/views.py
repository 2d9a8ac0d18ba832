"""Attention whose heads see through views: softmax attention over the pairs that a head's view allows.

What a head may not see gets -inf before the softmax, and with ALiBi (Press et al. 2022) what it sees less the further
off it is. Heads are computed by the path that `model.kernels.choose` finds cheapest; all paths are equal in value and
gradient. `attend_slow` is the meaning, pair by pair. Letters: B rows, N pieces, H heads, G heads of keys and values,
D width of a head, M width of the model, V distinct views.
"""

from collections.abc import Sequence
from math import log
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from model.attention.heads import Heads, computed_in
from model.attention.info import Info
from model.attention.terms import Terms
from model.context import Context
from model.kernels.choose import MEASURED, Path, choose
from model.kernels.covers import Cover
from model.kernels.cpu import attend_sparse
from model.kernels.flex import Tiles, attend_flex, tiles_of
from model.kernels.pairs import line_of
from model.kernels.plan import Plan, plan_of
from model.kernels.program import Program, program_of
from model.kernels.triton_views import attend_program
from model.views import Named, View, allowed, cost, sees, view_masks

if TYPE_CHECKING:
    from model.config import ModelConfig


class Way(NamedTuple):
    """How some heads of a layer are computed in one batch."""

    path: Path
    heads: tuple[int, ...]
    plan: Plan | Tiles | Program | None = None


class ViewsAttention(Heads):
    """A layer of attention; each head has a view of its own."""

    def __init__(self, config: "ModelConfig", layer: int = 0) -> None:
        super().__init__(config)
        self.views = config.head_views(layer)
        self.look = ", ".join(map(str, self.views)) + (" less by distance" if self.slopes else "")
        """What the heads see, in words: layers that say the same share masks and plans."""
        self.terms = Terms(config)

    def prepare(self, context: Context) -> Context:
        """The context with how these heads are computed, and their bias or plans; what it has already is kept."""
        if self.look in context.plans:
            return context
        ways = self.ways(context)
        context = context._replace(plans={**context.plans, self.look: ways})
        if not (twins := [head for way in ways if way.path == "twin" for head in way.heads]):
            return context
        if self.terms:
            context = self.terms.prepare(context, computed_in(self.qkv.weight))
        slopes = [self.slopes[head] for head in twins] if self.slopes else ()
        bias = view_bias([self.views[head] for head in twins], slopes, context, computed_in(self.qkv.weight))
        return context._replace(biases={**context.biases, self.look: bias})

    def info(self, _x_BNM: Tensor, context: Context) -> Info:
        """O(N*N) memory: the masks of all views are counted."""
        context = self.prepare(context)
        paths = {head: str(way.path) for way in context.plans[self.look] for head in way.heads}
        valid_BN11 = context.valid()[:, None, :, None]
        pairs = (allowed(context)[:, None] & valid_BN11).sum()
        seen_H = (view_masks(self.views, context) & valid_BN11).sum((0, 2, 3)) / pairs.clamp(min=1)
        return Info(
            views=tuple(map(str, self.views)),
            density=tuple(seen_H.expand(len(self.views)).tolist()),
            cost=tuple(cost(view) for view in self.views),
            path=tuple(paths[head] for head in range(len(self.views))),
        )

    def ways(self, context: Context) -> tuple[Way, ...]:
        """The heads by path, those of one view together; all dense masks are one way."""
        if context.opened is not None:  # all pairs count
            return (Way("twin", tuple(range(len(self.views)))),)
        dtype, ways, twins, near = computed_in(self.qkv.weight), list[Way](), list[int](), dict[View, Cover]()
        measured = MEASURED.get(context.document.device.type)
        line = line_of(context) if measured and context.document.shape[1] >= measured.shortest else None
        for view in dict.fromkeys(self.views):
            heads = tuple(head for head, its in enumerate(self.views) if its == view)
            path, cover = choose(view, context, line, dtype, width=self.width, sloped=bool(self.slopes))
            slopes = tuple(self.slopes[head] for head in heads) if self.slopes else ()
            if path == "twin" or (self.terms and path != "kernel"):  # others know no terms
                twins += heads
            elif line is None or cover is None:
                ways.append(Way(path, heads))
            elif path == "sparse":
                exact = torch.promote_types(dtype, torch.float32)
                ways.append(Way(path, heads, plan_of(view, cover, line, slopes, exact)))
            elif path == "kernel":
                near[view] = cover
            else:
                ways.append(Way(path, heads, tiles_of(view, cover, line, slopes)))
        if near and line:  # all in one launch
            heads = tuple(head for head, view in enumerate(self.views) if view in near)
            slopes = tuple(self.slopes[head] for head in heads) if self.slopes else ()
            views, groups = [self.views[head] for head in heads], len(self._key_heads_of(heads))
            ways.append(Way("kernel", heads, program_of(views, near, line, slopes, groups, asked=self.terms.asked())))
        return (*([Way("twin", tuple(sorted(twins)))] if twins else []), *ways)

    def _key_heads_of(self, heads: Sequence[int]) -> list[int]:
        """The heads of keys that these heads read: each once where they are all that share them, else one a head."""
        each = len(self.views) // self.key_heads
        return [head // each for head in (heads[::each] if _whole_groups(heads, each) else heads)]

    def mix(self, q_BHND: Tensor, k_BGND: Tensor, v_BGND: Tensor, context: Context) -> Tensor:
        """[B,H,N,D]: attention of all heads, each by its way of a prepared context."""
        ways: tuple[Way, ...] = context.plans[self.look]
        each, mixed = len(self.views) // self.key_heads, list[Tensor]()
        for path, heads, plan in ways:
            every = path in ("twin", "causal")  # SDPA wants keys for every head
            keys = [head // each for head in heads] if every else self._key_heads_of(heads)
            q, k, v = _taken(q_BHND, heads), _taken(k_BGND, keys), _taken(v_BGND, keys)
            if path == "twin":
                bias_BHNN = context.biases[self.look]
                mixed.append(attend(q, k, v, bias_BHNN + self.terms(context, heads) if self.terms else bias_BHNN))
            elif path == "causal":
                mixed.append(functional.scaled_dot_product_attention(q, k, v, is_causal=True))
            elif isinstance(plan, Plan):
                mixed.append(attend_sparse(q, k, v, plan))
            elif isinstance(plan, Program):
                mixed.append(attend_program(q, k, v, plan, self.terms.learnt(heads) if self.terms else None))
            else:
                assert isinstance(plan, Tiles)
                mixed.append(attend_flex(q, k, v, plan))
        if len(mixed) == 1:
            return mixed[0]
        order = [head for way in ways for head in way.heads]
        return _taken(torch.cat(mixed, dim=1), [order.index(head) for head in range(len(order))])


def _whole_groups(heads: Sequence[int], each: int) -> bool:
    """Whether these heads are all that share their keys, group after group of `each`."""
    first = heads[::each]
    return all(head % each == 0 for head in first) and list(heads) == [one + n for one in first for n in range(each)]


def _taken(x_BHND: Tensor, heads: Sequence[int]) -> Tensor:
    """These heads, without a copy where they are neighbours."""
    if list(heads) == list(range(heads[0], heads[0] + len(heads))):
        return x_BHND[:, heads[0] : heads[0] + len(heads)]
    # By numbers of its own and not by a list of heads: a list would be copied to the device in every step.
    return torch.cat([x_BHND[:, head : head + 1] for head in heads], dim=1)


def view_bias(views: Sequence[View], slopes: Sequence[float], context: Context, dtype: torch.dtype) -> Tensor:
    """[B,H,N,N], or [B,1,N,N] where all heads are alike: what is added to the scores of head h's queries (rows).

    0 where its view allows the pair and -inf where not; with slopes, one a head, 0 becomes -slope * distance in pieces.
    Where views are open (`context.opened`), a pair that time order and documents allow has log(opened) at least.
    """
    distinct = {str(view): view for view in views}
    bias_BVNN = torch.zeros((), dtype=dtype, device=context.document.device).masked_fill(
        ~view_masks(list(distinct.values()), context), float("-inf")
    )
    if context.opened is not None:
        bias_BVNN = torch.where(allowed(context)[:, None], bias_BVNN.maximum(context.opened.to(dtype).log()), bias_BVNN)
    if len(distinct) > 1:
        # By numbers of its own and not by a list of heads: a list would be copied to the device in every step.
        bias_BVNN = torch.cat([bias_BVNN[:, list(distinct).index(str(view))][:, None] for view in views], dim=1)
    if not slopes:
        return bias_BVNN
    place = torch.arange(context.document.shape[1], device=context.document.device)
    back_NN = (place[:, None] - place).abs().to(dtype)
    return bias_BVNN - torch.stack([back_NN * slope for slope in slopes])


def attend(q_BHND: Tensor, k_BHND: Tensor, v_BHND: Tensor, bias_BHNN: Tensor) -> Tensor:
    """Attention under a bias, [B,H,N,D]. O(N*N) time and memory."""
    # On a CPU a bias costs no more than `is_causal=True` does, and a boolean mask half as much again.
    return functional.scaled_dot_product_attention(q_BHND, k_BHND, v_BHND, attn_mask=bias_BHNN)


def attend_slow(
    q_BHND: Tensor, k_BGND: Tensor, v_BGND: Tensor, views: Sequence[View], slopes: Sequence[float], context: Context
) -> Tensor:
    """The slow twin of all paths: one softmax at a time, over the keys that pass `sees`."""
    B, H, N, D = q_BHND.shape
    each = H // k_BGND.shape[1]
    rows = []
    for row in range(B):
        for head in range(H):
            for t in range(N):
                keys = [s for s in range(N) if sees(views[head], context, row, t, s)]
                shut: dict[int, float] = {}
                if context.opened is not None and float(context.opened) > 0:
                    dense = [s for s in range(N) if sees(Named("dense"), context, row, t, s)]
                    shut = {s: -log(float(context.opened)) for s in dense if s not in keys}
                    keys = dense
                far = [(abs(t - s) * slopes[head] if slopes else 0.0) + shut.get(s, 0.0) for s in keys]
                scores = [
                    q_BHND[row, head, t].dot(k_BGND[row, head // each, s]) / D**0.5 - less
                    for s, less in zip(keys, far, strict=True)
                ]
                weights = torch.stack(scores).softmax(0)
                rows.append(sum(weight * v_BGND[row, head // each, s] for weight, s in zip(weights, keys, strict=True)))
    return torch.stack([torch.as_tensor(each) for each in rows]).view(B, H, N, D)


def mix_slow(layer: ViewsAttention, x_BNM: Tensor, context: Context) -> Tensor:
    """The slow twin of a layer."""
    mixed_BHND = attend_slow(*layer.inputs(x_BNM, context), layer.views, layer.slopes, context)
    mixed_BNM: Tensor = layer.out(mixed_BHND.transpose(1, 2).reshape(x_BNM.shape))
    return mixed_BNM
