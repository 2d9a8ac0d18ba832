"""Through transformers' AttentionInterface: two functions under our names, one for masks and one for attention.

An attention that is registered alone loses causality: models then leave out the mask wherever theirs could be done
without (`allow_is_causal_skip`), and rely on an `is_causal` that only their own functions read. So the mask function is
registered with it, it never skips, and what a layer may see of what comes later is asked of the layer itself.

A name says what layers that are not swapped fall back to: `valency_sdpa`, `valency_eager`. They and attention from
decoder to encoder get the mask that they would have had. Letters: B rows, H heads, N queries, K keys, D a head's width.
"""

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from model.swap.masks import Known, check_whole, known_of, remember
from model.swap.mixer import Mixer
from model.swap.report import NO_WEIGHTS

PREFIX = "valency_"
FALLBACKS = ("sdpa", "eager")


def register() -> None:
    """Make our names known to transformers; once is enough, and twice does no harm."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    for fallback in FALLBACKS:
        AttentionInterface.register(PREFIX + fallback, _attention(fallback))
        AttentionMaskInterface.register(PREFIX + fallback, documents_mask)


def documents_mask(
    batch_size: int,
    kv_length: int,
    q_offset: Any = 0,
    kv_offset: Any = 0,
    mask_function: Callable[..., Any] | None = None,
    attention_mask: Tensor | None = None,
    local_size: int | None = None,
    use_vmap: bool = False,
    device: Any = None,
    **_settings: Any,
) -> Tensor:
    """int64 [B,1,1,K]: whose document each place is, -1 at padding, in the place of a mask of pairs.

    Errors: ValueError for what such a mask cannot say: windows of the model's own, caches of fixed size, and pairs that
    are chosen in other ways.
    """
    if local_size is not None or use_vmap:
        raise ValueError(
            "this model masks pairs by itself (a sliding window, or masks of its own), which swapped layers cannot "
            "keep; swap a model without, or only its other layers"
        )
    if isinstance(q_offset, Tensor) or isinstance(kv_offset, Tensor) or kv_offset:
        raise ValueError("swapped layers keep no cache of fixed size; generate with the default, a dynamic cache")
    if device is None and attention_mask is not None:
        device = attention_mask.device
    row_B1 = torch.arange(batch_size, device=device)[:, None]
    place = torch.arange(kv_length, device=device)
    document_BK = torch.zeros(batch_size, kv_length, dtype=torch.int64, device=device)
    if mask_function is not None and kv_length > 1:
        # The model's own mask of neighbours: where a place may not see the one before it, another document begins.
        sees = mask_function(row_B1, 0, place[None, 1:], place[None, :-1])
        sees = torch.as_tensor(sees, device=device).expand(batch_size, kv_length - 1)
        document_BK[:, 1:] = (~sees).cumsum(1)
    if attention_mask is None:
        return remember(document_BK[:, None, None], Known(document_BK, padded=False))
    valid_BK = torch.zeros(batch_size, kv_length, dtype=torch.bool, device=device)
    valid_BK[:, : attention_mask.shape[-1]] = attention_mask[:, :kv_length].bool()
    document_BK = document_BK.masked_fill(~valid_BK, -1)
    return remember(document_BK[:, None, None], Known(document_BK, padded=check_whole(valid_BK)))


def _attention(fallback: str) -> Callable[..., Any]:
    def attend(
        module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **told: Any
    ) -> tuple[Tensor, Tensor | None]:
        """As transformers wants it: q [B,H,N,D], k and v [B,G,K,D] -> ([B,N,H,D], weights or None)."""
        mixer = getattr(module, "valency", None)
        if not isinstance(mixer, Mixer):
            return _theirs(fallback, module, query, key, value, attention_mask, told)
        if told.get("output_attentions"):
            raise ValueError(NO_WEIGHTS)
        known = known_of(attention_mask, query.shape[0], key.shape[2], query.device)
        told = {name: told.get(name) for name in ("scaling", "position_bias")} | {"dropout": told.get("dropout") or 0.0}
        return mixer(query, key, value, known, **told), None

    return attend


def _theirs(
    fallback: str, module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, told: dict[str, Any]
) -> tuple[Tensor, Tensor | None]:
    """What the model would have done without us."""
    N, K = query.shape[2], key.shape[2]
    causal = bool(getattr(module, "is_causal", False))
    own: Tensor | None = None
    if mask is not None and mask.dtype != torch.int64:
        own = mask
    elif mask is not None:
        known = known_of(mask, query.shape[0], K, query.device)
        skips = fallback == "sdpa" and known.plain() and (not causal or N in (1, K))
        own = None if skips else _pairs(known.document_BK, N, causal)
    if fallback == "eager":
        if own is not None and own.dtype == torch.bool:
            own = torch.zeros((), dtype=query.dtype, device=query.device).masked_fill(
                ~own, torch.finfo(query.dtype).min
            )
        # Every file of models has an eager attention of its own, and hands it over only to who asks by no other name.
        eager: Any = sys.modules[type(module).__module__]
        out: tuple[Tensor, Tensor | None] = eager.eager_attention_forward(module, query, key, value, own, **told)
        return out
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    out = sdpa_attention_forward(module, query, key, value, own, **told)
    return out


def _pairs(document_BK: Tensor, queries: int, causal: bool) -> Tensor:
    """bool [B,1,N,K]: which pairs the model's own mask allows; the queries are the last of the keys' places."""
    B, K = document_BK.shape
    valid_B11K = (document_BK >= 0)[:, None, None]
    if not causal:
        return valid_B11K.expand(B, 1, queries, K)
    place = torch.arange(K, device=document_BK.device)
    before_NK = place[K - queries :, None] >= place
    # Only pieces are of several documents: padding among the queries may see whatever comes before it.
    mine_BN = document_BK[:, K - queries :]
    same_BNK = (mine_BN[:, :, None] == document_BK[:, None]) | (mine_BN < 0)[:, :, None]
    return valid_B11K & (before_NK & same_BNK)[:, None]
