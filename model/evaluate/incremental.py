"""A model's logits piece by piece: each piece is computed once, from what was known when it was read.

`KeyValueCache` keeps every layer's keys and values; `WholePrefix`, its slow twin, runs the model anew over all pieces
so far. Letters: H heads, N pieces so far, D width of a head, M width of the model, V distinct views.
"""

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from model.attention.rotary import Turn, turn_of
from model.attention.views import ViewsAttention, attend
from model.evaluate.past import ROOM, Past
from model.transformer import Decoder


class Incremental(Protocol):
    """What says the logits of the piece after the last one read."""

    def logits(self, past: Past, seen_VN: Tensor) -> Tensor:
        """[vocabulary]. past: all that is known. seen_VN: bool, the keys that its last piece may read under each of
        the model's distinct views. To be called once a piece."""
        ...


def incremental(model: Decoder, whole_prefix: bool = False) -> Incremental:
    """For one document. A mechanism that keeps no keys and values, and what pairs are weighed by beside their views, is
    run over the whole prefix."""
    cached = all(isinstance(layer.attention, ViewsAttention) and not layer.attention.terms for layer in model.layers)
    cached = cached and not model.config.reads_facts()
    return KeyValueCache(model) if cached and not whole_prefix else WholePrefix(model)


class WholePrefix:
    """The slow twin: O(N) times the work."""

    def __init__(self, model: Decoder) -> None:
        self.model = model

    @torch.no_grad()
    def logits(self, past: Past, _seen_VN: Tensor) -> Tensor:
        ids = torch.tensor(past.columns()["pieces"].tolist())[None]
        logits: Tensor = self.model(ids, past.context())[0, -1]
        return logits


class KeyValueCache:
    """Keys and values of the pieces so far. O(N) time a piece."""

    def __init__(self, model: Decoder) -> None:
        self.model, self.views = model, list(model.config.distinct_views())
        self.layers = [_Kept() for _ in model.layers]

    @torch.no_grad()
    def logits(self, past: Past, seen_VN: Tensor) -> Tensor:
        model, columns, t = self.model, past.columns(), past.pieces - 1
        x_BNM = model.embedding(torch.tensor([[int(columns["pieces"][t])]]))
        if model.place_embedding is not None:
            x_BNM = x_BNM + model.place_embedding(torch.tensor([[t]]))
        if model.tag_embedding is not None:
            x_BNM = x_BNM + model.tag_embedding(torch.tensor([[int(columns["input_tag"][t])]]))
        for layer, kept in zip(model.layers, self.layers, strict=True):
            attention = layer.attention
            assert isinstance(attention, ViewsAttention)
            seen_HN = seen_VN[[self.views.index(str(view)) for view in attention.views]]
            looked_BNM = _look(attention, kept, layer.attention_norm(x_BNM), seen_HN)
            x_BNM = layer.think(x_BNM, looked_BNM, None)
        logits: Tensor = functional.linear(model.norm(x_BNM), model.embedding.weight)[0, 0]
        return logits


class _Kept:
    """Keys and values of one layer, [1,H,N,D] each, with room to grow."""

    def __init__(self) -> None:
        self.pieces = 0
        self.key = self.value = torch.empty(0)

    def add(self, key_BHND: Tensor, value_BHND: Tensor) -> tuple[Tensor, Tensor]:
        """The new piece's; returns all so far."""
        if not self.pieces:
            self.key, self.value = _room(key_BHND, ROOM), _room(value_BHND, ROOM)
        elif self.pieces == self.key.shape[2]:
            self.key, self.value = (torch.cat([held, _room(held, self.pieces)], 2) for held in (self.key, self.value))
        self.key[:, :, self.pieces], self.value[:, :, self.pieces] = key_BHND[:, :, 0], value_BHND[:, :, 0]
        self.pieces += 1
        return self.key[:, :, : self.pieces], self.value[:, :, : self.pieces]


def _room(like_BHND: Tensor, pieces: int) -> Tensor:
    B, H, _, D = like_BHND.shape
    return like_BHND.new_empty(B, H, pieces, D)


def _look(attention: ViewsAttention, kept: _Kept, x_BNM: Tensor, seen_HN: Tensor) -> Tensor:
    """[1,1,M]: what the newest piece takes from those its heads see."""
    t = kept.pieces
    q_BHND, k_BHND, v_BHND = attention.heads(x_BNM, _turn(attention, x_BNM, t))
    keys_BHND, values_BHND = kept.add(k_BHND, v_BHND)
    bias_HN = torch.zeros((), dtype=x_BNM.dtype).masked_fill(~seen_HN, float("-inf"))
    if attention.slopes:
        back_N = torch.arange(t, -1, -1, dtype=x_BNM.dtype)
        bias_HN = bias_HN - torch.tensor(attention.slopes, dtype=x_BNM.dtype)[:, None] * back_N
    mixed_BHND = attend(q_BHND, keys_BHND, values_BHND, bias_HN[None, :, None, :])
    mixed_BNM: Tensor = attention.out(mixed_BHND.transpose(1, 2).reshape(x_BNM.shape))
    return mixed_BNM


def _turn(attention: ViewsAttention, x_BNM: Tensor, t: int) -> Turn | None:
    if attention.positions != "rotary":
        return None
    room = (t // ROOM + 1) * ROOM  # angles are kept by the number of places: not anew for every piece
    turn = turn_of(room, x_BNM.shape[-1] // len(attention.views), x_BNM.device, x_BNM.dtype)
    return Turn(turn.cos[t : t + 1], turn.sin[t : t + 1])
