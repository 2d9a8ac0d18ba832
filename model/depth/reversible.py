"""Reversible residuals (Gomez et al. 2017, RevNet; Kitaev et al. 2020, Reformer): outputs say what inputs were.

The stream is two, a and b, alike at first; a layer adds its attention of b to a, then its feed-forward of a to b, and
in the end their mean is read. Whoever has a and b after a layer has them before it, by taking away the same again: a
backward pass needs no more than the last two, at any depth, and computes each layer once more on its way back.

Computed again is what was computed before, to rounding: dropout draws by key and place (model.dropout), so its noise is
the same; views, plans and random keys are in the context. Letters: B rows, N pieces, M width of the model.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

if TYPE_CHECKING:
    from model.depth import Storey


def there_and_back(storeys: Sequence["Storey"], a_BNM: Tensor, b_BNM: Tensor) -> tuple[Tensor, Tensor]:
    """a and b after these layers; autograd keeps nothing of what lies between."""
    if not torch.is_grad_enabled():
        return up(storeys, a_BNM, b_BNM)
    weights = {weight: None for storey in storeys for weight in storey.layer.parameters() if weight.requires_grad}
    found: tuple[Tensor, Tensor] = _Reversible.apply(storeys, a_BNM, b_BNM, *weights)  # type: ignore[no-untyped-call]
    return found


def up(storeys: Sequence["Storey"], a_BNM: Tensor, b_BNM: Tensor) -> tuple[Tensor, Tensor]:
    """The meaning of it, which autograd can follow if it is let."""
    for layer, context, noise in storeys:
        a_BNM = a_BNM + layer.looked(b_BNM, context, noise)
        b_BNM = b_BNM + layer.thought(a_BNM, noise)
    return a_BNM, b_BNM


class _Reversible(torch.autograd.Function):
    """Weights are arguments, so that their gradients are returned like all others."""

    @staticmethod
    def forward(ctx: Any, storeys: Sequence["Storey"], a: Tensor, b: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
        ctx.storeys, ctx.cast = storeys, _cast(a.device.type)
        with ctx.cast():
            a, b = up(storeys, a, b)
        ctx.save_for_backward(a, b, *weights)
        return a, b

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_a: Tensor, to_b: Tensor) -> tuple[Tensor | None, ...]:
        a, b, *weights = ctx.saved_tensors
        total: dict[Tensor, Tensor] = {}

        def through(part: Any, given: Tensor, upstream: Tensor, modules: Sequence[nn.Module]) -> tuple[Tensor, Tensor]:
            """What the part gives, and what goes back to what it was given."""
            with torch.enable_grad(), ctx.cast():
                given = given.detach().requires_grad_()
                out = part(given)
            its = {weight: None for each in modules for weight in each.parameters() if weight.requires_grad}
            to_given, *to_its = torch.autograd.grad(out, (given, *its), upstream.to(out.dtype), allow_unused=True)
            for weight, more in zip(its, to_its, strict=True):
                if more is not None:
                    total[weight] = total[weight] + more if weight in total else more
            return out.detach(), to_given

        for layer, context, noise in reversed(ctx.storeys):
            added, more = through(
                lambda x, layer=layer, noise=noise: layer.thought(x, noise), a, to_b, (layer.feed_norm, layer.feed)
            )
            b, to_a = b - added, to_a + more
            added, more = through(
                lambda x, layer=layer, context=context, noise=noise: layer.looked(x, context, noise),
                b, to_a, (layer.attention_norm, layer.attention),
            )  # fmt: skip
            a, to_b = a - added, to_b + more
        return None, to_a, to_b, *(total.get(weight) for weight in weights)


def _cast(device: str) -> Any:
    """What autocast does now, to be done again. Without its cache: it would hand weights that were cast where nothing
    is recorded to where it must be."""
    enabled, dtype = torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)
    return lambda: torch.autocast(device, dtype=dtype, enabled=enabled, cache_enabled=False)
