"""The attention weights of a model: what its softmax says, which the fast kernels never write down.

Letters: B rows, N pieces, H heads, D width of a head.
"""

from typing import Any

import torch
from torch import Tensor, nn

from model.attention.views import ViewsAttention, view_bias
from model.context import Context
from model.transformer import Decoder


def attention_weights(model: Decoder, ids_BN: Tensor, context: Context) -> list[Tensor]:
    """Of each layer [B,H,N,N]: how much query t (row) takes of key s (column); every row of a piece adds up to 1.

    The model runs as it always does; what each layer's attention is given is caught on its way in, and its weights are
    computed from that once more, by its own queries, keys and views. O(N*N) memory a layer and head: for rows, not for
    long documents. Errors: ValueError if a layer's mechanism has no softmax weights.
    """
    given: list[tuple[ViewsAttention, Tensor, Context]] = []

    def catch(module: nn.Module, args: tuple[Any, ...]) -> None:
        assert isinstance(module, ViewsAttention)
        given.append((module, args[0], args[1]))

    hooks = []
    try:
        for number, layer in enumerate(model.layers):
            if not isinstance(layer.attention, ViewsAttention):
                raise ValueError(
                    f"layer {number} is {model.config.mechanism(number)!r}, which has no softmax weights to look at; "
                    "give a run whose layers are all of views"
                )
            hooks.append(layer.attention.register_forward_pre_hook(catch))
        with torch.no_grad():
            model.hidden(ids_BN, context)
            return [weights_of(*each) for each in given]
    finally:
        for hook in hooks:
            hook.remove()


def weights_of(attention: ViewsAttention, x_BNM: Tensor, context: Context) -> Tensor:
    """[B,H,N,N] of one layer, from what it is given: views, distances and learned terms added to the scores."""
    q_BHND, k_BHND, _ = attention.inputs(x_BNM, context)
    # where several heads of queries share one of keys
    k_BHND = k_BHND.repeat_interleave(q_BHND.shape[1] // k_BHND.shape[1], dim=1)
    scores_BHNN = q_BHND @ k_BHND.transpose(-1, -2) * q_BHND.shape[-1] ** -0.5
    bias_BHNN = view_bias(attention.views, attention.slopes, context, x_BNM.dtype)
    if attention.terms:
        bias_BHNN = bias_BHNN + attention.terms(attention.terms.prepare(context, bias_BHNN.dtype))
    return torch.softmax(scores_BHNN + bias_BHNN, dim=-1)
