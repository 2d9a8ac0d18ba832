"""Linformer (Wang et al. 2020): keys and values of a sequence are projected to a fixed number of slots.

A slot mixes keys from everywhere, so no query can be kept from later ones: Linformer is for reading both ways alone.
Each sequence is projected on its own, whatever row it shares. One projection of keys and one of values serve all heads
("headwise sharing"). O(N * slots) time and memory, and a projection that knows as many places as the longest sequence.

Letters: B rows, N pieces, H heads, G heads of keys and values, D width of a head, S sequences, L places, K slots.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.attention.heads import Heads
from model.attention.sequences import Batch, batches, sequences
from model.context import Context

if TYPE_CHECKING:
    from model.config import ModelConfig

LOOK = "linformer"


class Linformer(Heads):
    """A layer of it."""

    def __init__(self, config: "ModelConfig", layer: int = 0) -> None:
        super().__init__(config)
        if self.slopes:
            raise ValueError("linformer's slots have no place for positions='alibi' to go by; give rotary or learned")
        slots, self.length = config.linformer.slots, config.linformer.length or config.context
        # Independent entries of variance 1/K keep products of keys as they are, on average.
        self.project_keys = nn.Parameter(torch.randn(slots, self.length) * slots**-0.5)
        self.project_values = nn.Parameter(torch.randn(slots, self.length) * slots**-0.5)

    def prepare(self, context: Context) -> Context:
        """The context with its sequences. Errors: ValueError in causal order, and for a sequence that is too long."""
        if context.causal:
            raise ValueError(
                "linformer mixes later pieces into every slot, so it cannot be causal; give a causal model another "
                "mechanism, or this one the objective 'masked'"
            )
        if LOOK in context.plans:
            return context
        return context._replace(plans={**context.plans, LOOK: batches(*sequences(context))})

    def mix(self, q_BHND: Tensor, k_BGND: Tensor, v_BGND: Tensor, context: Context) -> Tensor:
        """[B,H,N,D], of a prepared context."""
        H, mixed_BHND = q_BHND.shape[1], torch.zeros_like(q_BHND)
        some: Batch
        for some in context.plans[LOOK]:
            L = some.place.shape[1]
            if self.length < L:
                raise ValueError(
                    f"linformer has {self.length} places and a sequence has {L} pieces; set linformer.length, "
                    "or the model's context, to the longest"
                )
            valid = some.valid()[:, None, :, None]
            k, v = (some.taken(x).masked_fill(~valid, 0.0) for x in (k_BGND, v_BGND))
            k, v = self.project_keys[:, :L].to(k) @ k, self.project_values[:, :L].to(v) @ v
            k, v = (x.repeat_interleave(H // x.shape[1], dim=1) for x in (k, v))
            mixed_BHND = some.put(functional.scaled_dot_product_attention(some.taken(q_BHND), k, v), mixed_BHND)
        return mixed_BHND


def linformer_slow(layer: Linformer, x_BNM: Tensor, context: Context) -> Tensor:
    """The slow twin: one sequence and one query at a time."""
    q, k, v = layer.inputs(x_BNM, context)
    B, H, N, D = q.shape
    mixed = []
    for row in range(B):
        document = context.document[row].tolist()
        for head in range(H):
            group = head * k.shape[1] // H
            for t in range(N):
                own = [s for s in range(N) if document[s] == document[t]] if document[t] >= 0 else []
                if not own:
                    mixed.append(torch.zeros(D, dtype=q.dtype))
                    continue
                places = [s - own[0] for s in own]
                key_KD = torch.stack([e[places] @ k[row, group, own] for e in layer.project_keys])
                value_KD = torch.stack([f[places] @ v[row, group, own] for f in layer.project_values])
                mixed.append((key_KD @ q[row, head, t] / D**0.5).softmax(0) @ value_KD)
    mixed_BHND = torch.stack(mixed).view(B, H, N, D)
    mixed_BNM: Tensor = layer.out(mixed_BHND.transpose(1, 2).reshape(x_BNM.shape))
    return mixed_BNM
