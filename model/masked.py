"""Masked pieces: what a model that reads both ways has to say of pieces that it does not see (Devlin et al. 2019).

Of the pieces that are chosen, 8 of 10 are hidden, 1 of 10 becomes any piece, and 1 of 10 stays. The text is annotated
after that: words, sentences, tags and bonds follow from the ids that the model sees, so that nothing given tells what
is hidden (law 1, second half). Letters: B rows, N pieces of a row.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch

from model.batches import NO_TARGET, Batch
from model.whole import reread

if TYPE_CHECKING:
    from model.evaluate.leak import Annotator
    from pipeline.pieces import Tokenizer

HIDDEN, CHANGED = 0.8, 0.1
"""Parts of the chosen pieces; the others stay as they are."""


def masked(batch: Batch, annotator: "Annotator", tokenizer: "Tokenizer", *, rate: float, seed: list[int]) -> Batch:
    """The batch with pieces chosen at this rate, to be said at their own places.

    seed: of the choice, whatever the batch's content. Begin pieces are never chosen. A batch without any chosen piece
    cannot come about: the first piece that may be is then taken.
    """
    random = np.random.default_rng(seed)
    ids = batch.ids.numpy()
    choice, fate = random.random(ids.shape), random.random(ids.shape)
    other = random.integers(tokenizer.size, size=ids.shape)
    may = batch.context.valid().numpy() & (ids != tokenizer.begin) & (ids != tokenizer.end)
    chosen = may & (choice < rate)
    if not chosen.any() and may.any():
        chosen.flat[int(np.flatnonzero(may)[0])] = True
    seen = np.where(chosen & (fate < HIDDEN), mask_piece(tokenizer), ids)
    seen = np.where(chosen & (fate >= HIDDEN) & (fate < HIDDEN + CHANGED), other, seen)
    targets = torch.from_numpy(np.where(chosen, ids, NO_TARGET).astype(np.int64))
    return reread(batch._replace(targets=targets), seen, annotator, tokenizer.end)


def mask_piece(tokenizer: "Tokenizer") -> int:
    """The piece that stands for hidden ones: the tokenizer's own, or padding, which adds no text either.

    Errors: ValueError if it has neither.
    """
    for name in ("[MASK]", "<mask>", "<|mask|>", "<|pad|>", "<pad>", "[PAD]"):
        found = tokenizer.special(name)
        if found is not None:
            return found
    raise ValueError("the tokenizer has no piece for masks, such as <|pad|> or [MASK]; give it one, or another one")
