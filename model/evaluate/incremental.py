"""A model's logits piece by piece: each piece is computed once, from what was known when it was read.

`KeyValueCache` keeps every layer's keys and values; `WholePrefix`, its slow twin, runs the model anew over all pieces
so far. Letters: N pieces so far, V distinct views.
"""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from model.attention.views import ViewsAttention
from model.evaluate.past import ROOM, Past
from model.generate.kept import Asked, Kept
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
    cached = cached and not model.config.reads_facts() and model.config.depth.plain()
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
    """Keys and values of all pieces so far, each in the slot of its place. O(N) time a piece."""

    def __init__(self, model: Decoder) -> None:
        self.kept, self.room = Kept(model), 0

    def logits(self, past: Past, seen_VN: Tensor) -> Tensor:
        columns, t = past.columns(), past.pieces - 1
        if t == self.room:
            self.room = max(ROOM, 2 * self.room)
            self.kept.move(0, t, 0, self.room)
        place_N = np.arange(t + 1)
        asked = Asked(int(columns["pieces"][t]), t, int(columns["input_tag"][t]), t)
        return self.kept.logits(asked, place_N, t - place_N, seen_VN.numpy())
