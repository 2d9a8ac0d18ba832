"""What becomes of the residual stream from the first layer to the last.

reversible.py   layers whose inputs follow from their outputs: memory that does not grow with depth
ponder.py       how likely each piece is to halt after each step, and what that adds to the loss

Layers may be the same module several times (ModelConfig.depth.tied). Letters: B rows, N pieces, M width of the model.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from model.context import Context
from model.depth.reversible import there_and_back
from model.dropout import Noise

if TYPE_CHECKING:
    from model.transformer import Layer


class Storey(NamedTuple):
    """A layer where it stands: applied to what the one below it gives, with what it is told there."""

    layer: "Layer"
    context: Context
    noise: Noise | None


def storeys_of(layers: Sequence["Layer"], context: Context, noise: Noise | None) -> list[Storey]:
    """Layers in the order in which they are applied, with the contexts that they prepare: what one makes others
    share. Each application has noise of its own, of shared weights too."""
    noises = noise.spread(len(layers)) if noise else [None] * len(layers)
    storeys = []
    for layer, its_noise in zip(layers, noises, strict=True):
        context = layer.attention.prepare(context)
        storeys.append(Storey(layer, context, its_noise))
    return storeys


def climbed(storeys: Sequence[Storey], x_BNM: Tensor, *, step: int, reversible: bool, again: bool) -> list[Tensor]:
    """The stream [B,N,M] after each `step` layers, the last of them after all.

    again: whether a backward pass computes layers again instead of finding all that they made in memory; reversible
    layers are computed again in any case.
    """
    states, pair = list[Tensor](), (x_BNM, x_BNM)
    for first in range(0, len(storeys), step):
        stretch = storeys[first : first + step]
        if reversible:
            pair = there_and_back(stretch, *pair)
            x_BNM = (pair[0] + pair[1]) / 2
        else:
            for storey in stretch:
                if again and torch.is_grad_enabled():
                    x_BNM = checkpoint(storey.layer, x_BNM, *storey[1:], use_reentrant=False, preserve_rng_state=False)
                else:
                    x_BNM = storey.layer(x_BNM, *storey[1:])
        states.append(x_BNM)
    return states
