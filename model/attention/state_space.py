"""Global context in linear time: a selective state space (Mamba-2; Dao and Gu 2024), reading from left to right.

Each head keeps a state, a matrix [S,P]. At each piece the state fades by what the piece decides, takes up the piece's
input and is read:

    u = silu(filter(x W_u))         split into the heads' inputs x [H,P], and B and C [G,S], shared by groups of heads
    dt = softplus(x W_t + bias)     a number a head: how much time passes
    state = exp(-dt * rate) * state + dt * outer(B, x)
    y = C' state + skip * x;        out = W_o norm(y * silu(x W_z))

Where a model sees ahead, a second scan with the same weights reads each sequence from its end and is added. A sequence
packed into a row begins with an empty state and an empty filter. `views`, `kv_heads` and positions say nothing here:
order is in the recurrence. Letters: B rows, N pieces, M width of the model, H heads, P width of a head in the scan, G
groups, S width of the state, U entries that the filter runs over (H*P + 2*G*S).
"""

from math import log
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn, split, unflatten
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from model.attention.scan import Carried, scan
from model.context import Context

if TYPE_CHECKING:
    from model.config import ModelConfig

STARTS = "where sequences start"
"""Name under which a context keeps them for all layers of this kind."""

FIRST_STEP, FIRST_RATE = (1e-3, 1e-1), (1.0, 16.0)
"""Between which time steps (evenly by logarithm) and rates of decay (evenly) are drawn at first, as in Mamba-2."""


SEGMENT = {"cpu": 1024}
"""Pieces of a row that are read at a time, by device; others read rows whole. Backward computes a segment again: on a
CPU what is small enough to stay in its caches is made twice in less time than large tensors are fetched once."""


class Memory(NamedTuple):
    """What is kept of the pieces so far; its size does not grow."""

    recent: Tensor
    """[B,T,U]: inputs of the filter, of the pieces before: T of them, one fewer than it has taps."""
    carried: Carried


class StateSpace(nn.Module):
    """A layer that mixes by a scan."""

    def __init__(self, config: "ModelConfig", layer: int = 0) -> None:
        super().__init__()
        said = config.state_space
        self.heads, self.groups, self.state, self.chunk = config.heads, said.groups, said.state, said.chunk
        if self.heads % self.groups:
            raise ValueError(f"state_space.groups is {self.groups}; {self.heads} heads must share them out evenly")
        self.inner = said.expand * config.dim
        self.fused = said.kernel == "mamba-ssm"
        filtered = self.inner + 2 * self.groups * self.state
        self.into = nn.Linear(config.dim, self.inner + filtered + self.heads, bias=False)
        self.taps = nn.Parameter(torch.empty(filtered, said.taps).uniform_(-1, 1) * said.taps**-0.5)
        self.taps_bias = nn.Parameter(torch.zeros(filtered))
        low, high = map(log, FIRST_STEP)
        step_H = torch.empty(self.heads).uniform_(low, high).exp()
        self.step_bias = nn.Parameter(step_H + torch.log(-torch.expm1(-step_H)))  # softplus gives step_H back
        self.rate_log = nn.Parameter(torch.empty(self.heads).uniform_(*FIRST_RATE).log())
        self.skip = nn.Parameter(torch.ones(self.heads))
        self.norm = nn.RMSNorm(self.inner, eps=1e-5)
        self.out = nn.Linear(self.inner, config.dim, bias=False)

    def prepare(self, context: Context) -> Context:
        """The context with where sequences start, read from the left and, if the model sees ahead, from the right."""
        if STARTS in context.plans:
            return context
        starts = [context.sequence_start()]
        if not context.causal:
            starts.append(context._replace(document=context.document.flip(1)).sequence_start())
        return context._replace(plans={**context.plans, STARTS: tuple(starts)})

    def forward(self, x_BNM: Tensor, context: Context) -> Tensor:
        # Zeros, not a mask alone: a weight of 0 times a NaN is NaN, and would carry it out of the padding.
        x_BNM = x_BNM.masked_fill(~context.valid()[:, :, None], 0.0)
        starts: tuple[Tensor, ...] = self.prepare(context).plans[STARTS]
        N, size = x_BNM.shape[1], SEGMENT.get(x_BNM.device.type, x_BNM.shape[1])
        before = self.begin(x_BNM.shape[0])
        if context.causal and size < N and not torch.compiler.is_compiling():
            said = list[Tensor]()
            # Split, not sliced: the gradient of each slice would be a tensor of the whole row.
            for x, start in zip(split(x_BNM, size, dim=1), split(starts[0], size, dim=1), strict=True):
                inputs = x, start, size * len(said), before
                one, before = checkpoint(self.segment, *inputs, use_reentrant=False, preserve_rng_state=False)
                said.append(one)
            return torch.cat(said, dim=1)
        if context.causal:
            return self.segment(x_BNM, starts[0], 0, before)[0]
        gate_BNI, u_BNU, step_BNH = self.parts(x_BNM)
        there, _ = self.read(u_BNU, step_BNH, starts[0], 0, before)
        back, _ = self.read(u_BNU.flip(1), step_BNH.flip(1), starts[1], 0, before)
        return self.said(there + back.flip(1), gate_BNI)

    def segment(self, x_BNM: Tensor, start_BN: Tensor, at: int, before: Memory) -> tuple[Tensor, Memory]:
        """Pieces from place `at` of their rows on: [B,N,M], and what is kept of all so far."""
        gate_BNI, u_BNU, step_BNH = self.parts(x_BNM)
        y_BNI, after = self.read(u_BNU, step_BNH, start_BN, at, before)
        return self.said(y_BNI, gate_BNI), after

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The gate, what the filter runs over, and the time steps before their softplus; of any leading dimensions."""
        gate, u, step = split(self.into(x), [self.inner, len(self.taps), self.heads], dim=-1)
        return gate, u, step

    def said(self, y: Tensor, gate: Tensor) -> Tensor:
        """What goes back to the model."""
        said: Tensor = self.out(self.norm((y * functional.silu(gate)).to(self.norm.weight.dtype)))
        return said

    def read(self, u_BNU: Tensor, step_BNH: Tensor, start_BN: Tensor, at: int, before: Memory) -> tuple[Tensor, Memory]:
        """[B,N,H*P]: one scan, from left to right, of pieces from place `at` on; and what is kept after it."""
        seen_BNU = torch.cat([before.recent.to(u_BNU.dtype), u_BNU], dim=1)
        x_BNHP, b_BNGS, c_BNGS = self.parted(self.filtered(seen_BNU, start_BN, at))
        step_BNH, decay_BNH = self.times(step_BNH)
        recent_BTU = seen_BNU[:, u_BNU.shape[1] :]
        if self.fused:
            y_BNHP = _mamba_ssm()(
                x_BNHP.contiguous(),
                step_BNH,
                -self.rate_log.to(step_BNH.dtype).exp(),
                b_BNGS.contiguous(),
                c_BNGS.contiguous(),
                chunk_size=self.chunk,
                D=self.skip,
                seq_idx=start_BN.to(torch.int32).contiguous(),
            )
            return y_BNHP.flatten(2), before
        timed_BNHP = x_BNHP * step_BNH[..., None].to(x_BNHP.dtype)
        y_BNHP, carried = scan(timed_BNHP, decay_BNH, b_BNGS, c_BNGS, start_BN, self.chunk, before.carried)
        return torch.addcmul(y_BNHP, x_BNHP, self.skip[:, None].to(x_BNHP.dtype)).flatten(2), Memory(
            recent_BTU, carried
        )

    def filtered(self, seen_BNU: Tensor, start_BN: Tensor, at: int) -> Tensor:
        """The filter over the pieces from place `at` on, which looks at none before their sequence. seen: those pieces,
        and before them as many as it looks back."""
        (_, N), back = start_BN.shape, self.taps.shape[1] - 1
        since_BN = torch.arange(at, at + N, device=seen_BNU.device) - start_BN
        taps_TU, total = self.taps.to(seen_BNU.dtype).T, self.taps_bias.to(seen_BNU.dtype)
        total = torch.addcmul(total, seen_BNU[:, back:], taps_TU[back])
        for far in range(1, back + 1):
            there = seen_BNU[:, back - far : back - far + N].masked_fill((since_BN < far)[..., None], 0.0)
            total = torch.addcmul(total, there, taps_TU[back - far])
        return functional.silu(total)

    def parted(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs of the heads [...,H,P], and B and C [...,G,S]."""
        x, b, c = split(u, [self.inner, self.groups * self.state, self.groups * self.state], dim=-1)
        pairs = (x, self.heads), (b, self.groups), (c, self.groups)
        x, b, c = (unflatten(each, -1, (parts, -1)) for each, parts in pairs)
        return x, b, c

    def times(self, step: Tensor) -> tuple[Tensor, Tensor]:
        """Time steps and logarithms of decay, in at least 32 bits: bfloat16 knows no decay between 0.996 and 1."""
        exact = torch.promote_types(step.dtype, torch.float32)
        step = functional.softplus(step.to(exact) + self.step_bias.to(exact))
        return step, -step * self.rate_log.to(exact).exp()

    def begin(self, rows: int) -> Memory:
        """The state of so many rows before their first piece."""
        recent = self.taps.new_zeros(rows, self.taps.shape[1] - 1, len(self.taps))
        exact = torch.promote_types(self.taps.dtype, torch.float32)
        state = recent.new_zeros(rows, self.heads, self.state * self.inner // self.heads, dtype=exact)
        return Memory(recent, Carried(state, torch.full((rows,), -1, device=state.device)))

    def step(self, x_BM: Tensor, begins_B: Tensor, state: Memory) -> tuple[Tensor, Memory]:
        """The next piece of every row: [B,M], and the state after it."""
        gate_BI, u_BU, step_BH = self.parts(x_BM)
        recent_BTU = state.recent.masked_fill(begins_B[:, None, None], 0.0)
        seen_BTU = torch.cat([recent_BTU, u_BU[:, None]], dim=1)
        x_BHP, b_BGS, c_BGS = self.parted(functional.silu((seen_BTU * self.taps.T).sum(1) + self.taps_bias))
        step_BH, decay_BH = self.times(step_BH)
        b_BHS, c_BHS = (each.repeat_interleave(self.heads // self.groups, dim=1) for each in (b_BGS, c_BGS))
        written_BHSP = b_BHS[..., None] * (x_BHP * step_BH[..., None])[:, :, None]
        kept_BHF = state.carried.state.masked_fill(begins_B[:, None, None], 0.0)
        state_BHF = kept_BHF * decay_BH.exp()[..., None] + written_BHSP.flatten(2)
        read_BHP = (c_BHS[..., None] * state_BHF.view_as(written_BHSP)).sum(2)
        y_BHP = read_BHP.to(x_BHP.dtype) + x_BHP * self.skip[:, None]
        return self.said(y_BHP.flatten(1), gate_BI), Memory(seen_BTU[:, 1:], Carried(state_BHF, state.carried.run))


def _mamba_ssm() -> Any:
    """The scan of the package mamba-ssm. Errors: ValueError where it is not installed."""
    try:
        from mamba_ssm.ops.triton.ssd_combined import mamba_chunk_scan_combined  # type: ignore[import-not-found]
    except ImportError as error:
        raise ValueError(
            'state_space.kernel is "mamba-ssm", which is not installed here; `pip install mamba-ssm` on a machine with '
            'CUDA, or set kernel = "torch"'
        ) from error
    return mamba_chunk_scan_combined


def state_space_slow(layer: StateSpace, x_BNM: Tensor, context: Context) -> Tensor:
    """The slow twin: sequence after sequence, piece after piece, head after head."""
    x_BNM = x_BNM.masked_fill(~context.valid()[:, :, None], 0.0)
    rows = []
    for x_NM, start_N in zip(x_BNM, context.sequence_start().tolist(), strict=True):
        begins = [n for n, start in enumerate(start_N) if start == n]
        for begin, end in zip(begins, [*begins[1:], len(start_N)], strict=True):
            gate, u, step = layer.parts(x_NM[begin:end])
            y = _read_slow(layer, list(u), list(step))
            if not context.causal:
                back = _read_slow(layer, list(u)[::-1], list(step)[::-1])
                y = [one + other for one, other in zip(y, back[::-1], strict=True)]
            rows.append(layer.said(torch.stack(y), gate))
    return torch.cat(rows).view(x_BNM.shape)


def _read_slow(layer: StateSpace, u: list[Tensor], step: list[Tensor]) -> list[Tensor]:
    """One scan of one sequence."""
    state, said = [torch.zeros((), dtype=u[0].dtype)] * layer.heads, []
    for n in range(len(u)):
        taps = [u[n - back] * layer.taps[:, -1 - back] for back in range(min(n + 1, layer.taps.shape[1]))]
        x, b, c = layer.parted(functional.silu(torch.stack(taps).sum(0) + layer.taps_bias))
        heads = []
        for head in range(layer.heads):
            group = head // (layer.heads // layer.groups)
            time = functional.softplus(step[n][head] + layer.step_bias[head])
            fade = torch.exp(-time * torch.exp(layer.rate_log[head]))
            state[head] = fade * state[head] + time * torch.outer(b[group], x[head])
            heads.append(c[group] @ state[head] + layer.skip[head] * x[head])
        said.append(torch.cat(heads))
    return said
