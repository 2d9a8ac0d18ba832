"""How well a model predicts text: bits per byte, which compares models over any tokenizers, and perplexity a piece.

Bits per byte = the bits that the model needs for all pieces of the documents, the end of each included, over the
UTF-8 bytes of their text.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from model.batches import NO_TARGET, Batch, evaluation_batches
from model.columns import Split
from model.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Result of one evaluation."""

    bits_per_byte: float
    perplexity: float
    """exp(mean nats a predicted piece): comparable between models of one tokenizer alone."""
    pieces: int
    """Pieces that were predicted; of classes, documents."""
    accuracy: float | None = None
    """Of classes: the part of the documents whose class was right."""


def piece_loss(logits_BNV: Tensor, targets_BN: Tensor, reduction: str = "mean") -> Tensor:
    """Cross-entropy of the next piece in nats, in 32 bits or more, over all places that have a target."""
    logits = logits_BNV.flatten(0, 1).to(torch.promote_types(logits_BNV.dtype, torch.float32))
    return functional.cross_entropy(logits, targets_BN.flatten(), ignore_index=NO_TARGET, reduction=reduction)


@torch.no_grad()
def evaluate(
    model: Callable[[Tensor, Context], Tensor],
    split: Split,
    *,
    rows: int,
    length: int,
    device: torch.device | str = "cpu",
    pieces: int | None = None,
    ask: Callable[[Batch, int], Batch] | None = None,
    piece_bytes: Sequence[int] = (),
) -> Score | None:
    """Score of a model (in evaluation mode) on a split; None if the split has no documents.

    pieces: read about so many only, spread evenly; bits per byte then takes the split's mean bytes a piece.
    ask: what becomes of each batch, by its number, such as model.masked makes of it; bits per byte are then over the
    bytes of the pieces that are asked for, by piece_bytes.
    """
    nats, read, asked_bytes = 0.0, 0, 0
    for number, batch in enumerate(evaluation_batches(split, rows=rows, length=length, pieces=pieces)):
        if ask:
            batch = ask(batch, number)
            asked_bytes += sum(piece_bytes[piece] for piece in batch.targets[batch.targets != NO_TARGET].tolist())
        batch = batch.to(device)
        nats += float(piece_loss(model(batch.ids, batch.context), batch.targets, reduction="sum"))
        read += int((batch.targets != NO_TARGET).sum())
    if not read:
        return None
    bytes_a_piece = asked_bytes / read if ask else int(split.bytes.sum()) / int((split.pieces() - 1).sum())
    return Score(
        bits_per_byte=nats / math.log(2) / (read * bytes_a_piece), perplexity=math.exp(nats / read), pieces=read
    )
