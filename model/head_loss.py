"""The loss of the next piece straight from what logits are read off, so that no table of all logits is ever held.

A row of 131,072 pieces and a vocabulary of 50,000 make 6.5 thousand million logits: 26 GB in 32 bits, and as much for
their gradient. PyTorch's own `linear_cross_entropy` computes them part by part where it is there (2.13 and later);
before, parts are computed twice, forward and again on the way back. Letters: R places, M width, V vocabulary.
"""

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from model.attention.heads import computed_in
from model.batches import NO_TARGET
from model.evaluate.perplexity import piece_loss

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


def in_parts(hidden_RM: Tensor, weight_VM: Tensor, targets_R: Tensor, reduction: str) -> Tensor:
    """The same by parts whose logits are made again on the way back."""
    each = max(1, WHOLE // len(weight_VM))
    parts = zip(torch.split(hidden_RM, each), torch.split(targets_R, each), strict=True)
    total = torch.stack([_nats(hidden, weight_VM, targets) for hidden, targets in parts]).sum()
    return total / (targets_R != NO_TARGET).sum() if reduction == "mean" else total


def _nats(hidden_RM: Tensor, weight_VM: Tensor, targets_R: Tensor) -> Tensor:
    def part(hidden: Tensor, weight: Tensor) -> Tensor:
        return piece_loss(functional.linear(hidden, weight)[None], targets_R[None], "sum")

    nats: Tensor = checkpoint(part, hidden_RM, weight_VM, use_reentrant=False, preserve_rng_state=False)
    return nats
