"""The loss of the next piece straight from what logits are read off, so that no table of all logits is ever held.

A row of 131,072 pieces and a vocabulary of 50,000 make 6.5 thousand million logits: 26 GB in 32 bits, and as much for
their gradient. PyTorch's own `linear_cross_entropy` computes them part by part where it is there (2.13 and later);
before, ours does, which makes a part's gradient together with its loss, as Liger's kernel does (Hsu et al. 2024), so
that no logit is computed twice. Letters: R places, M width, V vocabulary.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from model.attention.heads import computed_in
from model.batches import NO_TARGET
from model.evaluate.perplexity import piece_loss
from model.kernels.uncompiled import uncompiled

WHOLE = 1 << 27
"""Logits that are simply made: half a GiB in 32 bits."""


def head_loss(hidden_BNM: Tensor, weight_VM: Tensor, targets_BN: Tensor, reduction: str = "mean") -> Tensor:
    """`piece_loss` of the logits hidden @ weight.T: cross-entropy in nats over all places that have a target.

    reduction: `mean`, `sum` or `none`; with `none` all logits are made.
    """
    if targets_BN.numel() * len(weight_VM) <= WHOLE or reduction == "none":
        return piece_loss(functional.linear(hidden_BNM, weight_VM), targets_BN, reduction)
    dtype = computed_in(weight_VM)
    hidden_RM, weight, targets_R = hidden_BNM.flatten(0, 1).to(dtype), weight_VM.to(dtype), targets_BN.flatten()
    with torch.autocast(hidden_RM.device.type, enabled=False):  # it has been seen to here
        if hasattr(functional, "linear_cross_entropy"):
            options = torch.nn.LinearCrossEntropyOptions()
            return functional.linear_cross_entropy(
                hidden_RM, weight, targets_R, reduction=reduction, ignore_index=NO_TARGET, options=options
            )
        return in_parts(hidden_RM, weight, targets_R, reduction)


@uncompiled
def in_parts(hidden_RM: Tensor, weight_VM: Tensor, targets_R: Tensor, reduction: str) -> Tensor:
    """The same by parts, whose gradients are made at once."""
    total: Tensor = _Parts.apply(hidden_RM, weight_VM, targets_R)  # type: ignore[no-untyped-call]
    return total / (targets_R != NO_TARGET).sum() if reduction == "mean" else total


class _Parts(torch.autograd.Function):
    """The sum of the losses; what comes back to it is a number, by which the gradients are then multiplied."""

    @staticmethod
    def forward(ctx: Any, hidden_RM: Tensor, weight_VM: Tensor, targets_R: Tensor) -> Tensor:
        exact = torch.promote_types(hidden_RM.dtype, torch.float32)
        step, total = max(1, WHOLE // len(weight_VM)), hidden_RM.new_zeros((), dtype=exact)
        wanted = any(ctx.needs_input_grad)
        d_hidden = torch.empty_like(hidden_RM) if wanted else None
        d_weight = torch.zeros_like(weight_VM, dtype=exact) if wanted else None
        part = _compiled() if hidden_RM.is_cuda else _part
        for start in range(0, len(hidden_RM), step):
            hidden, targets = hidden_RM[start : start + step], targets_R[start : start + step]
            nats, d_logits = part(hidden @ weight_VM.T, targets, wanted)
            total += nats
            if d_hidden is not None and d_weight is not None:
                torch.mm(d_logits, weight_VM, out=d_hidden[start : start + step])
                d_weight += d_logits.T @ hidden
        if d_hidden is not None and d_weight is not None:
            ctx.save_for_backward(d_hidden, d_weight.to(weight_VM.dtype))
        return total

    @staticmethod
    def backward(ctx: Any, up: Tensor) -> tuple[Tensor, Tensor, None]:
        d_hidden, d_weight = ctx.saved_tensors
        return (d_hidden * up).to(d_hidden.dtype), (d_weight * up).to(d_weight.dtype), None


def _part(logits_RV: Tensor, targets_R: Tensor, wanted: bool) -> tuple[Tensor, Tensor]:
    """The sum of the losses, and if wanted its gradient, in the logits' type."""
    logits = logits_RV.to(torch.promote_types(logits_RV.dtype, torch.float32))
    real = targets_R != NO_TARGET
    at = targets_R.clamp(min=0)[:, None]
    total = logits.logsumexp(1, keepdim=True)
    nats = ((total - logits.gather(1, at))[:, 0] * real).sum()
    if not wanted:
        return nats, logits_RV
    said = torch.arange(logits.shape[1], device=logits.device) == at
    return nats, (((logits - total).exp() - said.to(logits.dtype)) * real[:, None]).to(logits_RV.dtype)


@cache
def _compiled() -> Any:
    """Two passes over the logits and not ten."""
    return torch.compile(_part, dynamic=False)
