"""What training makes small: the nats of the next piece, and where a recipe asks for it those of the word's tag; and
what mechanisms ask for themselves (model.attention.Auxiliary).

The second loss gives the model no attribute: what a tag embedding would have told it, it has to say itself. Its target
may know the whole word, as the next piece is a target from the future too.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.context import NO_TAG, Context
from model.dropout import Noise, step_key
from model.head_loss import head_loss
from model.transformer import Decoder


class Objective(nn.Module):
    """A decoder and its losses."""

    seed: Tensor
    rate: Tensor
    part: Tensor

    def __init__(self, decoder: Decoder, seed: int) -> None:
        """seed: of dropout."""
        super().__init__()
        self.decoder = decoder
        self.drops = decoder.config.dropout > 0
        self.register_buffer("seed", torch.tensor(seed), persistent=False)
        self.register_buffer("rate", torch.tensor(decoder.config.dropout, dtype=torch.float32), persistent=False)
        self.register_buffer("part", torch.tensor(0), persistent=False)  # of the rows of a step, where they are parted

    def forward(self, ids_BN: Tensor, context: Context, targets_BN: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        """The loss to go down, and the mean nats of what is to be said, which is the same where there is no other loss.

        targets_BN: int64, as in model.batches or model.masked; of documents [B], as in model.classify. step: int64, of
        no dimension, which decides what dropout drops.
        """
        decoder = self.decoder
        noise = Noise(step_key(self.seed, step), self.rate, self.part) if self.drops else None
        if decoder.halting is not None:
            return self.pondered(ids_BN, context, targets_BN, noise)
        hidden_BNM = decoder.hidden(ids_BN, context, noise)
        if decoder.class_out is not None:
            nats = functional.cross_entropy(decoder.class_logits(hidden_BNM, context).float(), targets_BN)
            return nats + auxiliary(decoder), nats.detach()
        nats = self.piece_nats(hidden_BNM, targets_BN)
        return self.with_tags(nats, hidden_BNM, context), nats.detach()

    def pondered(
        self, ids_BN: Tensor, context: Context, targets_BN: Tensor, noise: Noise | None
    ) -> tuple[Tensor, Tensor]:
        """The same of a model that ponders: what each step would cost, as likely as it is."""
        assert self.decoder.halting is not None
        pondered = self.decoder.pondered(ids_BN, context, noise)
        nats = [self.piece_nats(state, targets_BN, "none").view(targets_BN.shape) for state in pondered.states]
        loss, expected = self.decoder.halting.loss(pondered, torch.stack(nats), targets_BN, context)
        return self.with_tags(loss, pondered.expected(), context), expected

    def with_tags(self, loss: Tensor, hidden_BNM: Tensor, context: Context) -> Tensor:
        """The loss, what mechanisms ask for themselves, and where there is one the loss of tags."""
        decoder = self.decoder
        loss = loss + auxiliary(decoder)
        if decoder.tag_out is None:
            return loss
        tag_nats = tag_loss(functional.linear(hidden_BNM, decoder.tag_out.weight), context)
        return loss + decoder.config.tag_loss * tag_nats

    def piece_nats(self, hidden_BNM: Tensor, targets_BN: Tensor, reduction: str = "mean") -> Tensor:
        """Nats of the next pieces, as `piece_loss` gives them."""
        return head_loss(hidden_BNM, self.decoder.embedding.weight, targets_BN, reduction)


def auxiliary(decoder: Decoder) -> Tensor | float:
    """What the mechanisms of all layers add to the loss of the pass just made."""
    asking = [layer.attention for layer in decoder.layers if hasattr(layer.attention, "auxiliary")]
    return sum((mechanism.auxiliary() for mechanism in asking), 0.0)


def tag_loss(logits_BNT: Tensor, context: Context) -> Tensor:
    """Cross-entropy in nats of the full tag of each piece's word, over the pieces that hold one; 0 if none does."""
    known = context.key_tag != NO_TAG
    logits = logits_BNT.flatten(0, 1).to(torch.promote_types(logits_BNT.dtype, torch.float32))
    nats = functional.cross_entropy(logits, context.key_tag.flatten(), reduction="none")
    return (nats * known.flatten()).sum() / known.sum().clamp(min=1)
