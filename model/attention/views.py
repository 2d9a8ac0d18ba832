"""Attention whose heads see through views: softmax attention over the pairs that a head's view allows.

Dense boolean masks through PyTorch's attention; `attend_slow` is the meaning, pair by pair. Letters: B rows, N pieces,
H heads, D width of a head, M width of the model.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.attention.rotary import rotate
from model.context import Context
from model.views import View, sees, view_masks

if TYPE_CHECKING:
    from model.config import ModelConfig


class ViewsAttention(nn.Module):
    """A layer of attention; each head has a view of its own."""

    def __init__(self, config: "ModelConfig") -> None:
        super().__init__()
        self.views = config.head_views()
        self.qkv = nn.Linear(config.dim, 3 * config.dim, bias=False)
        self.out = nn.Linear(config.dim, config.dim, bias=False)

    def prepare(self, context: Context) -> Context:
        """The context with a mask for each distinct view; masks that it has already are kept, so layers share them."""
        missing = {str(view): view for view in self.views if str(view) not in context.masks}
        if not missing:
            return context
        made = view_masks(list(missing.values()), context).chunk(len(missing), dim=1)
        return context._replace(masks={**context.masks, **dict(zip(missing, made, strict=True))})

    def forward(self, x_BNM: Tensor, context: Context) -> Tensor:
        B, N, M = x_BNM.shape
        context = self.prepare(context)
        q_BHND, k_BHND, v_BHND = self.qkv(x_BNM).view(B, N, 3, len(self.views), -1).permute(2, 0, 3, 1, 4)
        mixed_BHND = attend(rotate(q_BHND), rotate(k_BHND), v_BHND, self.views, context)
        mixed_BNM: Tensor = self.out(mixed_BHND.transpose(1, 2).reshape(B, N, M))
        return mixed_BNM


def attend(q_BHND: Tensor, k_BHND: Tensor, v_BHND: Tensor, views: Sequence[View], context: Context) -> Tensor:
    """Attention with a view a head, [B,H,N,D]; neighbouring heads of one view go together and share its mask.

    context: holds the masks of the views (`ViewsAttention.prepare`). O(N*N) time and memory. On a CPU a boolean mask
    costs no more than `is_causal=True` does, so dense heads have no path of their own.
    """
    alike = [(str(view), len(list(heads))) for view, heads in groupby(views)]
    # Split in one go: its gradient is one concatenation, where that of slices is a sum of tensors full of zeros.
    parts = (x_BHND.split_with_sizes([size for _, size in alike], dim=1) for x_BHND in (q_BHND, k_BHND, v_BHND))
    mixed = [
        functional.scaled_dot_product_attention(q, k, v, attn_mask=context.masks[view])
        for (view, _), q, k, v in zip(alike, *parts, strict=True)
    ]
    return torch.cat(mixed, dim=1)


def attend_slow(q_BHND: Tensor, k_BHND: Tensor, v_BHND: Tensor, views: Sequence[View], context: Context) -> Tensor:
    """The slow twin of `attend`: one softmax at a time, over the keys that pass `sees`. Use float64."""
    B, H, N, D = q_BHND.shape
    rows = []
    for row in range(B):
        for head in range(H):
            for t in range(N):
                keys = [s for s in range(N) if sees(views[head], context, row, t, s)]
                scores = [q_BHND[row, head, t].dot(k_BHND[row, head, s]) / D**0.5 for s in keys]
                weights = torch.stack(scores).softmax(0)
                rows.append(sum(weight * v_BHND[row, head, s] for weight, s in zip(weights, keys, strict=True)))
    return torch.stack([torch.as_tensor(each) for each in rows]).view(B, H, N, D)
