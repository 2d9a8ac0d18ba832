"""Attention whose heads see through views: softmax attention over the pairs that a head's view allows.

What a head may not see gets -inf before the softmax, and with ALiBi (Press et al. 2022) what it sees less the further
off it is; both are one bias, made once a batch and shared by all layers of like heads. `attend_slow` is the meaning,
pair by pair. Letters: B rows, N pieces, H heads, D width of a head, M width of the model, V distinct views.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.attention.rotary import Turn, rotate, turn_of
from model.attention.terms import Terms
from model.context import Context
from model.views import View, sees, view_masks

if TYPE_CHECKING:
    from model.config import ModelConfig


class ViewsAttention(nn.Module):
    """A layer of attention; each head has a view of its own."""

    def __init__(self, config: "ModelConfig", layer: int = 0) -> None:
        super().__init__()
        self.views, self.positions = config.head_views(layer), config.positions
        self.slopes = alibi_slopes(config.heads) if config.positions == "alibi" else ()
        self.look = ", ".join(map(str, self.views)) + (" less by distance" if self.slopes else "")
        """What the heads see, in words: layers that say the same share a bias."""
        self.terms = Terms(config)
        self.qkv = nn.Linear(config.dim, 3 * config.dim, bias=False)
        self.out = nn.Linear(config.dim, config.dim, bias=False)

    def prepare(self, context: Context) -> Context:
        """The context with the bias of these heads; one that it has already is kept."""
        if self.terms:
            context = self.terms.prepare(context, computed_in(self.qkv.weight))
        if self.look in context.biases:
            return context
        bias = view_bias(self.views, self.slopes, context, computed_in(self.qkv.weight))
        return context._replace(biases={**context.biases, self.look: bias})

    def forward(self, x_BNM: Tensor, context: Context) -> Tensor:
        B, N, M = x_BNM.shape
        rotary = self.positions == "rotary"
        turn = turn_of(N, M // len(self.views), x_BNM.device, computed_in(self.qkv.weight)) if rotary else None
        q_BHND, k_BHND, v_BHND = self.heads(x_BNM, turn)
        context = self.prepare(context)
        bias_BHNN = context.biases[self.look]
        if self.terms:
            bias_BHNN = bias_BHNN + self.terms(context)
        mixed_BHND = attend(q_BHND, k_BHND, v_BHND, bias_BHNN)
        mixed_BNM: Tensor = self.out(mixed_BHND.transpose(1, 2).reshape(B, N, M))
        return mixed_BNM

    def heads(self, x_BNM: Tensor, turn: Turn | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, [B,H,N,D] each, the first two turned."""
        B, N, _ = x_BNM.shape
        q_BHND, k_BHND, v_BHND = self.qkv(x_BNM).view(B, N, 3, len(self.views), -1).permute(2, 0, 3, 1, 4)
        if turn is None:
            return q_BHND, k_BHND, v_BHND
        return rotate(q_BHND, turn), rotate(k_BHND, turn), v_BHND


def view_bias(views: Sequence[View], slopes: Sequence[float], context: Context, dtype: torch.dtype) -> Tensor:
    """[B,H,N,N], or [B,1,N,N] where all heads are alike: what is added to the scores of head h's queries (rows).

    0 where its view allows the pair and -inf where not; with slopes, one a head, 0 becomes -slope * distance in pieces.
    """
    distinct = {str(view): view for view in views}
    bias_BVNN = torch.zeros((), dtype=dtype, device=context.document.device).masked_fill(
        ~view_masks(list(distinct.values()), context), float("-inf")
    )
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
    q_BHND: Tensor, k_BHND: Tensor, v_BHND: Tensor, views: Sequence[View], slopes: Sequence[float], context: Context
) -> Tensor:
    """The slow twin of `attend` with `view_bias`: one softmax at a time, over the keys that pass `sees`."""
    B, H, N, D = q_BHND.shape
    rows = []
    for row in range(B):
        for head in range(H):
            for t in range(N):
                keys = [s for s in range(N) if sees(views[head], context, row, t, s)]
                far = [abs(t - s) * slopes[head] if slopes else 0.0 for s in keys]
                scores = [
                    q_BHND[row, head, t].dot(k_BHND[row, head, s]) / D**0.5 - less
                    for s, less in zip(keys, far, strict=True)
                ]
                weights = torch.stack(scores).softmax(0)
                rows.append(sum(weight * v_BHND[row, head, s] for weight, s in zip(weights, keys, strict=True)))
    return torch.stack([torch.as_tensor(each) for each in rows]).view(B, H, N, D)


def alibi_slopes(heads: int) -> tuple[float, ...]:
    """One a head, 2**(-8/H), 2**(-16/H) … 2**-8: the geometric sequence of Press et al. 2022, section 3."""
    return tuple(2.0 ** (-8 * (head + 1) / heads) for head in range(heads))


def computed_in(weight: Tensor) -> torch.dtype:
    """What products of this weight are computed in: its own type, or autocast's."""
    device = weight.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
