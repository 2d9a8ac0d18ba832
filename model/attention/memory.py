"""Attention within segments, and a memory of what came before: constant memory, however long the text.

A query sees the pieces of its own segment up to itself, and of the finished segments what is remembered:

linear   two sums over all keys, sigma(k) v and sigma(k), by the delta rule; what a query reads off them is mixed with
         what it sees by a learned gate a head (Infini-attention, Munkhdalai et al. 2024, equations 3 to 6)
kept     so many keys with their values: whenever a segment ends, those stay whose hash (Charikar 2002) agrees most
         with the hashes of the segment's queries, the later of equals (HashEvict, Liu et al. 2024, segment by segment)
pooled   the latest of the means of so many neighbouring keys, and values, under learned weights
         (Compressive Transformer, Rae et al. 2020)

Keys of the last two stand beside the segment's own in one softmax. What is remembered bears no place, as in
Infini-attention: rotary positions and ALiBi count within a segment alone, so that nothing grows with the text, and a
memory is at 131,072 pieces what it was at 4,096. What is remembered was chosen by finished segments, so nothing leaks.

`model.attention.memory_slow` is the meaning, piece by piece. Letters: B rows, N pieces of a row, Q sequences, S pieces
of a segment, H heads, G heads of keys and values, E = H / G, D width of a head, M width of the model, F keys that are
remembered.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from model.attention.heads import Heads, computed_in
from model.attention.rotary import Turn, rotate, turn_of
from model.attention.segments import Segments, segments_of
from model.context import Context
from model.dropout import hashed

if TYPE_CHECKING:
    from model.config import ModelConfig


class Memory(NamedTuple):
    """What Q sequences remember of their finished segments, of which there is one at least. Empty: kinds not in use."""

    sums_QGDD: Tensor
    """Of keys (rows) with values, at least in 32 bits."""
    mass_QGD: Tensor
    """Of keys."""
    keys_QGFD: Tensor
    """Those that are kept."""
    values_QGFD: Tensor
    place_QGF: Tensor
    """int64: places in the sequence of what is kept."""
    pooled_keys_QGFD: Tensor
    pooled_values_QGFD: Tensor


class Segment(NamedTuple):
    """Queries, keys and values of a segment, without places."""

    q_QHSD: Tensor
    k_QGSD: Tensor
    v_QGSD: Tensor


class MemoryAttention(Heads):
    """A layer that reads segment by segment."""

    def __init__(self, config: "ModelConfig", layer: int = 0) -> None:
        super().__init__(config)
        self.settings = config.memory
        self.look = f"segments of {self.settings.segment}"
        kinds = self.settings.kinds
        self.gate = nn.Parameter(torch.zeros(config.heads)) if "linear" in kinds else None
        shape = self.key_heads, self.settings.pool
        self.pooling = nn.Parameter(torch.zeros(shape)) if "pooled" in kinds else None
        """Logits of the weights in a mean; 0 at first: all alike."""

    def prepare(self, context: Context) -> Context:
        """The context with its segments. Errors: ValueError if it is to be read from both ends."""
        if not context.causal:
            raise ValueError("memory reads from left to right; for objectives that see ahead name another mechanism")
        if self.look in context.plans:
            return context
        return context._replace(plans={**context.plans, self.look: segments_of(context, self.settings.segment)})

    def forward(self, x_BNM: Tensor, context: Context) -> Tensor:
        plan: Segments = self.prepare(context).plans[self.look]
        flat = x_BNM.flatten(0, 1)
        mixed = self.recorded(flat, plan) if torch.is_grad_enabled() else self.read_on(flat, plan)
        return mixed.view(x_BNM.shape)

    def read_on(self, flat: Tensor, plan: Segments) -> Tensor:
        """[B*N,M]: segment by segment into one tensor; memory beside it and the input does not grow with N."""
        room, memory = flat.new_zeros(plan.room + 1, flat.shape[1]), None  # what fills a segment up goes into the last
        for wave in range(plan.waves()):
            places, into = plan.places(wave)
            out, memory = self.segment(flat[places], memory, plan.sequences(wave + 1), wave)
            room[into] = out.to(room.dtype)
        return room[:-1]

    def recorded(self, flat: Tensor, plan: Segments) -> Tensor:
        """[B*N,M], for a backward pass, which finds the memory at each segment's beginning, and computes the rest."""
        if not plan.waves():
            return torch.zeros_like(flat) + self.nothing()
        # One gather and one scatter for all waves: of each of its own, going back would take O(N) a segment.
        places = [plan.places(wave) for wave in range(plan.waves())]
        all_ = flat.index_select(0, torch.cat([of.flatten() for of, _ in places]))
        tiles = torch.split(all_, [of.numel() for of, _ in places])
        outs, memory = list[Tensor](), None
        again = self.settings.checkpoint and len(places) > 1
        for wave, (tile, (of, _)) in enumerate(zip(tiles, places, strict=True)):
            given = tile.view(*of.shape, -1), memory, plan.sequences(wave + 1), wave
            if again:
                out, memory = checkpoint(self.segment, *given, use_reentrant=False, preserve_rng_state=False)
            else:
                out, memory = self.segment(*given)
            outs.append(out.flatten(0, 1))
        into = torch.cat([into.flatten() for _, into in places])
        where = torch.full((plan.room + 1,), len(into), device=flat.device)
        where[into] = torch.arange(len(into), device=flat.device)
        # Padding reads the one row of zeros behind all that was computed.
        outs.append(outs[0].new_zeros(1, flat.shape[1]))
        return torch.cat(outs).index_select(0, where[:-1]) + self.nothing()

    def nothing(self) -> Tensor:
        """0, made of the memory's weights: rows of one segment use none, and whoever shares out gradients wants all."""
        weights = [weight for weight in (self.gate, self.pooling) if weight is not None]
        return sum((0.0 * weight.sum() for weight in weights), torch.zeros((), device=self.qkv.weight.device))

    def segment(self, x_QSM: Tensor, memory: Memory | None, going: int, number: int) -> tuple[Tensor, Memory | None]:
        """What the number-th segments of Q sequences become, [Q,S,M], and what the first `going` of them, which have
        another to come, remember then. memory: None before any segment is finished."""
        S = x_QSM.shape[1]
        segment = Segment(*self.heads(x_QSM, None))
        place = torch.arange(S, device=x_QSM.device)
        turn = self.turn(x_QSM.device)
        turn = turn and Turn(turn.cos[:S], turn.sin[:S])
        mixed_QHSD = self.read(segment, turned(segment.k_QGSD, turn), turn, self.bias(place[:, None], place), memory)
        out_QSM: Tensor = self.out(mixed_QHSD.transpose(1, 2).flatten(2))
        if not going:
            return out_QSM, None
        first = Segment(*(part[:going] for part in segment))
        before = memory and Memory(*(part[:going] for part in memory))
        return out_QSM, self.remember(before, first.k_QGSD, first.v_QGSD, self.votes(first.q_QHSD), number)

    def turn(self, device: torch.device) -> Turn | None:
        """Angles of the places of a segment."""
        if self.positions != "rotary":
            return None
        return turn_of(self.settings.segment, self.width, device, computed_in(self.qkv.weight))

    def bias(self, query: Tensor, key: Tensor) -> Tensor:
        """[…,H or 1,queries,keys] of places in a segment, which broadcast: -inf for later keys, with ALiBi less the
        further off."""
        back = (query - key)[..., None, :, :]
        bias = torch.zeros((), dtype=self.qkv.weight.dtype, device=back.device).masked_fill(back < 0, float("-inf"))
        if not self.slopes:
            return bias
        return bias - torch.tensor(self.slopes, device=back.device, dtype=bias.dtype)[:, None, None] * back

    def read(
        self,
        segment: Segment,
        turned_QGSD: Tensor,
        turn: Turn | None,
        bias: Tensor,
        memory: Memory | None,
        seen_QF: Tensor | None = None,
        some_Q: Tensor | None = None,
    ) -> Tensor:
        """[Q,H,queries,D]: what queries take from the keys of their segment and from what is remembered.

        turned_QGSD: the segment's keys with their places. seen_QF: bool, of keys that are remembered, kept ones first;
        None: all. some_Q: bool, which sequences remember anything; None: all, where there is a memory.
        """
        q, v, near = segment.q_QHSD, segment.v_QGSD, turned_QGSD
        scale, G = self.width**-0.5, near.shape[1]
        score = _grouped(turned(q, turn), G) @ near.transpose(-1, -2)[:, :, None] * scale
        score = (score.flatten(1, 2) + bias.to(score.dtype)).unflatten(1, (G, -1))
        if memory is None:
            near_only: Tensor = score.softmax(-1).to(v.dtype) @ v[:, :, None]
            return near_only.flatten(1, 2)
        far = torch.cat([memory.keys_QGFD, memory.pooled_keys_QGFD], dim=2)
        far_score = _grouped(q, G) @ far.transpose(-1, -2)[:, :, None] * scale
        if seen_QF is not None:
            far_score = far_score.masked_fill(~seen_QF[:, None, None, None], float("-inf"))
        weight = torch.cat([far_score, score], dim=-1).softmax(-1).to(v.dtype)
        values = torch.cat([memory.values_QGFD, memory.pooled_values_QGFD, v], dim=2)
        mixed = (weight @ values[:, :, None]).flatten(1, 2)
        if self.gate is None:
            return mixed
        gate = self.gate.sigmoid()[:, None, None].to(mixed.dtype)
        both = gate * _recalled(q, memory).to(mixed.dtype) + (1 - gate) * mixed
        return both if some_Q is None else torch.where(some_Q[:, None, None, None], both, mixed)

    def votes(self, q_QHSD: Tensor) -> Tensor:
        """[Q,G,bits]: of the hashes of queries, for each bit how many have it set less how many do not."""
        if "kept" not in self.settings.kinds:
            return q_QHSD.new_zeros(q_QHSD.shape[0], self.key_heads, 0)
        grouped = codes(_grouped(q_QHSD, self.key_heads), self.settings.bits)
        return grouped.sum((2, 3))

    def remember(self, memory: Memory | None, k_QGSD: Tensor, v_QGSD: Tensor, votes_QGb: Tensor, number: int) -> Memory:
        """The memory after the number-th segment, which is whole."""
        Q, G, S, D = k_QGSD.shape
        none = k_QGSD.new_zeros(Q, G, 0, D)
        if memory is None:
            exact = torch.promote_types(k_QGSD.dtype, torch.float32)
            sums = torch.zeros(Q, G, D, D, dtype=exact, device=k_QGSD.device)
            places = torch.zeros(Q, G, 0, dtype=torch.int64, device=k_QGSD.device)
            memory = Memory(sums, sums[..., 0], none, none, places, none, none)
        kept = memory[2:5]
        if "kept" in self.settings.kinds:
            place = (number * S + torch.arange(S, device=k_QGSD.device)).expand(Q, G, S)
            kept = self.kept(memory, k_QGSD, v_QGSD, place, votes_QGb)
        linear = (
            _added(memory, k_QGSD, v_QGSD, self.settings.delta, number > 0) if self.gate is not None else memory[:2]
        )
        pooled = memory[5:]
        if self.pooling is not None:
            pooled = (self.pooled(pooled[0], k_QGSD), self.pooled(pooled[1], v_QGSD))
        return Memory(*linear, *kept, *pooled)

    def pooled(self, before_QGFD: Tensor, x_QGSD: Tensor) -> Tensor:
        """The latest of the means before and those of a segment's keys, or values."""
        assert self.pooling is not None
        Q, G, _, D = x_QGSD.shape
        weight = self.pooling.softmax(-1)[:, None, :, None].to(x_QGSD.dtype)
        mean_QGFD = (x_QGSD.reshape(Q, G, -1, self.settings.pool, D) * weight).sum(3)
        return torch.cat([before_QGFD, mean_QGFD], dim=2)[:, :, -self.settings.summaries :]

    def kept(
        self, memory: Memory, k_QGSD: Tensor, v_QGSD: Tensor, place_QGS: Tensor, votes_QGb: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Keys, values and places that stay, in the order of their places."""
        keys, values, place = (
            torch.cat(pair, dim=2) for pair in zip(memory[2:5], (k_QGSD, v_QGSD, place_QGS), strict=True)
        )
        if keys.shape[2] > self.settings.slots:
            agreed = (codes(keys, self.settings.bits) * votes_QGb[:, :, None]).sum(-1)  # whole numbers, no matter how
            chosen = ((agreed.long() << 40) + place).topk(self.settings.slots, dim=-1).indices.sort(-1).values
            index = chosen[..., None].expand(-1, -1, -1, keys.shape[3])
            keys, values, place = keys.gather(2, index), values.gather(2, index), place.gather(2, chosen)
        return keys, values, place

    def begin(self, rows: int) -> "State":
        """The state of so many rows before their first piece. `step` writes to it: keep no state of before."""
        G, D, settings, weight = self.key_heads, self.width, self.settings, self.qkv.weight
        on, exact = weight.device, torch.promote_types(weight.dtype, torch.float32)

        def room(*shape: int, dtype: torch.dtype = weight.dtype) -> Tensor:
            return torch.zeros(rows, G, *shape, dtype=dtype, device=on)

        slots = settings.slots if "kept" in settings.kinds else 0
        summaries = settings.summaries if self.pooling is not None else 0
        linear = D if self.gate is not None else 0
        memory = Memory(
            room(linear, linear, dtype=exact), room(linear, dtype=exact),
            room(slots, D), room(slots, D), room(slots, dtype=torch.int64), room(summaries, D), room(summaries, D),
        )  # fmt: skip
        count = torch.zeros(rows, dtype=torch.int64, device=on)
        keys, turned_keys, values = (room(settings.segment, D) for _ in range(3))
        votes = room(settings.bits if slots else 0, dtype=torch.float32)
        return State(keys, turned_keys, values, votes, count, count.clone(), memory)

    @torch.no_grad()
    def step(self, x_BM: Tensor, begins_B: Tensor, state: "State") -> tuple[Tensor, "State"]:
        """([B,M], the state after it), without gradients."""
        settings = self.settings
        state.at.masked_fill_(begins_B, 0)
        state.done.masked_fill_(begins_B, 0)
        state.votes.masked_fill_(begins_B[:, None, None], 0)
        segment = Segment(*self.heads(x_BM[:, None], None))
        turn, row = self.turn(x_BM.device), torch.arange(len(x_BM), device=x_BM.device)
        here = turn and Turn(*(each[state.at][:, None, None] for each in turn))
        for kept, new in zip((state.keys, state.turned, state.values),
                             (segment.k_QGSD, turned(segment.k_QGSD, here), segment.v_QGSD), strict=True):  # fmt: skip
            kept[row, :, state.at] = new[:, :, 0].to(kept.dtype)
        state.votes += self.votes(segment.q_QHSD).to(state.votes.dtype)
        place = torch.arange(settings.segment, device=x_BM.device)
        bias = self.bias(state.at[:, None, None], place[None])
        slot = torch.arange(state.memory.place_QGF.shape[-1], device=x_BM.device)
        pool = torch.arange(state.memory.pooled_keys_QGFD.shape[-2], device=x_BM.device)
        read = (state.done * settings.segment)[:, None]
        seen_BF = torch.cat([slot < read, pool < read // settings.pool], dim=1)
        near = segment._replace(k_QGSD=state.keys, v_QGSD=state.values)
        mixed = self.read(near, state.turned, here, bias, state.memory, seen_BF, state.done > 0)
        out_BM: Tensor = self.out(mixed.transpose(1, 2).flatten(1))
        state.at += 1
        for ended in (state.at == settings.segment).nonzero().flatten().tolist():
            self._finish(state, ended)
        return out_BM, state

    def _finish(self, state: "State", row: int) -> None:
        """A segment of this row is whole."""
        number, settings = int(state.done[row]), self.settings
        counts = [settings.slots] * 3 + [settings.summaries] * 2
        read = [number * settings.segment] * 3 + [number * settings.segment // settings.pool] * 2
        ours = [part[row : row + 1] for part in state.memory]
        held = [part[:, :, : min(pair)] for part, *pair in zip(ours[2:], counts, read, strict=True)]
        before = Memory(*ours[:2], *held) if number else None
        k, v, votes = (part[row : row + 1] for part in (state.keys, state.values, state.votes))
        for room, found in zip(ours, self.remember(before, k, v, votes, number), strict=True):
            if room.numel():
                room[:, :, : found.shape[2]] = found
        state.at[row], state.votes[row] = 0, 0
        state.done[row] += 1


@dataclass
class State:
    """Of a stream: the segment under way, and the memory with room for all that it may ever hold."""

    keys: Tensor
    """[B,G,S,D]: without places; so `values`."""
    turned: Tensor
    """[B,G,S,D]: keys with places."""
    values: Tensor
    votes: Tensor
    at: Tensor
    """int64 [B]: pieces of the segment so far."""
    done: Tensor
    """int64 [B]: segments finished."""
    memory: Memory

    def bytes(self) -> int:
        """All that is held, the same after any number of pieces."""
        parts = (self.keys, self.turned, self.values, self.votes, self.at, self.done, *self.memory)
        return sum(part.nbytes for part in parts)


def turned(x_QHSD: Tensor, turn: Turn | None) -> Tensor:
    return x_QHSD if turn is None else rotate(x_QHSD, turn)


@torch.no_grad()
def codes(x: Tensor, bits: int) -> Tensor:
    """[…,bits] of 1 and -1: on which side of planes a vector [...,D] lies. Two agree in the more bits, the smaller the
    angle between them (Charikar 2002)."""
    return torch.where(x.detach() @ planes_of(x.shape[-1], bits, x.device, x.dtype) >= 0, 1.0, -1.0)


@lru_cache(maxsize=64)
def planes_of(width: int, bits: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """[D,bits]: normals of 1 and -1, which do what normals drawn from a Gaussian do (Achlioptas 2003). By a hash, so
    that they need not be saved."""
    signs = (hashed(torch.arange(width * bits)) >> 16) & 1
    return (2 * signs - 1).view(width, bits).to(device=device, dtype=dtype)


def _grouped(q_QHSD: Tensor, groups: int) -> Tensor:
    """[Q,G,E,S,D]"""
    Q, _, S, D = q_QHSD.shape
    return q_QHSD.reshape(Q, groups, -1, S, D)


def _positive(x: Tensor) -> Tensor:
    """Infini-attention's sigma, after Katharopoulos et al. 2020."""
    return functional.elu(x) + 1


def _recalled(q_QHSD: Tensor, memory: Memory) -> Tensor:
    """[Q,H,S,D]: what the sums say to queries, or keys."""
    with torch.autocast(q_QHSD.device.type, enabled=False):
        sure = _positive(_grouped(q_QHSD.to(memory.sums_QGDD.dtype), memory.sums_QGDD.shape[1]))
        said = sure @ memory.sums_QGDD[:, :, None]
        mass = sure @ memory.mass_QGD[:, :, None, :, None]
        # A sequence that has finished nothing yet has no mass; what is said to it is not read, but must be a number.
        return (said / torch.where(mass > 0, mass, 1)).flatten(1, 2)


def _added(memory: Memory, k_QGSD: Tensor, v_QGSD: Tensor, delta: bool, some: bool) -> tuple[Tensor, Tensor]:
    """The sums after a segment: all of its keys are looked up in the memory before it. some: whether there is one."""
    with torch.autocast(k_QGSD.device.type, enabled=False):
        exact = memory.sums_QGDD.dtype
        sure, v = _positive(k_QGSD.to(exact)), v_QGSD.to(exact)
        new = v - _recalled(k_QGSD, memory) if delta and some else v
        return memory.sums_QGDD + sure.transpose(-1, -2) @ new, memory.mass_QGD + sure.sum(2)
