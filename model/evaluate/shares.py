"""What the gates of a model's layers give to each of the patterns that they mix."""

from typing import Any

import torch
from torch import Tensor, nn

from model.attention.adaptive import AdaptiveAttention
from model.context import Context
from model.transformer import Decoder


def gate_shares(model: Decoder, ids_BN: Tensor, context: Context) -> tuple[tuple[str, ...], Tensor] | None:
    """(patterns, their shares [layers, heads, patterns], mean over pieces); None for a model without such gates.

    The model runs as it always does; what each gate is given is caught on its way in. Layers without a gate have NaN.
    """
    gated = [layer.attention for layer in model.layers if isinstance(layer.attention, AdaptiveAttention)]
    if not gated:
        return None
    names = model.config.patterns.patterns
    shares = torch.full((len(model.layers), model.config.heads, len(names)), torch.nan)
    number = {layer.attention: n for n, layer in enumerate(model.layers)}

    def catch(module: nn.Module, args: tuple[Any, ...]) -> None:
        assert isinstance(module, AdaptiveAttention)
        shares[number[module]] = torch.tensor(list(module.info(args[0], args[1]).shares.values())).T

    hooks = [each.register_forward_pre_hook(catch) for each in gated]
    try:
        with torch.no_grad():
            model.hidden(ids_BN, context)
    finally:
        for hook in hooks:
            hook.remove()
    return names, shares
