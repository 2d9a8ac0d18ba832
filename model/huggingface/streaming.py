"""A decoder that goes on where it stopped: the keys and values of earlier pieces are kept, and what is known of them.

`ValencyCache` is what `generate` hands from step to step. It holds the rows read so far (model.reading), so that each
piece is annotated once, and every layer's keys and values. A mechanism that keeps no keys and values is run over all
pieces anew. Letters: B rows, N pieces so far, n of them new, H heads, D width of a head, M width of the model.
"""

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from model.attention.heads import computed_in
from model.attention.rotary import Turn, turn_of
from model.attention.views import ViewsAttention, attend
from model.context import Context
from model.huggingface.rows import last_rows
from model.reading import Rows
from model.transformer import Decoder

ROOM = 256
"""Angles are made for so many places more at a time."""

KNOWN_WEIGHTS = {"qkv.weight", "out.weight"}
KNOWN_PARTS = {"embedding", "layers", "norm", "place_embedding", "tag_embedding", "tag_out"}


class ValencyCache(DynamicCache):
    """Keys and values of all layers, and the rows that they belong to."""

    def __init__(self, rows: Rows, decoder: Decoder) -> None:
        super().__init__()
        self.rows, self.keeps = rows, keeps_keys(decoder)

    def get_seq_length(self, *_: Any, **__: Any) -> int:
        """Places read so far, padding among them."""
        return self.rows.places

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last places: so many if negative; above 0, what earlier versions of transformers mean: keep so
        many."""
        super().crop(tokens_to_remove)
        self.rows.keep(tokens_to_remove if tokens_to_remove > 0 else max(0, self.rows.places + tokens_to_remove))

    def reorder_cache(self, beam_idx: Any) -> None:
        super().reorder_cache(beam_idx)
        self.rows.pick(beam_idx.tolist())

    def batch_select_indices(self, indices: Tensor) -> None:
        super().batch_select_indices(indices)
        self.rows.pick(indices.tolist())

    def batch_repeat_interleave(self, repeats: int) -> None:
        super().batch_repeat_interleave(repeats)
        self.rows.pick([row for row in range(len(self.rows.ids())) for _ in range(repeats)])


def keeps_keys(decoder: Decoder) -> bool:
    """Whether `hidden_after` knows all of this decoder; one with weights that it does not know is run over anew."""
    if not {name.partition(".")[0] for name, _ in decoder.named_parameters()} <= KNOWN_PARTS:
        return False
    if not decoder.config.depth.plain():
        return False
    mechanisms = [layer.attention for layer in decoder.layers]
    return all(
        isinstance(each, ViewsAttention) and {name for name, _ in each.named_parameters()} <= KNOWN_WEIGHTS
        for each in mechanisms
    )


def hidden_after(
    decoder: Decoder, ids_Bn: Tensor, valid_Bn: Tensor | None, cache: ValencyCache
) -> tuple[Tensor, Context]:
    """[B,n,M]: what the logits of the new pieces are read off, and the context of all pieces. The cache grows by them.

    O(N) time a new piece.
    """
    first = cache.rows.places
    cache.rows.append(ids_Bn, valid_Bn)
    context = cache.rows.context(ids_Bn.device)
    if not cache.keeps:
        return decoder.hidden(cache.rows.ids(ids_Bn.device), context)[:, first:], context
    places = slice(first, None)
    x_BnM = decoder.embedding(torch.where(context.valid()[:, places], ids_Bn, 0))
    if decoder.place_embedding is not None:
        place = torch.arange(cache.rows.places, device=ids_Bn.device)
        x_BnM = x_BnM + decoder.place_embedding((place - context.sequence_start())[:, places])
    if decoder.tag_embedding is not None:
        x_BnM = x_BnM + decoder.tag_embedding(context.input_tag[:, places])
    x_BnM = x_BnM.masked_fill(~context.valid()[:, places, None], 0.0)
    biases = dict[str, Tensor]()
    for number, layer in enumerate(decoder.storeys()):
        attention = layer.attention
        assert isinstance(attention, ViewsAttention)
        if attention.look not in biases:
            biases[attention.look] = last_bias(attention, context, first, computed_in(attention.qkv.weight))
        q_BHnD, k_BHnD, v_BHnD = attention.heads(layer.attention_norm(x_BnM), _turn(attention, x_BnM, first))
        k_BHND, v_BHND = cache.update(k_BHnD, v_BHnD, number)
        shared = q_BHnD.shape[1] // k_BHND.shape[1]  # heads of queries to one of keys
        keys_BHND, values_BHND = (each.repeat_interleave(shared, dim=1) for each in (k_BHND, v_BHND))
        mixed_BHnD = attend(q_BHnD, keys_BHND, values_BHND, biases[attention.look])
        x_BnM = layer.think(x_BnM, attention.out(mixed_BHnD.transpose(1, 2).reshape(x_BnM.shape)), None)
    normed_BnM: Tensor = decoder.norm(x_BnM)
    return normed_BnM, context


def last_bias(attention: ViewsAttention, context: Context, first: int, dtype: torch.dtype) -> Tensor:
    """[B,H,n,N]: the rows of `view_bias` from place `first` on."""
    views = attention.views
    distinct = {str(view): view for view in views}
    masks_BVnN = last_rows(list(distinct.values()), context, first)
    which = [list(distinct).index(str(view)) for view in views]
    seen_BHnN = torch.stack([masks_BVnN[:, number] for number in which], dim=1)
    bias_BHnN = torch.zeros((), dtype=dtype, device=seen_BHnN.device).masked_fill(~seen_BHnN, float("-inf"))
    if attention.slopes:
        place = torch.arange(seen_BHnN.shape[-1], device=seen_BHnN.device)
        back_nN = (place[first:, None] - place).abs().to(dtype)
        bias_BHnN = bias_BHnN - torch.stack([back_nN * slope for slope in attention.slopes])
    return bias_BHnN


def _turn(attention: ViewsAttention, x_BnM: Tensor, first: int) -> Turn | None:
    if attention.positions != "rotary":
        return None
    many = first + x_BnM.shape[1]
    room = -(-many // ROOM) * ROOM  # angles are kept by the number of places: not anew for every piece
    dtype = computed_in(attention.qkv.weight)
    turn = turn_of(room, x_BnM.shape[-1] // len(attention.views), x_BnM.device, dtype)
    return Turn(turn.cos[first:many], turn.sin[first:many])
