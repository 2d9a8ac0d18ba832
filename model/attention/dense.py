"""Plain attention: every piece sees all that order and documents allow, by torch's own kernels.

Letters: B rows, N pieces, H heads, G heads of keys and values, D width of a head.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from model.attention.heads import Heads, computed_in
from model.attention.info import Info
from model.attention.views import attend_slow, view_bias
from model.context import Context
from model.views import Named

if TYPE_CHECKING:
    from model.config import ModelConfig

DENSE = Named("dense")


class DenseAttention(Heads):
    """A layer of it; the baseline of all others."""

    def __init__(self, config: "ModelConfig", layer: int = 0) -> None:
        super().__init__(config)
        self.look = "dense attention" + (" less by distance" if self.slopes else "")

    def prepare(self, context: Context) -> Context:
        """The context with a bias, where torch's causal kernel would not do: rows of several sequences, or padded."""
        if self.look in context.plans:
            return context
        alone = not self.slopes and single(context)
        biases = context.biases
        if not alone:
            views = [DENSE] * self.query_heads
            bias = view_bias(views, self.slopes, context._replace(opened=None), computed_in(self.qkv.weight))
            biases = {**biases, self.look: bias}
        return context._replace(biases=biases, plans={**context.plans, self.look: alone})

    def info(self, _x_BNM: Tensor, _context: Context) -> Info:
        """All that is allowed is read."""
        heads = self.query_heads
        return Info(
            views=("dense",) * heads, density=(1.0,) * heads, cost=("quadratic",) * heads, path=("sdpa",) * heads
        )

    def mix(self, q_BHND: Tensor, k_BGND: Tensor, v_BGND: Tensor, context: Context) -> Tensor:
        """[B,H,N,D], of a prepared context."""
        k, v = (x.repeat_interleave(q_BHND.shape[1] // x.shape[1], dim=1) for x in (k_BGND, v_BGND))
        alone = context.plans[self.look]
        bias = None if alone else context.biases[self.look]
        return functional.scaled_dot_product_attention(q_BHND, k, v, attn_mask=bias, is_causal=alone and context.causal)


def single(context: Context) -> bool:
    """Whether every row is one sequence without padding. A compiled graph cannot ask, and is told no."""
    if torch.compiler.is_compiling():
        return False
    return bool((context.document == context.document[:, :1]).all() & (context.document[:, 0] >= 0).all())


def dense_slow(layer: DenseAttention, x_BNM: Tensor, context: Context) -> Tensor:
    """The slow twin."""
    views = [DENSE] * layer.query_heads
    mixed_BHND = attend_slow(*layer.inputs(x_BNM, context), views, layer.slopes, context._replace(opened=None))
    mixed_BNM: Tensor = layer.out(mixed_BHND.transpose(1, 2).reshape(x_BNM.shape))
    return mixed_BNM
