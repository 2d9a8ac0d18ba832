"""What a forward pass knows of its pieces: the mask that it hands from layer to layer, and contexts made of it once.

The mask that we give a model is small: int64 [B,1,1,K], whose document each place is, -1 for padding. Time order is
the layer's own, so nothing that is quadratic in the length is made where a mechanism does not ask for it. What was made
of a mask lives as long as the mask does, so that layers that are computed again in a backward pass find the same.
Letters: B rows, N queries, K keys.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from model.context import Context
from model.layer import context_of_places


class Known:
    """What is known of the rows of one forward pass."""

    def __init__(self, document_BK: Tensor, padded: bool) -> None:
        self.document_BK, self.padded = document_BK, padded
        self.contexts = dict[int, Context]()
        """With what layers share, by the swap that they belong to."""
        self.checked = False
        """Whether its global places, if it has some, are such as the mechanism can serve."""

    def plain(self) -> bool:
        """Whether all rows are one sequence without padding."""
        return not self.padded and bool((self.document_BK == 0).all())


_KNOWN: Any = WeakTensorKeyDictionary()


def remember(mask: Tensor, known: Known) -> Tensor:
    """The mask, of which so much is known from now on."""
    _KNOWN[mask] = known
    return mask


def met(mask: Tensor) -> Known | None:
    """What is known of a mask already."""
    found: Known | None = _KNOWN.get(mask)
    return found


def known_of(mask: Tensor | None, rows: int, keys: int, device: torch.device) -> Known:
    """Of a mask that one of our mask functions made; None: no padding, one sequence a row.

    Errors: ValueError for a mask of pairs, which says more than a mechanism can be told.
    """
    if mask is None:
        return Known(torch.zeros(rows, keys, dtype=torch.int64, device=device), padded=False)
    if (found := met(mask)) is not None:
        return found
    if mask.dtype != torch.int64:
        raise ValueError(
            f"the mask is {mask.dtype} {list(mask.shape)}, of pairs; a swapped layer takes a mask of pieces, "
            "attention_mask [rows, pieces] with 0 at padding"
        )
    document_BK = mask[:, 0, 0]  # moved to another device on its way
    known = Known(document_BK, padded=bool((document_BK < 0).any()))
    remember(mask, known)
    return known


def context_of(document_BK: Tensor, causal: bool, told: Context | None = None) -> Context:
    """The context of rows whose documents are known. told: what is known of their words; None: only places.

    Errors: ValueError if it was told of other pieces.
    """
    B, K = document_BK.shape
    if told is None:
        made = context_of_places(B, K, causal=causal, device=document_BK.device)._replace(document=document_BK)
        return made._replace(sentence_start=made.sequence_start())
    if told.document.shape != (B, K):
        raise ValueError(
            f"the model reads rows of {[B, K]} pieces and was told of {list(told.document.shape)}; tell it of the "
            "very rows that it reads (and generate with use_cache=False: past pieces must be read with the new ones)"
        )
    told = told.to(document_BK.device)
    # Documents of both: rows that the model packs stay apart, and so do those that the reader found to be several.
    both = document_BK * (told.document.max() + 1).clamp(min=1) + told.document
    made = told._replace(document=both.masked_fill((document_BK < 0) | (told.document < 0), -1), causal=causal)
    return made._replace(sentence_start=torch.maximum(made.sentence_start, made.sequence_start()))


def check_whole(valid_BK: Tensor) -> bool:
    """Whether rows have padding. Errors: ValueError for padding between pieces."""
    begins = (valid_BK[:, 1:] & ~valid_BK[:, :-1]).sum(1) + valid_BK[:, 0]
    # One question to the device, not two: a step of generation is short.
    most, all_valid = torch.stack([begins.max(), valid_BK.all()]).tolist()
    if most > 1:
        raise ValueError("a row has padding between its pieces; pad rows at their beginning or end only")
    return not all_valid
