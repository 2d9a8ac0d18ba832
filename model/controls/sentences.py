"""Sentences cut at random places, with the lengths of true ones: reach like a sentence's, edges that say nothing.

The length of a document's k-th sentence, in words, is drawn from those of the training split's sentences. Shuffling
the document's own would keep its lengths exactly, but a boundary would then depend on how long its later sentences
are, and that is the future.
"""

from functools import partial
from itertools import count

import numpy as np
from numpy.typing import NDArray

from model.columns import Split
from model.controls.words import Change, Columns, all_columns, sentence_bases, words_of
from pipeline.chance import draws


def random_sentences(train: Split) -> Change:
    """The change of `sentence_start`: a sentence begins at the first piece whose first word is at or past a boundary.

    A function of first_word up to the piece and of the seed.
    """
    return partial(_cut, sentence_lengths(train))


def _cut(lengths: NDArray[np.int64], seed: int, columns: Columns) -> dict[str, NDArray[np.int32]]:
    words = words_of(columns)
    drawn = lengths[draws(seed, np.arange(words + 1)) % np.uint64(len(lengths))]  # enough, if each has one word
    sentence = np.searchsorted(np.cumsum(drawn), columns["first_word"], side="right")
    place = np.arange(len(sentence), dtype=np.int32)
    begins = np.diff(sentence, prepend=-1) != 0
    return {"sentence_start": np.maximum.accumulate(np.where(begins, place, 0)).astype(np.int32)}


def sentence_lengths(train: Split) -> NDArray[np.int64]:
    """int64 [S]: words of each sentence that has one, sorted; [1] if there is none."""
    found = [np.diff(np.append(sentence_bases(columns), words_of(columns))) for columns in all_columns(train)]
    lengths = np.sort(np.concatenate([np.empty(0, np.int64), *found]))
    lengths = lengths[lengths > 0]
    return lengths if len(lengths) else np.ones(1, np.int64)


def random_sentences_slow(lengths: NDArray[np.int64], seed: int, columns: Columns) -> list[int]:
    """`sentence_start`, piece by piece."""
    numbers = count()

    def drawn() -> int:
        return int(lengths[int(draws(seed, np.array([next(numbers)]))[0]) % len(lengths)])

    start, boundary, starts = 0, drawn(), list[int]()
    for place, word in enumerate(columns["first_word"].tolist()):
        if word >= boundary:
            start = place
        while word >= boundary:
            boundary += drawn()
        starts.append(start)
    return starts
