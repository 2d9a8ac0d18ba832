"""Linear attention (Katharopoulos et al. 2020), exact where a query may see few keys.

A query that may see at most `threshold` keys gets softmax attention: in causal order each sequence's first pieces,
otherwise all pieces of short sequences. All others weigh keys by features (model.attention.features), in time and
memory O(N). How many keys a query may see is known at the piece; the length of the input would not be (law 1).

Features of turned queries and keys are no function of their distance, so places count from the sequence's own
beginning. Letters: B rows, N pieces, H heads, G heads of keys and values, E = H / G, D width of a head, R features.
"""

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from model.attention.chunked import Chunks, attend_chunked, chunks_of
from model.attention.features import FeatureMap
from model.attention.fla import attend_fla
from model.attention.heads import Heads, computed_in
from model.attention.rotary import turn_at
from model.attention.sequences import Batch, batches, sequences
from model.config.linear import LinearConfig
from model.context import Context
from model.kernels.uncompiled import uncompiled

if TYPE_CHECKING:
    from model.config import ModelConfig


class Parts(NamedTuple):
    """Who is computed how, made once a batch."""

    exact: tuple[Batch, ...]
    chunks: Chunks | None
    """None where all are exact."""


class State(NamedTuple):
    """What rows keep from piece to piece: as much after a million pieces as after one."""

    pieces: Tensor
    """int64 [B]: pieces of the sequence so far."""
    keys: Tensor
    """[B,G,T,D]: the first ones of the sequence, as many as the threshold; and their values."""
    values: Tensor
    sums: Tensor
    """[B,G,R,D+1]: features times values and 1, summed up, over e**top."""
    top: Tensor
    """[B,G]: the largest scale of a key so far."""


class LinearAttention(Heads):
    """A layer of linear attention."""

    def __init__(self, config: "ModelConfig", layer: int = 0, settings: LinearConfig | None = None) -> None:
        super().__init__(config)
        if self.slopes:
            raise ValueError(
                "linear attention has no scores that positions='alibi' could add to; give rotary or learned"
            )
        self.settings = settings or config.linear
        seed = self.settings.seed * 1000 + layer
        self.features = FeatureMap(self.settings.features, self.key_heads, self.width, self.settings.dimension, seed)
        self.look = f"linear, exact to {self.settings.threshold}, chunks of {self.settings.chunk}"

    def inputs(self, x_BNM: Tensor, context: Context) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of a whole batch."""
        # Zeros, not a mask alone: a weight of 0 times a NaN is NaN, and would carry it out of the padding.
        x_BNM = x_BNM.masked_fill(~context.valid()[:, :, None], 0.0)
        place = torch.arange(x_BNM.shape[1], device=x_BNM.device)
        return self._turned(x_BNM, place - context.sequence_start())

    def _turned(self, x_BNM: Tensor, place_BN: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.positions != "rotary":
            return self.heads(x_BNM, None)
        return self.heads(x_BNM, turn_at(place_BN[:, None], self.width, computed_in(self.qkv.weight)))

    def prepare(self, context: Context) -> Context:
        """The context with what is exact and how rows are cut."""
        if self.look in context.plans:
            return context
        return context._replace(plans={**context.plans, self.look: self._parts(context)})

    @uncompiled  # it asks how long sequences are
    def _parts(self, context: Context) -> Parts:
        begin, size = sequences(context)
        short = size <= self.settings.threshold
        all_short = bool(short.all())
        if context.causal:
            exact = batches(begin, size.clamp(max=self.settings.threshold)) if self.settings.threshold else ()
        else:
            exact = batches(begin[short], size[short])
        # A learned map must get a gradient in every batch, if only 0: processes that share the work wait for it.
        unused = all_short and self.features.map is None
        return Parts(exact, None if unused else chunks_of(context, self.settings.chunk))

    def mix(self, q_BHND: Tensor, k_BGND: Tensor, v_BGND: Tensor, context: Context) -> Tensor:
        """[B,H,N,D], of a prepared context."""
        parts: Parts = context.plans[self.look]
        if parts.chunks is None:
            mixed_BHND = torch.zeros_like(q_BHND)
        else:
            mixed_BHND = self._linear(q_BHND, k_BGND, v_BGND, parts.chunks, context)
        H = q_BHND.shape[1]
        for some in parts.exact:
            q, k, v = (some.taken(x) for x in (q_BHND, k_BGND, v_BGND))
            k, v = (x.repeat_interleave(H // x.shape[1], dim=1) for x in (k, v))
            # What fills up a short sequence comes after it: causal order alone keeps it out.
            mask = None if context.causal else some.valid()[:, None, None]
            out = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=context.causal)
            mixed_BHND = some.put(out, mixed_BHND)
        return mixed_BHND

    def _linear(self, q: Tensor, k: Tensor, v: Tensor, chunks: Chunks, context: Context) -> Tensor:
        exact = torch.promote_types(q.dtype, torch.float32)
        q_BGEND, v_BGND = self._grouped(q).to(exact), v.to(exact)
        # Sums over a whole text: autocast would compute the products of 32 bits in 16 again.
        with torch.autocast(q.device.type, enabled=False):
            if self.settings.backend == "fla":
                phi_q, phi_k = self.features(q_BGEND).phi, self.features(k[:, :, None].to(exact)).phi
                mixed = attend_fla(phi_q, phi_k.squeeze(2), v_BGND, context)
            else:
                mixed = attend_chunked(self.features, q_BGEND, k.to(exact), v_BGND, chunks)
        mixed_BHND: Tensor = mixed.flatten(1, 2).to(q.dtype)
        return mixed_BHND

    def _grouped(self, x: Tensor) -> Tensor:
        """[B,H,...] as [B,G,E,...]."""
        return x.reshape(x.shape[0], self.key_heads, -1, *x.shape[2:])

    def begin(self, rows: int) -> State:
        """The state of so many rows before their first piece."""
        weight, T = self.qkv.weight, self.settings.threshold
        exact = torch.promote_types(weight.dtype, torch.float32)
        kept = weight.new_zeros(rows, self.key_heads, T, self.width)
        return State(
            pieces=torch.zeros(rows, dtype=torch.int64, device=weight.device),
            keys=kept,
            values=kept,
            sums=weight.new_zeros(rows, self.key_heads, self.settings.dimension, self.width + 1, dtype=exact),
            top=weight.new_full((rows, self.key_heads), float("-inf"), dtype=exact),
        )

    def step(self, x_BM: Tensor, begins_B: Tensor, state: State) -> tuple[Tensor, State]:
        """([B,M], the state after it). begins_B: bool, the rows where a new sequence begins with this piece."""
        count = state.pieces.masked_fill(begins_B, 0)
        q, k, v = (x.squeeze(2) for x in self._turned(x_BM[:, None], count[:, None]))
        q_BGED = self._grouped(q)
        exact = state.sums.dtype
        of_q, of_k = self.features(q_BGED[:, :, :, None].to(exact)), self.features(k[:, :, None, None].to(exact))
        phi_q, phi_k = of_q.phi.squeeze(3), of_k.phi[:, :, 0, 0]
        old = state.top.masked_fill(begins_B[:, None], float("-inf"))
        scale = torch.zeros_like(old) if of_k.log_scale is None else of_k.log_scale[:, :, 0, 0]
        top = torch.maximum(old, scale)
        v1 = torch.cat([v, torch.ones_like(v[..., :1])], dim=-1).to(exact)
        kept = state.sums.masked_fill(begins_B[:, None, None, None], 0.0) * (old - top).exp()[..., None, None]
        sums = kept + (phi_k * (scale - top).exp()[..., None])[..., None] * v1[:, :, None]
        both = phi_q @ sums
        mixed_BGED = (both[..., :-1] / both[..., -1:]).to(q.dtype)
        keys, values, T = state.keys, state.values, self.settings.threshold
        if T:
            place = torch.arange(T, device=count.device)
            here = (place == count[:, None])[:, None, :, None]
            keys, values = (torch.where(here, x[:, :, None], had) for x, had in ((k, keys), (v, values)))
            score = q_BGED @ keys.transpose(-1, -2) * self.width**-0.5
            # Beyond the threshold all are seen, and the result is left out: no row of nothing but -inf.
            score = score.masked_fill((place > count[:, None])[:, None, None], float("-inf"))
            few = (count < T)[:, None, None, None]
            mixed_BGED = torch.where(few, score.softmax(-1) @ values, mixed_BGED)
        out_BM: Tensor = self.out(mixed_BGED.flatten(1))
        return out_BM, State(count + 1, keys, values, sums, top)


def linear_slow(layer: LinearAttention, x_BNM: Tensor, context: Context) -> Tensor:
    """The slow twin: one query at a time, its keys counted, then softmax or features."""
    q, k, v = layer.inputs(x_BNM, context)
    B, H, N, D = q.shape
    each = H // layer.key_heads
    rows = []
    for row in range(B):
        document = context.document[row].tolist()
        for head in range(H):
            group = head // each
            phi_k = torch.stack([layer.features.slow(k[row, group, s], group) for s in range(N)])
            for t in range(N):
                keys = [s for s in range(N) if document[s] == document[t] and (s <= t or not context.causal)]
                if len(keys) <= layer.settings.threshold:
                    weights = (k[row, group, keys] @ q[row, head, t] / D**0.5).softmax(0)
                else:
                    dots = phi_k[keys] @ layer.features.slow(q[row, head, t], group)
                    weights = dots / dots.sum()
                rows.append(weights @ v[row, group, keys])
    mixed_BHND = torch.stack(rows).view(B, H, N, D)
    mixed_BNM: Tensor = layer.out(mixed_BHND.transpose(1, 2).reshape(x_BNM.shape))
    return mixed_BNM
