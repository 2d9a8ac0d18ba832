"""What grammar adds to the scores of pairs that a view allows, weighed by what each head has learnt.

scores        the compatibility of the two words (pipeline.compatibility), times a weight a head, which begins at 1
kind_bias     a number a head and kind of bond, for pairs that such a bond joins; begins at 0
kind_gates    log sigmoid of a number a head and kind: the weight of such pairs is multiplied by a gate between 0 and 1,
              which begins nearly open; a gate that shuts says that the head has no use for the kind

A pair joined by several kinds gets the sum. Letters: B rows, N pieces, H heads, K kinds of bond.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.context import Context
from model.facts import scores
from model.kernels.lists import Asked
from model.masks import listed
from pipeline.records import KINDS

if TYPE_CHECKING:
    from model.config import ModelConfig

OPEN = 4.0
"""Where gates begin: sigmoid(4) is 0.98, and the gradient there is still 0.018."""

SCORES, JOINED = "scores of pairs", "kinds that join pairs"
"""Names under which a context keeps what all layers share."""


class Terms(nn.Module):
    """The learned terms of one layer; falsy if the recipe asks for none."""

    def __init__(self, config: "ModelConfig") -> None:
        super().__init__()
        self.heads = config.heads
        kinds = config.heads, len(KINDS)
        self.score_weight = nn.Parameter(torch.ones(config.heads)) if config.scores else None
        self.kind_bias = nn.Parameter(torch.zeros(kinds)) if config.kind_bias else None
        self.kind_gate = nn.Parameter(torch.full(kinds, OPEN)) if config.kind_gates else None

    def __bool__(self) -> bool:
        return self.score_weight is not None or self.of_kinds() is not None

    def of_kinds(self) -> Tensor | None:
        """[H,K]: what is added for a bond of each kind."""
        gate = None if self.kind_gate is None else functional.logsigmoid(self.kind_gate)
        if self.kind_bias is None or gate is None:
            return gate if self.kind_bias is None else self.kind_bias
        return self.kind_bias + gate

    def gates(self) -> Tensor | None:
        """[H,K] between 0 and 1: what each kind is worth to each head."""
        return None if self.kind_gate is None else self.kind_gate.detach().sigmoid()

    def asked(self) -> Asked:
        """What kernels must know of pairs."""
        return Asked(scores=self.score_weight is not None, kinds=self.of_kinds() is not None)

    def learnt(self, heads: Sequence[int]) -> Tensor:
        """[len(heads),1+K]: what each point of a score and a bond of each kind add, where masks of pairs are none."""
        some = next(self.parameters())
        score = some.new_zeros(self.heads) if self.score_weight is None else self.score_weight
        of_kinds = self.of_kinds()
        kinds = some.new_zeros(self.heads, len(KINDS)) if of_kinds is None else of_kinds
        return torch.cat([score[:, None], kinds], dim=1)[list(heads)]

    def prepare(self, context: Context, dtype: torch.dtype) -> Context:
        """The context with what the terms of all layers share."""
        made = dict(context.biases)
        if self.score_weight is not None and SCORES not in made:
            made[SCORES] = scores(context).to(dtype)
        if self.of_kinds() is not None and JOINED not in made:
            made[JOINED] = torch.stack([listed(context, (kind,)) for kind in range(len(KINDS))], dim=1).to(dtype)
        return context._replace(biases=made)

    def forward(self, context: Context, heads: Sequence[int] | None = None) -> Tensor:
        """[B,H,N,N], of a prepared context: what is added to the scores of queries (rows), of all heads or of these.
        O(N*N)."""
        chosen = slice(None) if heads is None or len(heads) == self.heads else list(heads)
        total = torch.zeros((), device=context.document.device)
        if self.score_weight is not None:
            total = self.score_weight[chosen, None, None].to(context.biases[SCORES]) * context.biases[SCORES][:, None]
        of_kinds = self.of_kinds()
        if of_kinds is not None:
            joined_BKNN = context.biases[JOINED]
            total = total + torch.einsum("hk,bkqs->bhqs", of_kinds[chosen].to(joined_BKNN), joined_BKNN)
        return total if context.opened is None else total * (1 - context.opened).to(total.dtype)
