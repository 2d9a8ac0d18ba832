"""Keys and values of the pieces that a model has read, and the model's step from one piece to the next logits.

All that generation knows of a layer stands here: a layer is asked for queries, keys and values (`heads`), and told what
its heads saw (`out`, `think`). Slots hold pieces in the order of their places; which piece is in which slot, and what
may be seen, others know. Letters: S slots that may be seen, V distinct views, H heads, J heads of keys and values,
G = H / J, D width of a head, M width of the model.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from model.attention.rotary import BASE, Turn
from model.attention.views import ViewsAttention
from model.transformer import Decoder

TURNS = 256
"""Places whose angles are computed at once."""


class Asked(NamedTuple):
    """The newest piece."""

    piece: int
    place: int
    tag: int
    """Its input tag."""
    slot: int
    """Where its keys and values go."""


class Kept:
    """Keys and values of all layers, by slot."""

    def __init__(self, model: Decoder) -> None:
        self.model = model
        names = list(model.config.distinct_views())
        self.layers = [_KeptLayer(layer.attention, names) for layer in model.storeys()]

    @torch.inference_mode()
    def move(self, first: int, last: int, keep: int, room: int) -> None:
        """Keep the slots up to `keep`, and behind them those of first ≤ slot < last, with room for so many in all."""
        for layer in self.layers:
            layer.pairs = moved(layer.pairs, first, last, keep, room)

    @torch.inference_mode()
    def logits(
        self, asked: Asked, slot_S: NDArray[np.int64], back_S: NDArray[np.int64], seen_VS: NDArray[np.bool_]
    ) -> Tensor:
        """[vocabulary]: of the piece after this one.

        slot_S: ascending, this piece's the last. back_S: how many pieces back each lies. seen_VS: by the model's
        distinct views, which may be seen. Slots that no head of a layer sees are left out of its sums, so that the same
        pieces seen make the same bits, whatever else is kept.
        """
        model = self.model
        x_BNM, turn = _first(model, asked), self._turn(asked.place)
        looks: dict[object, _Look] = {}
        for layer, kept in zip(model.storeys(), self.layers, strict=True):
            if kept.look not in looks:
                looks[kept.look] = _look(kept, slot_S, back_S, seen_VS, x_BNM)
            looked_BNM = kept.mix(layer.attention_norm(x_BNM), asked.slot, turn, looks[kept.look])
            x_BNM = layer.think(x_BNM, looked_BNM, None)
        logits: Tensor = functional.linear(model.norm(x_BNM), model.embedding.weight)[0, 0]
        return logits

    def _turn(self, place: int) -> Turn | None:
        """For all layers: their heads are of one width."""
        config, weight = self.model.config, self.model.embedding.weight
        if config.positions != "rotary":
            return None
        return turn_at(place, config.dim // config.heads, weight.device, weight.dtype)


def moved(held: Tensor, first: int, last: int, keep: int, room: int) -> Tensor:
    """[room, …]: the first entries up to `keep` and, behind them, those from first to last."""
    made = held.new_empty(room, *held.shape[1:])
    made[:keep] = held[:keep]
    made[keep : keep + last - first] = held[first:last]
    return made


class _Look(NamedTuple):
    """What the heads of a layer see: the slots that any of them does, and what is added to the scores."""

    slots: Tensor
    bias: Tensor
    """[H,S]"""


class _KeptLayer:
    """One layer's. `pairs` is [slots,2,J,D]: keys and values side by side, so that one gather takes both."""

    def __init__(self, attention: object, names: list[str]) -> None:
        assert isinstance(attention, ViewsAttention)  # model.generate.trained has refused any other
        self.attention = attention
        self.rows = [names.index(str(view)) for view in attention.views]
        self.slopes = np.array(attention.slopes)[:, None] if attention.slopes else None
        self.look = (*self.rows, bool(attention.slopes))
        self.pairs = torch.empty(0)

    def mix(self, x_BNM: Tensor, slot: int, turn: Turn | None, look: _Look) -> Tensor:
        """[1,1,M]: what the piece, whose slot this is, takes from those its heads see."""
        attention = self.attention
        q_BHND, k_BJND, v_BJND = attention.heads(x_BNM, turn)
        J, D = k_BJND.shape[1], k_BJND.shape[3]
        if self.pairs.ndim == 1:  # nothing kept yet, and only now is it known what shape that has
            self.pairs = k_BJND.new_empty(len(self.pairs), 2, J, D)
        self.pairs[slot, 0], self.pairs[slot, 1] = k_BJND[0, :, 0], v_BJND[0, :, 0]
        seen_S2JD = self.pairs.index_select(0, look.slots)
        keys_BJSD, values_BJSD = seen_S2JD.permute(1, 2, 0, 3)[:, None]
        # Heads that share keys stand as the queries of one head: grouped queries without a copy of any key.
        q_BJGD = q_BHND.reshape(1, J, -1, D)
        bias_BJGS = look.bias.reshape(1, J, -1, len(look.slots))
        mixed_BJGD = functional.scaled_dot_product_attention(q_BJGD, keys_BJSD, values_BJSD, attn_mask=bias_BJGS)
        mixed_BNM: Tensor = attention.out(mixed_BJGD.reshape(1, 1, -1))
        return mixed_BNM


def _look(
    kept: _KeptLayer, slot_S: NDArray[np.int64], back_S: NDArray[np.int64], seen_VS: NDArray[np.bool_], like: Tensor
) -> _Look:
    seen_HS = seen_VS[kept.rows]
    any_S = seen_HS.any(0)
    if not any_S.all():
        slot_S, back_S, seen_HS = slot_S[any_S], back_S[any_S], seen_HS[:, any_S]
    bias_HS = np.where(seen_HS, 0.0 if kept.slopes is None else -kept.slopes * back_S, -np.inf)
    made_HS = torch.from_numpy(bias_HS).to(like.device, like.dtype)
    return _Look(torch.from_numpy(slot_S).to(like.device), made_HS)


def _first(model: Decoder, asked: Asked) -> Tensor:
    """[1,1,M]: what enters the first layer, as Decoder.hidden has it."""
    x_M = model.embedding.weight[asked.piece]
    if model.place_embedding is not None:
        x_M = x_M + model.place_embedding.weight[asked.place]
    if model.tag_embedding is not None:
        x_M = x_M + model.tag_embedding.weight[asked.tag]
    return x_M.view(1, 1, -1)


def turn_at(place: int, width: int, device: torch.device, dtype: torch.dtype) -> Turn:
    """The rotary angles of one place, however far: row `place` of model.attention.rotary.turn_of.

    In float64 whatever the type of the model: at place 1,000,000 a 32-bit angle is known to 0.06 radians only.
    """
    cos, sin = _turns(place // TURNS, width, device, dtype)
    row = place % TURNS
    return Turn(cos[row : row + 1], sin[row : row + 1])


@lru_cache(maxsize=64)
def _turns(block: int, width: int, device: torch.device, dtype: torch.dtype) -> Turn:
    rate_F = BASE ** -torch.arange(0, width, 2, dtype=torch.float64).div(width)
    places = torch.arange(block * TURNS, (block + 1) * TURNS, dtype=torch.float64)
    angle_NF = torch.outer(places, rate_F)
    return Turn(angle_NF.cos().to(device, dtype), angle_NF.sin().to(device, dtype))
