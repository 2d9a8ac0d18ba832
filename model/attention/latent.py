"""Multi-head latent attention: keys and values of a piece are made from one small vector, which is all that is kept.

    c = norm(W_c x)                              the latent, R_c wide, for all heads
    k_g = [W_k c, turn(W_r x)]    v_g = W_v c    of each group of heads; the turned part is one for all
    q_h = [W_q x, turn(W_t x)]                   of each head; from norm(W_d x) instead of x under `query_rank`
    out = W_o softmax(q_h' k_g / sqrt(D + R)) v_g

after section 2.1 of DeepSeek-AI 2024 (DeepSeek-V2). A turn does not commute with W_k, so places have a part of the key
to themselves. The paper gives every head keys of its own; with `kv_heads` heads share W_k and W_v by groups, which
leaves the cache as it is and saves weights and work. A stream multiplies W_k into the query and W_v into the output and
looks at latents alone.

Every head sees all that time order and documents allow; `views` and `positions` say nothing here. O(N*N) time, memory
linear. Letters: B rows, N pieces, T pieces of a stream so far, M width of the model, H heads, G groups of heads, D
width of a head, R width of its turned part, C width of the latent, F its pairs that turn.
"""

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn, split, unflatten
from torch.nn import functional

from model.attention.heads import computed_in
from model.attention.rotary import BASE, Turn, rotate, turn_at, turn_of
from model.context import Context

if TYPE_CHECKING:
    from model.config import ModelConfig

ALONE = "latent: every row is one sequence"
"""Name under which a context keeps whether it is so."""

BLOCK = 512
"""Queries whose masks are made at a time, where rows are packed or padded."""


class Cache(NamedTuple):
    """What a stream keeps."""

    kept: Tensor
    """[B,T,C+R]: latent and turned key of each piece so far."""
    begin: Tensor
    """int64 [B]: place of each row's first piece of its present sequence."""


class LatentAttention(nn.Module):
    """A layer of it."""

    def __init__(self, config: "ModelConfig", layer: int = 0) -> None:
        super().__init__()
        said = config.latent
        self.heads, self.groups, self.width = config.heads, config.key_heads(), config.dim // config.heads
        self.rank = said.rank or 4 * self.width
        self.turned = said.rotary or max(2, self.width // 4 * 2)
        asked = self.heads * (self.width + self.turned)
        self.query_down = nn.Linear(config.dim, said.query_rank, bias=False) if said.query_rank else None
        self.query_norm = nn.RMSNorm(said.query_rank, eps=1e-6) if said.query_rank else None
        self.query = nn.Linear(said.query_rank or config.dim, asked, bias=False)
        self.down = nn.Linear(config.dim, self.rank + self.turned, bias=False)
        self.norm = nn.RMSNorm(self.rank, eps=1e-6)
        self.up = nn.Linear(self.rank, self.groups * 2 * self.width, bias=False)
        self.out = nn.Linear(config.dim, config.dim, bias=False)

    def prepare(self, context: Context) -> Context:
        """The context with whether its rows need masks."""
        if ALONE in context.plans:
            return context
        alone = not torch.compiler.is_compiling() and bool((context.document == context.document[:, :1]).all())
        return context._replace(plans={**context.plans, ALONE: alone})

    def forward(self, x_BNM: Tensor, context: Context) -> Tensor:
        # Zeros, not a mask alone: a weight of 0 times a NaN is NaN, and would carry it out of the padding.
        x_BNM = x_BNM.masked_fill(~context.valid()[:, :, None], 0.0)
        turn = turn_of(x_BNM.shape[1], self.turned, x_BNM.device, computed_in(self.down.weight))
        q_BHND = self.queries(x_BNM, turn)
        latent_BNC, turned_BNR = self.kept(x_BNM, turn)
        k_BGND, v_BGND = unflatten(self.up(latent_BNC), -1, (self.groups, -1)).transpose(1, 2).chunk(2, dim=-1)
        k_BGND = torch.cat([k_BGND, turned_BNR[:, None].expand(-1, self.groups, -1, -1).to(k_BGND.dtype)], dim=-1)
        # As wide as keys, or no kernel without a matrix of all pairs would take them.
        v_BGND = functional.pad(v_BGND, (0, self.turned))
        k_BHND, v_BHND = (each.repeat_interleave(self.heads // self.groups, dim=1) for each in (k_BGND, v_BGND))
        mixed_BHND = mix(q_BHND, k_BHND, v_BHND, context, self.prepare(context).plans[ALONE])[..., : self.width]
        mixed_BNM: Tensor = self.out(mixed_BHND.transpose(1, 2).flatten(2))
        return mixed_BNM

    def queries(self, x_BNM: Tensor, turn: Turn) -> Tensor:
        """[B,H,N,D+R], the last R turned."""
        if self.query_down is not None and self.query_norm is not None:
            x_BNM = self.query_norm(self.query_down(x_BNM).to(self.query_norm.weight.dtype))
        q_BHND = unflatten(self.query(x_BNM), -1, (self.heads, -1)).transpose(1, 2)
        plain, turned = split(q_BHND, [self.width, self.turned], dim=-1)
        return torch.cat([plain, rotate(turned, turn).to(plain.dtype)], dim=-1)

    def kept(self, x_BNM: Tensor, turn: Turn) -> tuple[Tensor, Tensor]:
        """What a stream keeps of each piece: latent [B,N,C] and turned key [B,N,R]."""
        latent_BNC, turned_BNR = split(self.down(x_BNM), [self.rank, self.turned], dim=-1)
        return self.norm(latent_BNC.to(self.norm.weight.dtype)).to(latent_BNC.dtype), rotate(turned_BNR, turn)

    def begin(self, rows: int) -> Cache:
        """The state of so many rows before their first piece."""
        weight = self.down.weight
        return Cache(
            weight.new_zeros(rows, 0, self.rank + self.turned),
            torch.zeros(rows, dtype=torch.int64, device=weight.device),
        )

    def step(self, x_BM: Tensor, begins_B: Tensor, state: Cache) -> tuple[Tensor, Cache]:
        """The next piece of every row: [B,M], and the state after it. O(T * C) time."""
        place = state.kept.shape[1]
        turn = turn_at(torch.tensor([place], device=x_BM.device), self.turned, computed_in(self.down.weight))
        kept_BTX = torch.cat([state.kept, torch.cat(self.kept(x_BM[:, None], turn), dim=-1)], dim=1)
        begin_B = state.begin.masked_fill(begins_B, place)
        latent_BTC, turned_BTR = split(kept_BTX, [self.rank, self.turned], dim=-1)
        plain_BHD, asked_BHR = split(self.queries(x_BM[:, None], turn)[:, :, 0], [self.width, self.turned], dim=-1)
        up_k_GDC, up_v_GDC = unflatten(self.up.weight, 0, (self.groups, -1)).chunk(2, dim=1)
        by_group = unflatten(plain_BHD, 1, (self.groups, -1))
        q_BHC = torch.einsum("bged,gdc->bgec", by_group, up_k_GDC).flatten(1, 2)
        scores_BHT = q_BHC @ latent_BTC.transpose(1, 2) + asked_BHR @ turned_BTR.transpose(1, 2)
        before = torch.arange(place + 1, device=x_BM.device) < begin_B[:, None]
        scores_BHT = scores_BHT.masked_fill(before[:, None], float("-inf")) * (self.width + self.turned) ** -0.5
        read_BHC = scores_BHT.softmax(-1) @ latent_BTC
        mixed = torch.einsum("bgec,gdc->bged", unflatten(read_BHC, 1, (self.groups, -1)), up_v_GDC)
        return self.out(mixed.flatten(1)), Cache(kept_BTX, begin_B)


def mix(q_BHND: Tensor, k_BHND: Tensor, v_BHND: Tensor, context: Context, alone: bool) -> Tensor:
    """Attention to all that order and documents allow. alone: whether every row is one sequence without padding, or
    padding alone; other rows have masks made a block of queries at a time."""
    if alone:
        return functional.scaled_dot_product_attention(q_BHND, k_BHND, v_BHND, is_causal=context.causal)
    start_BN, place_N = context.sequence_start(), torch.arange(q_BHND.shape[2], device=q_BHND.device)
    mixed, N = list[Tensor](), len(place_N)
    for at in range(0, N, BLOCK):
        end = min(at + BLOCK, N)
        keys = end if context.causal else N
        allowed_BQK = start_BN[:, at:end, None] == start_BN[:, None, :keys]
        if context.causal:
            allowed_BQK = allowed_BQK & (place_N[:keys] <= place_N[at:end, None])
        mixed.append(
            functional.scaled_dot_product_attention(
                q_BHND[:, :, at:end], k_BHND[:, :, :keys], v_BHND[:, :, :keys], attn_mask=allowed_BQK[:, None]
            )
        )
    return torch.cat(mixed, dim=2)


def latent_slow(layer: LatentAttention, x_BNM: Tensor, context: Context) -> Tensor:
    """The slow twin: one piece, one head and one query at a time, places counted from the sequence's own beginning."""
    x_BNM = x_BNM.masked_fill(~context.valid()[:, :, None], 0.0)
    rows = []
    for x_NM, start_N in zip(x_BNM, context.sequence_start().tolist(), strict=True):
        made = [_made_slow(layer, x_M, t - start) for t, (x_M, start) in enumerate(zip(x_NM, start_N, strict=True))]
        for t, start in enumerate(start_N):
            seen = [s for s in range(len(start_N)) if start_N[s] == start and (s <= t or not context.causal)]
            heads = []
            for head in range(layer.heads):
                group = head // (layer.heads // layer.groups)
                q = made[t].queries[head]
                scores = torch.stack([q.dot(made[s].keys[group]) / len(q) ** 0.5 for s in seen])
                heads.append(scores.softmax(0) @ torch.stack([made[s].values[group] for s in seen]))
            rows.append(layer.out.weight @ torch.cat(heads))
    return torch.stack(rows).view(x_BNM.shape)


class _Made(NamedTuple):
    """Of one piece: its queries, one a head, and its keys and values, one a group."""

    queries: list[Tensor]
    keys: list[Tensor]
    values: list[Tensor]


def _made_slow(layer: LatentAttention, x_M: Tensor, place: int) -> _Made:
    D, made = layer.width, _Made([], [], [])
    asks = x_M
    if layer.query_down is not None and layer.query_norm is not None:
        asks = layer.query_norm(layer.query_down.weight @ x_M)
    for weight in layer.query.weight.chunk(layer.heads):
        q = weight @ asks
        made.queries.append(torch.cat([q[:D], _turned_slow(q[D:], place)]))
    latent = layer.norm(layer.down.weight[: layer.rank] @ x_M)
    turned = _turned_slow(layer.down.weight[layer.rank :] @ x_M, place)
    for weight in layer.up.weight.chunk(layer.groups):
        made.keys.append(torch.cat([weight[:D] @ latent, turned]))
        made.values.append(weight[D:] @ latent)
    return made


def _turned_slow(x_R: Tensor, place: int) -> Tensor:
    """Entry i and its partner half the width on, as one complex number, times exp(i * place * BASE ** (-2i/R))."""
    half = len(x_R) // 2
    angle = torch.tensor([place * BASE ** (-2 * i / len(x_R)) for i in range(half)], dtype=x_R.dtype)
    turned = torch.complex(x_R[:half], x_R[half:]) * torch.polar(torch.ones_like(angle), angle)
    return torch.cat([turned.real, turned.imag])
