"""Gold words on a parser's words: which of them cover the same characters, so that gold arcs can be looked up."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.records import Words

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]
MOST = 3
"""Parser's words of one gold word that are looked at; a URL cut in twenty is not looked through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldArcs:
    """The arcs of a treebank, all but those to roots, as rows of a parser's words; one entry an arc [A]."""

    gold: Rows
    """Row of the dependent in the gold words."""
    distance: Rows
    """Gold words from the head to the dependent, the nearest are 1 apart."""
    dependent: tuple[Rows, Rows]
    """First and last of the parser's rows that share a character with the dependent; last < first: none."""
    head: tuple[Rows, Rows]

    def __len__(self) -> int:
        return len(self.gold)

    def found(self, near: int, pairs: Rows, size: int) -> Mask:
        """bool [A]: arcs inside one word of the parser's, between words at most `near` apart, or among the pairs.

        pairs: sorted numbers lower row · size + higher row; size: number of the parser's words.
        """
        found = np.zeros(len(self), dtype=bool)
        for one, other, there in self.readings():
            lower, higher = np.minimum(one, other), np.maximum(one, other)
            found |= there & ((higher - lower <= near) | among(lower * size + higher, pairs))
        return found

    def readings(self) -> list[tuple[Rows, Rows, Mask]]:
        """Row of the dependent, row of the head, and whether there are such [A], for every choice of the two."""
        found = []
        for one in range(MOST):
            for other in range(MOST):
                dependent, head = self.dependent[0] + one, self.head[0] + other
                there = (dependent <= self.dependent[1]) & (head <= self.head[1])
                found.append((np.where(there, dependent, 0), np.where(there, head, 0), there))
        return found


def gold_arcs(gold: Words, words: Words) -> GoldArcs:
    """gold, words: of the same documents in the same order. Raises ValueError if they are not."""
    if gold.documents != words.documents:
        raise ValueError("gold words and parsed words are of different documents; parse the texts of the treebank")
    start, end = _spans(words)
    gold_start, gold_end = _spans(gold)
    first = np.searchsorted(end, gold_start, side="right")
    last = np.searchsorted(start, gold_end, side="left") - 1
    arc = np.flatnonzero(gold.head >= 0)
    head = gold.head[arc]
    return GoldArcs(gold=arc, distance=np.abs(arc - head), dependent=(first[arc], last[arc]),
                    head=(first[head], last[head]))  # fmt: skip


def among(wanted: Rows, pairs: Rows) -> Mask:
    """bool [A]: which numbers stand in the sorted ones."""
    place = np.minimum(np.searchsorted(pairs, wanted), max(len(pairs) - 1, 0))
    return pairs[place] == wanted if len(pairs) else np.zeros(len(wanted), bool)


def _spans(words: Words) -> tuple[Rows, Rows]:
    """Begin and end of each word over all documents, never decreasing; a span that several share is dealt out.

    The words of a multiword token take their own letters where these spell it (`do` `n't`), else equal parts.
    """
    start, end = words.start.astype(np.int64), words.end.astype(np.int64)
    shared = np.flatnonzero((np.diff(start) == 0) & (np.diff(end) == 0) & (np.diff(words.document) == 0))
    for first in shared[np.diff(shared, prepend=-2) > 1].tolist():
        last = first + 1
        while last + 1 < len(words) and last in shared and start[last + 1] == words.start[first]:
            last += 1
        sizes = [len(words.text[row]) for row in range(first, last + 1)]
        width = int(words.end[first] - words.start[first])
        ends = np.cumsum(sizes) if sum(sizes) == width else np.arange(1, len(sizes) + 1) * width // len(sizes)
        end[first : last + 1] = words.start[first] + ends
        start[first + 1 : last + 1] = end[first:last]
    longest = int(end.max(initial=0)) + 1
    return start + words.document * longest, end + words.document * longest
