"""PonderNet (Banino et al. 2021): after each step a piece may halt, and learns when it is worth going on.

At step n of T a piece halts with probability lambda_n, read off its own stream, if it has not halted before; at the
last step it does so surely. So p_n = lambda_n (1 - lambda_1) … (1 - lambda_n-1), and all p_n make 1. In training

    loss = sum of p_n * nats at step n  +  ponder_weight * KL(p, prior)

for each piece, where the prior halts with one probability at every step and surely at the last. What the model says in
the end is the expectation of what it would say at each step: logits are linear in the normed stream, so its mean
under p is taken. All pieces are computed to the last step, as deeper layers look at each other's: what halts is how
much a step counts. lambda_n reads its piece alone, which has read nothing of what comes: pondering leaks nothing.

Letters: T steps, B rows, N pieces, M width of the model.
"""

from collections.abc import Iterable, Sequence
from math import log, log1p
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.batches import NO_TARGET, Batch
from model.config.depth import DepthConfig
from model.context import Context

if TYPE_CHECKING:
    from model.transformer import Decoder


class Pondered(NamedTuple):
    """What a model thinks of each piece."""

    states: list[Tensor]
    """Normed streams [B,N,M], one a step."""
    log_halt_TBN: Tensor
    """log p, at least in 32 bits."""

    def expected(self) -> Tensor:
        """[B,N,M]: the mean of the streams under p."""
        halt_TBN = self.log_halt_TBN.exp().to(self.states[0].dtype)
        total = torch.zeros_like(self.states[0])
        for state, halt_BN in zip(self.states, halt_TBN, strict=True):
            total = total + state * halt_BN[..., None]
        return total


class Halting(nn.Module):
    """Reads off a piece's stream whether it halts; begins where the prior is."""

    def __init__(self, dim: int, settings: DepthConfig, spread: float) -> None:
        super().__init__()
        self.settings = settings
        self.gate = nn.Linear(dim, 1)
        nn.init.normal_(self.gate.weight, std=spread)
        nn.init.constant_(self.gate.bias, log(settings.ponder) - log1p(-settings.ponder))

    def forward(self, states: Sequence[Tensor]) -> Pondered:
        going, halts = torch.zeros((), device=states[0].device), list[Tensor]()
        for state in states[:-1]:
            logit_BN = self.gate(state).squeeze(-1)
            logit_BN = logit_BN.to(torch.promote_types(logit_BN.dtype, torch.float32))
            halts.append(going + functional.logsigmoid(logit_BN))
            going = going + functional.logsigmoid(-logit_BN)
        return Pondered(list(states), torch.stack([*halts, going]))

    def loss(self, pondered: Pondered, nats_TBN: Tensor, targets_BN: Tensor, context: Context) -> tuple[Tensor, Tensor]:
        """The loss, and the mean over targets of the nats that are to be expected. nats_TBN: 0 where there is no
        target."""
        asked = (targets_BN != NO_TARGET).sum().clamp(min=1)
        expected = (pondered.log_halt_TBN.exp() * nats_TBN).sum() / asked
        valid_BN = context.valid()
        apart_BN = divergence(pondered.log_halt_TBN, self.settings.ponder)
        apart = torch.where(valid_BN, apart_BN, 0).sum() / valid_BN.sum().clamp(min=1)
        return expected + self.settings.ponder_weight * apart, expected.detach()


def prior(steps: int, halting: float) -> list[float]:
    """log probabilities: geometric, with what is left at the last step."""
    return [step * log1p(-halting) + log(halting) for step in range(steps - 1)] + [(steps - 1) * log1p(-halting)]


def divergence(log_halt_TBN: Tensor, halting: float) -> Tensor:
    """[B,N]: KL(p, prior) in nats."""
    log_prior_T = torch.tensor(prior(len(log_halt_TBN), halting), dtype=log_halt_TBN.dtype, device=log_halt_TBN.device)
    # p log p is 0 where p is, but its gradient would be NaN at -inf.
    log_halt_TBN = log_halt_TBN.clamp(min=-100)
    return (log_halt_TBN.exp() * (log_halt_TBN - log_prior_T[:, None, None])).sum(0)


@torch.no_grad()
def histogram(decoder: "Decoder", batches: Iterable[Batch]) -> dict[str, Any]:
    """How probable it is to halt at each step, over all pieces, and how many steps are to be expected."""
    total, pieces = torch.zeros(()), 0
    for batch in batches:
        pondered, valid_BN = decoder.pondered(batch.ids, batch.context), batch.context.valid()
        total = total + (pondered.log_halt_TBN.double().exp() * valid_BN).sum((1, 2)).cpu()
        pieces += int(valid_BN.sum())
    share = (total / max(1, pieces)).tolist()
    return {"halting": share, "expected_steps": sum(step * part for step, part in enumerate(share, start=1))}


def expected_slow(decoder: "Decoder", states: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The slow twin, of normed streams [B,N,M]: p [T,B,N] and their mean under it, by the definition, one by one."""
    assert decoder.halting is not None
    gate = decoder.halting.gate
    B, N, _ = states[0].shape
    halts, means = [], []
    for row in range(B):
        for t in range(N):
            left, probabilities = torch.ones((), dtype=states[0].dtype), list[Tensor]()
            for step, state in enumerate(states, start=1):
                halting = (gate.weight[0] @ state[row, t] + gate.bias[0]).sigmoid()
                halting = torch.ones_like(halting) if step == len(states) else halting
                probabilities.append(left * halting)
                left = left * (1 - halting)
            halts.append(torch.stack(probabilities))
            means.append(
                sum((p * state[row, t] for p, state in zip(probabilities, states, strict=True)), torch.zeros(()))
            )
    return torch.stack(halts).T.reshape(-1, B, N), torch.stack(means).view(B, N, -1)
