"""Words to pieces: a byte-level BPE that sees single words, each with the space before it, so that no piece is of two.

Every distinct word is encoded once; a text is then a matter of array look-ups.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

PAD, MASK, DOCUMENT, PARAGRAPH = range(4)
"""Ids of the special pieces; the last two stand before the word that a document or a paragraph begins with."""
SPECIALS = ("[pad]", "[mask]", "[document]", "[paragraph]")
LONGEST = 12
"""Pieces of one word; of longer ones (URLs) the first and the last few are kept."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """Pieces of many words, one after another: those of word i are `flat[first[i] : first[i + 1]]`."""

    flat: NDArray[np.uint16]
    first: NDArray[np.int64]

    def of(self, words: NDArray[np.int64]) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
        """Pieces of a text given as numbers of words, and how many each word has."""
        length = np.diff(self.first)[words]
        ends = np.cumsum(length)
        place = np.arange(ends[-1] if len(ends) else 0) + np.repeat(self.first[words] - (ends - length), length)
        return self.flat[place], length


def fit_subwords(texts: Iterable[Sequence[str]], size: int) -> Tokenizer:
    """Train on texts given as spellings of their words (`spelling`); `size` pieces, 65,536 at most.

    Errors: ValueError for a size that does not go.
    """
    if not 256 + len(SPECIALS) <= size <= 1 << 16:
        raise ValueError(f"size is {size}; give from {256 + len(SPECIALS)} to {1 << 16} pieces")
    tokenizer = Tokenizer(models.BPE())
    # No word holds a line break, so one parts them.
    split, as_bytes = pre_tokenizers.Split("\n", "removed"), pre_tokenizers.ByteLevel(False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, as_bytes])
    trainer = trainers.BpeTrainer(
        vocab_size=size, show_progress=False, special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(("\n".join(words) for words in texts), trainer)
    return tokenizer


def spelling(form: str, space: bool) -> str:
    """What the tokenizer reads of a word: itself, and the space before it."""
    return " " + form if space else form


def encode(tokenizer: Tokenizer, spellings: Sequence[str]) -> Pieces:
    tokenizer.encode_special_tokens = True  # a text that spells `[mask]` masks nothing
    ids = [_shortened(encoding.ids) for encoding in tokenizer.encode_batch(list(spellings))]
    first = np.append(0, np.cumsum([len(word) for word in ids], dtype=np.int64))
    return Pieces(np.array([piece for word in ids for piece in word], np.uint16), first)


def _shortened(ids: list[int]) -> list[int]:
    return ids if len(ids) <= LONGEST else ids[: LONGEST - 4] + ids[-4:]
