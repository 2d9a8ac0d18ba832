"""Attention inside the buckets of a learned hash: a query reads keys that point where it points, wherever they stand.

    p(x) = softmax([R x/|x|, -R x/|x|])     b(x) = the likeliest bucket     R learnt, one a round and group of heads

after Reformer (Kitaev et al. 2020; the hash of Andoni et al. 2015), with queries and keys of their own: what a query
seeks and what a key offers need not be one vector. In each round a query reads the latest K keys of its bucket, in
exact attention, and once the latest pieces before it, whatever their bucket. All that it reads is under one softmax:

    weight of key s ~ (1 if s is near + sum over rounds that found s of p_b(q) p_b(k_s)) * exp(q'k_s / sqrt(D))

so that a key found twice counts twice, and by the probabilities the loss moves R, too. A dissimilar round looks into
the bucket opposite, b(-q), and scores by -q'k; a learned number a head says what it is worth.

The keys of a query are a function of the pieces up to it: the order of a bucket is time, and its latest K are those,
whatever comes after. (A capacity a bucket, or sorted chunks over the whole row, would let later pieces push earlier
ones out.) Keys are hashed as they are, and scored turned by their places. `views` say nothing here. O(N) time and
memory. Letters: B rows, N pieces, M width of the model, H heads, G groups of heads, E heads of a group, D width of a
head, R rounds, U half the buckets, K keys of a round.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn, unflatten
from torch.nn import functional

from model.attention.heads import Heads, computed_in
from model.attention.info import Info
from model.attention.near import Near, with_near
from model.attention.rotary import rotate, turn_at, turn_of
from model.context import Context
from model.kernels.runs import Runs, attend_runs, join, runs_of

if TYPE_CHECKING:
    from model.config import ModelConfig


class Hashed(NamedTuple):
    """Of some vectors, in every round."""

    bucket: Tensor
    """int64"""
    chance: Tensor
    """Logarithm of the probability of that bucket."""


class Stream(NamedTuple):
    """What a stream keeps; its size does not grow."""

    place: int
    """Pieces of the stream so far."""
    pieces: Tensor
    """int64 [B]: pieces of each row's present sequence so far."""
    filled: Tensor
    """int64 [B,G,R,buckets]: keys that each bucket has had of it."""
    near: Tensor
    """[2,B,G,local,D]: keys and values of the latest pieces."""
    found: Tensor
    """[2,B,G,R,buckets,K,D]: keys and values of the latest of each bucket."""
    chance: Tensor
    """[B,G,R,buckets,K]: logarithms of their probabilities."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loads(Info):
    """How full buckets are, and what they give."""

    keys: Tensor
    """int64 [R,G,buckets]: keys in each; in a round they add up to the pieces."""
    queries: Tensor
    """int64 [R,H,buckets]: queries that look into each."""
    read: Tensor
    """[R,H]: keys that a query reads there, on average."""
    evenness: Tensor
    """[R,G]: entropy of the keys' buckets over its largest value; 1 where all are equally full."""


class HashAttention(Heads):
    """A layer of it."""

    def __init__(self, config: "ModelConfig", layer: int = 0) -> None:
        super().__init__(config)
        if self.slopes:
            raise ValueError("hash finds keys at any distance and knows no ALiBi; set positions to rotary or learned")
        said = config.hash
        self.rounds, self.dissimilar, self.buckets = said.rounds + said.dissimilar, said.dissimilar, said.buckets
        self.keys, self.local, self.balance = said.keys, said.local, said.balance
        self.rotations = nn.Parameter(torch.randn(self.key_heads, self.rounds, self.width, self.buckets // 2))
        self.unlike = nn.Parameter(torch.zeros(config.heads)) if self.dissimilar else None
        self.last: tuple[Tensor, ...] = ()
        """Of the last forward pass in training, for `auxiliary`."""

    def prepare(self, context: Context) -> Context:
        """The context with the near keys of each query."""
        return self.near(context)[0]

    def near(self, context: Context) -> tuple[Context, Near]:
        return with_near(context, self.local, self.key_heads, self.query_heads // self.key_heads)

    def forward(self, x_BNM: Tensor, context: Context) -> Tensor:
        context, near = self.near(context)
        q_BHND, k_BGND, v_BGND, asked, offered = self.inputs_hashed(x_BNM, context)
        (B, H, N, D), G = q_BHND.shape, self.key_heads
        q, k, v = q_BHND.reshape(B * G, -1, D), k_BGND.flatten(0, 1), v_BGND.flatten(0, 1)
        parts = [attend_runs(q, k, v, None, near.runs)]
        for number in range(self.rounds):
            order_LN, runs = self.runs(offered.bucket[:, :, number], asked.bucket[:, :, :, number], near.start, context)
            listed = (order_LN + torch.arange(B * G, device=q.device)[:, None] * N).flatten()
            k_in_order, v_in_order = (x.flatten(0, 1).index_select(0, listed).view_as(x) for x in (k, v))
            chance_LN = offered.chance[:, :, number].reshape(-1).index_select(0, listed).view(B * G, N)
            opposite = number >= self.rounds - self.dissimilar
            mixed, total = attend_runs(-q if opposite else q, k_in_order, v_in_order, chance_LN, runs)
            asked_BGEN = asked.chance[:, :, :, number]
            if opposite and self.unlike is not None:
                asked_BGEN = asked_BGEN + self.unlike.view(G, -1, 1).to(asked_BGEN.dtype)
            parts.append((mixed, total + asked_BGEN.reshape(B * G, -1)))
        mixed_BNM = join(parts).view(B, H, N, D).transpose(1, 2).reshape(x_BNM.shape)
        out_BNM: Tensor = self.out(mixed_BNM.to(v_BGND.dtype))
        return out_BNM

    def inputs_hashed(self, x_BNM: Tensor, context: Context) -> tuple[Tensor, Tensor, Tensor, Hashed, Hashed]:
        """Queries, keys (turned), values, and the hashes of queries [B,G,E,R,N] and keys [B,G,R,N] (not turned)."""
        # Zeros, not a mask alone: a weight of 0 times a NaN is NaN, and would carry it out of the padding.
        x_BNM = x_BNM.masked_fill(~context.valid()[:, :, None], 0.0)
        q_BHND, k_BGND, v_BGND = self.heads(x_BNM, None)
        toward_q, toward_k, asked, offered = self.hashes(q_BHND, k_BGND)
        self.last = (toward_q, toward_k, context.valid()) if self.training and torch.is_grad_enabled() else ()
        if self.positions == "rotary":
            turn = turn_of(x_BNM.shape[1], self.width, x_BNM.device, computed_in(self.qkv.weight))
            q_BHND, k_BGND = rotate(q_BHND, turn), rotate(k_BGND, turn)
        return q_BHND, k_BGND, v_BGND, asked, offered

    def hashes(self, q_BHND: Tensor, k_BGND: Tensor) -> tuple[Tensor, Tensor, Hashed, Hashed]:
        """Where queries and keys point, [B,G,E,R,N,U] each, with E = 1 for keys, and their hashes."""
        toward_q = self.toward(unflatten(q_BHND, 1, (self.key_heads, -1)))
        toward_k = self.toward(k_BGND[:, :, None])
        asked, offered = self.hashed(toward_q), self.hashed(toward_k)
        if self.dissimilar:
            away = torch.arange(self.rounds, device=q_BHND.device) >= self.rounds - self.dissimilar
            turned = torch.where(away[:, None], self.buckets // 2, 0)
            # The likeliest bucket of -q is the one opposite, as likely as q's own is for q.
            asked = asked._replace(bucket=(asked.bucket + turned) % self.buckets)
        return toward_q, toward_k, asked, Hashed(*(each[:, :, 0] for each in offered))

    def toward(self, x_BGEND: Tensor) -> Tensor:
        """[B,G,E,R,N,U], in at least 32 bits: how far each vector points toward half of the buckets; away from them
        lies the other half."""
        exact = torch.promote_types(x_BGEND.dtype, torch.float32)
        unit_BGEND = functional.normalize(x_BGEND.to(exact), dim=-1, eps=1e-6)
        with torch.autocast(x_BGEND.device.type, enabled=False):
            return unit_BGEND[:, :, :, None] @ self.rotations.to(exact)[:, None]

    def hashed(self, toward: Tensor) -> Hashed:
        """The likeliest bucket of 2*U, those opposite counted after the others."""
        size = toward.abs()
        high, at = size.max(dim=-1)
        negative = toward.gather(-1, at[..., None]).squeeze(-1) < 0
        # log softmax of [toward, -toward] at its largest entry, `high`
        rest = (torch.exp(size - high[..., None]) + torch.exp(-size - high[..., None])).sum(-1).log()
        return Hashed(at + negative * (self.buckets // 2), -rest)

    def runs(self, key_BGN: Tensor, query_BGEN: Tensor, start_BN: Tensor, context: Context) -> tuple[Tensor, Runs]:
        """The keys of one round in order of sequence, bucket and place, as places [B*G,N]; and what queries read."""
        B, G, E, N = query_BGEN.shape
        place_N = torch.arange(N, device=start_BN.device)
        # A bucket of a sequence is a number, of a piece in it too: all fit into 64 bits up to 2**28 pieces.
        bucket_LN = (start_BN[:, None] * self.buckets + key_BGN).view(B * G, N)
        seeks_LQ = (start_BN[:, None, None] * self.buckets + query_BGEN).view(B * G, E * N)
        number_LN, order_LN = (bucket_LN * N + place_N).sort(dim=1)
        until_LQ = seeks_LQ * N + place_N.repeat(E)
        rank_LQ = torch.searchsorted(number_LN, until_LQ, right=True)  # keys of its bucket up to it lie before
        low_LQ = torch.maximum(torch.searchsorted(number_LN, seeks_LQ * N), rank_LQ - self.keys)
        high_LQ = rank_LQ
        if not context.causal:
            high_LQ = torch.minimum(torch.searchsorted(number_LN, (seeks_LQ + 1) * N), rank_LQ + self.keys)
        return order_LN, runs_of(rank_LQ, low_LQ, high_LQ, keys=N, block=self.keys, both=not context.causal)

    def begin(self, rows: int) -> Stream:
        """The state of so many rows before their first piece."""
        G, R, D, weight = self.key_heads, self.rounds, self.width, self.qkv.weight
        found = rows, G, R, self.buckets, self.keys
        return Stream(
            place=0,
            pieces=torch.zeros(rows, dtype=torch.int64, device=weight.device),
            filled=torch.zeros(found[:-1], dtype=torch.int64, device=weight.device),
            near=weight.new_zeros(2, rows, G, self.local, D),
            found=weight.new_zeros(2, *found, D),
            chance=weight.new_zeros(found, dtype=torch.promote_types(weight.dtype, torch.float32)),
        )

    def step(self, x_BM: Tensor, begins_B: Tensor, state: Stream) -> tuple[Tensor, Stream]:
        """The next piece of every row: [B,M], and the state after it, whose large parts are changed in place."""
        q, k, v = self.heads(x_BM[:, None], None)
        _, _, asked, offered = self.hashes(q, k)
        if self.positions == "rotary":
            turn = turn_at(torch.tensor([state.place], device=x_BM.device), self.width, computed_in(self.qkv.weight))
            q, k = rotate(q, turn), rotate(k, turn)
        row_B, group_G, round_R = (torch.arange(n, device=x_BM.device) for n in state.filled.shape[:3])
        cell = row_B[:, None, None], group_G[:, None], round_R
        # In rings: what a new piece overwrites has had as many after it as a query may read.
        pieces_B = state.pieces.masked_fill(begins_B, 0)
        filled = state.filled.masked_fill(begins_B[:, None, None, None], 0)
        bucket_BGR, chance_BGR = (each[..., 0] for each in offered)
        at_BGR = filled[(*cell, bucket_BGR)] % self.keys
        for which, new in enumerate((k.detach(), v.detach())):  # a stream is read, not trained
            state.near[which][row_B, :, pieces_B % self.local] = new[:, :, 0].to(state.near.dtype)
            state.found[which][(*cell, bucket_BGR, at_BGR)] = new.to(state.found.dtype)
        state.chance[(*cell, bucket_BGR, at_BGR)] = chance_BGR.detach()
        filled[(*cell, bucket_BGR)] += 1

        asked_BGER, worth_BGER = (each[..., 0] for each in asked)
        sign_R = torch.where(round_R < self.rounds - self.dissimilar, 1.0, -1.0).to(q.dtype)
        if self.unlike is not None:
            worth_BGER = worth_BGER + unflatten(self.unlike, 0, (self.key_heads, -1))[..., None] * (sign_R < 0)
        seeks = row_B[:, None, None, None], group_G[:, None, None], round_R, asked_BGER
        near_k, near_v = state.near[0], state.near[1]
        found_k, found_v = state.found[0][seeks], state.found[1][seeks]  # [B,G,E,R,K,D]
        q_BGED = unflatten(q[:, :, 0], 1, (self.key_heads, -1)) * self.width**-0.5
        near = torch.einsum("bged,bgwd->bgew", q_BGED, near_k)
        there = torch.arange(self.local, device=x_BM.device) <= pieces_B[:, None]
        near = near.masked_fill(~there[:, None, None], float("-inf"))
        found = torch.einsum("bged,bgerkd->bgerk", q_BGED, found_k) * sign_R[:, None]
        found = found + state.chance[seeks] + worth_BGER[..., None]
        there = torch.arange(self.keys, device=x_BM.device) < filled[seeks][..., None]
        found = found.masked_fill(~there, float("-inf"))
        weights = torch.cat([near, found.flatten(3)], dim=-1).softmax(-1).to(near_v.dtype)
        mixed = torch.einsum("bgew,bgwd->bged", weights[..., : self.local], near_v)
        mixed = mixed + torch.einsum("bgex,bgexd->bged", weights[..., self.local :], found_v.flatten(3, 4))
        after = state._replace(place=state.place + 1, pieces=pieces_B + 1, filled=filled)
        return self.out(mixed.flatten(1).to(v.dtype)), after

    def auxiliary(self) -> Tensor:
        """The balance loss of the last forward pass in training, times its weight; 0 where there was none.

        buckets * sum over buckets of (part of the vectors in it) * (mean probability of it), of keys and of queries,
        averaged over rounds and heads: 1 where buckets are filled evenly, more where they are not.
        """
        if not self.last or not self.balance:
            return self.rotations.new_zeros(())
        toward_q, toward_k, valid_BN = self.last
        pieces = valid_BN.sum().clamp(min=1)
        total = [self.unevenness(toward, valid_BN, pieces) for toward in (toward_q, toward_k)]
        return self.balance * (total[0] + total[1]) / 2

    def unevenness(self, toward: Tensor, valid_BN: Tensor, pieces: Tensor) -> Tensor:
        """toward: [B,G,E,R,N,U]."""
        real = valid_BN[:, None, None, None, :, None]
        chance = torch.cat([toward, -toward], dim=-1).softmax(-1) * real
        counted = functional.one_hot(self.hashed(toward).bucket, self.buckets) * real
        mean, part = chance.sum((0, 4)) / pieces, counted.sum((0, 4)) / pieces  # [G,E,R,buckets]
        return self.buckets * (mean * part).sum(-1).mean()

    def info(self, x_BNM: Tensor, context: Context) -> Loads:
        """How full this layer's buckets are in a batch; padding is not counted."""
        with torch.no_grad():
            *_, asked, offered = self.inputs_hashed(x_BNM, context)
            valid, start_BN = context.valid(), self.near(context)[1].start
            read = []
            for number in range(self.rounds):
                keys, queries = offered.bucket[:, :, number], asked.bucket[:, :, :, number]
                _, runs = self.runs(keys, queries, start_BN, context)
                found = functional.pad((runs.high - runs.low).flatten(), (0, 1))[runs.slot].view_as(queries)
                read.append((found * valid[:, None, None]).sum((0, 3)).flatten() / valid.sum())
            counts = []
            for bucket_BXRN in (offered.bucket, asked.bucket.flatten(1, 2)):
                counted = functional.one_hot(bucket_BXRN, self.buckets) * valid[:, None, None, :, None]
                counts.append(counted.sum((0, 3)).transpose(0, 1))
        part = counts[0] / counts[0].sum(-1, keepdim=True).clamp(min=1)
        evenness = torch.special.entr(part).sum(-1) / torch.tensor(float(self.buckets)).log()
        names = ("hash",) * self.query_heads
        return Loads(views=names, keys=counts[0], queries=counts[1], read=torch.stack(read), evenness=evenness)


def hash_slow(layer: HashAttention, x_BNM: Tensor, context: Context) -> Tensor:
    """The slow twin: one query of one head at a time."""
    x_BNM = x_BNM.masked_fill(~context.valid()[:, :, None], 0.0)
    plain_q, plain_k, v = layer.heads(x_BNM, None)
    q, k, start = plain_q, plain_k, context.sequence_start()
    if layer.positions == "rotary":
        turn = turn_of(x_BNM.shape[1], layer.width, x_BNM.device, x_BNM.dtype)
        q, k = rotate(q, turn), rotate(k, turn)
    (B, H, N, D), rows = q.shape, []

    def chances(x_D: Tensor, group: int, number: int) -> Tensor:
        toward = functional.normalize(x_D, dim=0, eps=1e-6) @ layer.rotations[group, number]
        return torch.cat([toward, -toward]).log_softmax(0)

    for row in range(B):
        for head in range(H):
            group = head // (H // layer.key_heads)
            offers = [[chances(plain_k[row, group, s], group, r) for s in range(N)] for r in range(layer.rounds)]
            offered = [[int(each.argmax()) for each in of_round] for of_round in offers]
            for t in range(N):
                own = [s for s in range(N) if start[row, s] == start[row, t]]
                before, after = [s for s in own if s <= t], [s for s in own if s > t and not context.causal]
                near = before[-layer.local :] + after[: layer.local - 1]
                scores = [q[row, head, t].dot(k[row, group, s]) / D**0.5 for s in near]
                seen = list(near)
                for number in range(layer.rounds):
                    unlike = number >= layer.rounds - layer.dissimilar
                    sign, worth = (-1, layer.unlike[head]) if unlike and layer.unlike is not None else (1, 0)
                    asks = chances(sign * plain_q[row, head, t], group, number)
                    bucket = int(asks.argmax())
                    found = [s for s in before if offered[number][s] == bucket][-layer.keys :]
                    found += [s for s in after if offered[number][s] == bucket][: layer.keys]
                    for s in found:
                        score = sign * q[row, head, t].dot(k[row, group, s]) / D**0.5
                        scores.append(score + asks[bucket] + offers[number][s][bucket] + worth)
                    seen += found
                weights = torch.stack(scores).softmax(0)
                rows.append(weights @ torch.stack([v[row, group, s] for s in seen]))
    mixed_BHND = torch.stack(rows).view(B, H, N, D)
    out_BNM: Tensor = layer.out(mixed_BHND.transpose(1, 2).reshape(x_BNM.shape))
    # A gradient for all weights, of 0 for those that no pair has asked for.
    return out_BNM + 0 * sum(weight.sum() for weight in (layer.rotations, layer.unlike) if weight is not None)
