"""What mechanisms with heads have in common: the projections to queries, keys and values, and the one back.

Letters: B rows, N pieces, H heads, G heads of keys and values, D width of a head, M width of the model.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.attention.rotary import Turn, rotate, turn_of
from model.context import Context

if TYPE_CHECKING:
    from model.config import ModelConfig


class Heads(nn.Module):
    """A mechanism that gives `mix`, and `prepare` if layers can share what it makes."""

    def __init__(self, config: "ModelConfig") -> None:
        super().__init__()
        self.query_heads, self.key_heads = config.heads, config.key_heads()
        self.width, self.positions = config.dim // config.heads, config.positions
        self.slopes = alibi_slopes(config.heads) if config.positions == "alibi" else ()
        self.qkv = nn.Linear(config.dim, (config.heads + 2 * self.key_heads) * self.width, bias=False)
        self.out = nn.Linear(config.dim, config.dim, bias=False)

    def prepare(self, context: Context) -> Context:
        """The context with what layers of this kind share; what it has already is kept."""
        return context

    def mix(self, q_BHND: Tensor, k_BGND: Tensor, v_BGND: Tensor, context: Context) -> Tensor:
        """[B,H,N,D], of a prepared context."""
        raise NotImplementedError

    def forward(self, x_BNM: Tensor, context: Context) -> Tensor:
        mixed_BHND = self.mix(*self.inputs(x_BNM, context), self.prepare(context))
        mixed_BNM: Tensor = self.out(mixed_BHND.transpose(1, 2).reshape(x_BNM.shape))
        return mixed_BNM

    def weights(self, x_BNM: Tensor, context: Context) -> Tensor:
        """[B,H,N,N], where there is a `mix`: how much each piece (row) takes of the values of each (column), after all
        that decides it. At padding it means nothing. O(N*N) memory, and mixing N / D times."""
        context = self.prepare(context)
        q_BHND, k_BGND, v_BGND = self.inputs(x_BNM, context)
        return weights_of(lambda units_BGND: self.mix(q_BHND, k_BGND, units_BGND, context), v_BGND)

    def inputs(self, x_BNM: Tensor, context: Context) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of a whole batch."""
        # Zeros, not a mask alone: a weight of 0 times a NaN is NaN, and would carry it out of the padding.
        x_BNM = x_BNM.masked_fill(~context.valid()[:, :, None], 0.0)
        if self.positions != "rotary":
            return self.heads(x_BNM, None)
        turn = turn_of(x_BNM.shape[1], self.width, x_BNM.device, computed_in(self.qkv.weight))
        return self.heads(x_BNM, turn)

    def heads(self, x_BNM: Tensor, turn: Turn | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries [B,H,N,D], keys and values [B,G,N,D]; queries and keys turned."""
        B, N, _ = x_BNM.shape
        qkv_BHND = self.qkv(x_BNM).view(B, N, -1, self.width).transpose(1, 2)
        q_BHND, k_BGND, v_BGND = qkv_BHND.split([self.query_heads, self.key_heads, self.key_heads], dim=1)
        if turn is None:
            return q_BHND, k_BGND, v_BGND
        return rotate(q_BHND, turn), rotate(k_BGND, turn), v_BGND


def weights_of(mix: Callable[[Tensor], Tensor], v_BGND: Tensor) -> Tensor:
    """[B,H,N,N] of a way to mix values that is linear in them: what becomes of values that name their pieces, one a
    dimension, as many pieces at a time as a head is wide. v: for its shape and type."""
    N, D = v_BGND.shape[-2:]
    names = torch.eye(N, dtype=v_BGND.dtype, device=v_BGND.device)
    parts = [functional.pad(some, (0, D - some.shape[1])) for some in torch.split(names, D, dim=1)]
    return torch.cat([mix(some.expand_as(v_BGND)) for some in parts], dim=-1)[..., :N]


def alibi_slopes(heads: int) -> tuple[float, ...]:
    """One a head, 2**(-8/H), 2**(-16/H) … 2**-8: the geometric sequence of Press et al. 2022, section 3."""
    return tuple(2.0 ** (-8 * (head + 1) / heads) for head in range(heads))


def computed_in(weight: Tensor) -> torch.dtype:
    """What products of this weight are computed in: its own type, or autocast's."""
    device = weight.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
