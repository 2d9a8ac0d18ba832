"""Adaptive attention: several sparse patterns over the same queries, keys and values, mixed by a gate that is learnt.

The gate is a softmax over the patterns: read off each piece by each head (`gate = "token"`, as the experts of Shazeer
et al. 2017 are, but with all of them at work), or a number that each head has once for all (`"head"`). The mix is
differentiable from end to end; its cost is that of all patterns together.
Letters: B rows, N pieces, H heads, M width of the model, G patterns.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from model.attention.clustered import Clustered
from model.attention.hierarchical import Hierarchical
from model.attention.info import Info
from model.attention.local import Local
from model.attention.patterns import Asked, Pattern, PatternAttention
from model.attention.random_keys import Random
from model.attention.strided import Strided
from model.context import Context

if TYPE_CHECKING:
    from model.config import ModelConfig

MAKERS: dict[str, type[Local | Strided | Random | Clustered | Hierarchical]] = {
    "local": Local,
    "strided": Strided,
    "random": Random,
    "clustered": Clustered,
    "hierarchical": Hierarchical,
}
"""What can be mixed; model.config.patterns.PATTERNS are their names."""


class Adaptive(Pattern):
    """The patterns of the settings, mixed."""

    def __init__(self, config: "ModelConfig", layer: int = 0) -> None:
        super().__init__(config, "adaptive")
        names = self.settings.patterns
        self.patterns = nn.ModuleDict({name: MAKERS[name](config, layer) for name in names})
        by_token = self.settings.gate == "token"
        self.token_gate = nn.Linear(config.dim, config.heads * len(names), bias=False) if by_token else None
        self.head_gate = None if by_token else nn.Parameter(torch.zeros(config.heads, len(names)))

    def parts(self) -> list[Pattern]:
        return [each for each in self.patterns.values() if isinstance(each, Pattern)]

    def shares(self, x_BNM: Tensor) -> Tensor:
        """[B or 1,H,N or 1,G], 1 together."""
        if self.token_gate is None:
            assert self.head_gate is not None
            return self.head_gate.softmax(-1)[None, :, None]
        score_BNHG = self.token_gate(x_BNM).unflatten(-1, (self.head_count, -1))
        share_BHNG: Tensor = score_BNHG.softmax(-1).transpose(1, 2)
        return share_BHNG

    def prepare(self, context: Context, dtype: torch.dtype) -> Context:
        for part in self.parts():
            context = part.prepare(context, dtype)
        return context

    def forward(self, asked: Asked, context: Context) -> Tensor:
        return self._mixed(asked, [part(asked, context) for part in self.parts()])

    def slow(self, asked: Asked, context: Context) -> Tensor:
        return self._mixed(asked, [part.slow(asked, context) for part in self.parts()])

    def _mixed(self, asked: Asked, parts_GBHND: list[Tensor]) -> Tensor:
        share_BHN, *shares = self.shares(asked.x).to(parts_GBHND[0].dtype).unbind(-1)
        total = share_BHN[..., None] * parts_GBHND[0]
        for part_BHND, share_BHN in zip(parts_GBHND[1:], shares, strict=True):
            total = torch.addcmul(total, share_BHN[..., None], part_BHND)  # one pass, where * and + are two
        return total


class AdaptiveAttention(PatternAttention):
    """A layer that can say what its gate does."""

    pattern: Adaptive

    def __init__(self, config: "ModelConfig", layer: int = 0) -> None:
        super().__init__(config, Adaptive(config, layer), "adaptive")

    def info(self, x_BNM: Tensor, context: Context) -> Info:
        """Its density is that of the parts, weighed by their shares."""
        with torch.no_grad():
            context = self.prepare(context)
            asked, valid = self.asked(x_BNM, context), context.valid()
            B, N = valid.shape
            share = self.pattern.shares(asked.x).expand(B, -1, N, -1) * valid[:, None, :, None]
            share_HG = share.sum((0, 2)) / valid.sum().clamp(min=1)
            names, heads = list(self.pattern.patterns), self.query_heads
            density = {n: p.density(asked, context) for n, p in zip(names, self.pattern.parts(), strict=True)}
            density_HG = torch.tensor(list(density.values()), dtype=share_HG.dtype, device=share_HG.device).T
        return Info(
            views=(self.name,) * heads,
            density=tuple((share_HG * density_HG).sum(1).tolist()),
            cost=("linear",) * heads,
            path=("blocks",) * heads,
            shares=dict(zip(names, map(tuple, share_HG.T.tolist()), strict=True)),
            parts=density,
        )
