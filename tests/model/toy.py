"""An annotator that one can follow by eye, and rows made from it."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from model.batches import read_places
from model.columns import Split, split_of
from model.context import NO_TAG, BondLists, Context
from pipeline.prefix import Attributes
from pipeline.records import KINDS

BEGIN, END = 0, 1
VOCABULARY = 60


class ToyAnnotator:
    """Reads what a piece is off its id.

    0 and 1 begin and end a document. Of the others: id % 5 == 0 is spaces, 1 begins a word, 2 is a full stop (a word of
    its own; the next word's piece begins a sentence), 3 and 4 carry the word on, or begin one where none is open. Ids
    that 7 divides as well hold two words. A word's tag is the sum of its ids % 17.
    """

    def annotate(self, ids: NDArray[np.int32]) -> Attributes:
        rows: list[tuple[int, int, int, int, int]] = []
        tags: list[int] = []  # of the words begun; that of the last one may still grow
        opened, stopped, sentence = False, False, 0
        for position, piece in enumerate(int(each) for each in ids):
            first = len(tags) - 1
            wordless = piece in (BEGIN, END) or piece % 5 == 0
            if wordless:
                opened = False
            elif piece % 5 in (1, 2) or not opened:
                tags.append(piece % 17)
                first, opened = len(tags) - 1, True
                if stopped:
                    sentence, stopped = position, False
                stopped = piece % 5 == 2
            else:
                tags[-1] = (tags[-1] + piece) % 17
            if not wordless and piece % 7 == 0:
                tags.append((piece + 1) % 17)
            rows.append((first, len(tags) - 1, len(tags) - opened, sentence, NO_TAG if wordless else tags[-1]))
        first_word, last_word, closed_word, sentence_start, input_tag = np.array(rows, np.int32).reshape(-1, 5).T
        closed_at_last = last_word < (closed_word[-1] if len(rows) else 0)
        full = np.array([*tags, NO_TAG])[last_word]
        return Attributes(
            first_word=first_word,
            last_word=last_word,
            closed_word=closed_word,
            sentence_start=sentence_start,
            input_tag=input_tag.astype(np.uint8),
            key_tag=np.where((input_tag == NO_TAG) | ~closed_at_last, NO_TAG, full).astype(np.uint8),
        )


def toy_document(length: int, seed: int, long_words: bool = False) -> NDArray[np.int32]:
    """Begin, random pieces, end; long_words: words of 25 pieces or so, longer than the anchors reach."""
    pieces = np.arange(2, VOCABULARY)
    odds = np.where(pieces % 5 >= 3, 1.0, 0.02 if long_words else 1.0)
    inner = np.random.default_rng(seed).choice(pieces, size=max(0, length - 2), p=odds / odds.sum())
    return np.array([BEGIN, *inner, END], np.int32)[:length]


def toy_split(lengths: Sequence[int], seed: int = 0) -> Split:
    """Documents of so many pieces."""
    documents = {f"d{number:02}": toy_document(length, seed + number) for number, length in enumerate(lengths)}
    return split_of({name: (ids, ToyAnnotator().annotate(ids)) for name, ids in documents.items()})


def toy_context(rows: Sequence[Sequence[int]], seed: int = 0, width: int | None = None) -> tuple[torch.Tensor, Context]:
    """Ids and context of rows that pack documents of the lengths given, padded at the end to one width."""
    split = toy_split([length for row in rows for length in row], seed)
    width = width or max(sum(row) for row in rows)
    document, position = np.full((len(rows), width), -1), np.zeros((len(rows), width), np.int64)
    number = 0
    for row, lengths in enumerate(rows):
        place = 0
        for length in lengths:
            document[row, place : place + length] = number
            position[row, place : place + length] = np.arange(length)
            place, number = place + length, number + 1
    return read_places(split, document, position)


def with_toy_bonds(context: Context, seed: int = 0, most: int = 6) -> Context:
    """The context with bonds drawn at random: up to `most` a piece, of any kind, some twice; pieces of one word share
    their lists, as in a cache. They stay in their document and, where it is causal, look back."""
    random = np.random.default_rng(seed)
    B, N = context.document.shape
    begin, end = np.zeros((B, N), np.int32), np.zeros((B, N), np.int32)
    key, kind = list[int](), list[int]()
    for row in range(B):
        document, word = context.document[row].tolist(), context.last_word[row].tolist()
        for t in range(N):
            if t > 0 and document[t - 1] == document[t] and word[t - 1] == word[t]:
                begin[row, t], end[row, t] = begin[row, t - 1], end[row, t - 1]
                continue
            begin[row, t] = len(key)
            others = [s for s in range(N) if document[s] == document[t] >= 0 and (s < t or not context.causal)]
            if others:
                drawn = random.choice(others, size=int(random.integers(most + 1)))
                key += drawn.tolist()
                kind += random.integers(len(KINDS), size=len(drawn)).tolist()
            end[row, t] = len(key)
    lists = [torch.from_numpy(begin), torch.from_numpy(end), torch.tensor(key, dtype=torch.int32)]
    return context._replace(bonds=BondLists(*lists, torch.tensor(kind, dtype=torch.uint8)))
