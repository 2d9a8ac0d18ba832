"""What the synthetic tasks have in common: sequences with answers that can be computed from the sequence alone.

Letters: N pieces of a sequence.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.batches import NO_TARGET

Ints = NDArray[np.int64]

LONGEST = 131_072
RECORDS = 4
"""Questions in a sequence, where each has a stretch of its own: stretches grow with the sequence."""


class Sequence(NamedTuple):
    """One drawn sequence."""

    ids: Ints
    """[N]"""
    targets: Ints
    """[N]: what is to be said after a piece, by whoever drew the sequence; NO_TARGET where nothing is asked."""


class Task(NamedTuple):
    """A line of the table."""

    says: str
    """What is asked, in a sentence."""
    vocabulary: int
    """Ids are below."""
    shortest: int
    """Pieces that a sequence has at least."""
    chance: float
    """Share of exact answers of the best guess by who has not read the sequence."""
    make: Callable[[int, np.random.Generator], Sequence]
    """(pieces, random) -> a sequence of exactly so many."""
    answer: Callable[[Ints], Ints]
    """ids -> targets, computed anew from the ids by another way than `make` knows them."""
    records: bool = True
    """Whether each question is about its own stretch, which is then a sentence; else all of a sequence is one."""


def blank(length: int) -> Sequence:
    """Zeros and nothing asked."""
    return Sequence(np.zeros(length, np.int64), np.full(length, NO_TARGET, np.int64))


def stretches(length: int, shortest: int) -> list[slice]:
    """A sequence cut into RECORDS even parts, or as many as are not too short."""
    parts = max(1, min(RECORDS, length // shortest))
    ends = [length * part // parts for part in range(parts + 1)]
    return [slice(begin, end) for begin, end in pairwise(ends)]


def answers_of(targets: Ints) -> Ints:
    """[N]: the number of the answer that a target belongs to, -1 where nothing is asked. Targets side by side are one
    answer, which is exact if all of it is."""
    asked = targets != NO_TARGET
    begins = asked & ~np.concatenate([[False], asked[:-1]])
    return np.where(asked, np.cumsum(begins) - 1, -1)


def sentence_starts(targets: Ints, records: bool) -> Ints:
    """[N]: where a piece's sentence begins. A record ends with the last piece that something is asked at."""
    place = np.arange(len(targets))
    if not records:
        return np.zeros_like(place)
    asked = targets != NO_TARGET
    begins = np.concatenate([[False], asked[:-1]]) & ~asked
    return np.maximum.accumulate(np.where(begins, place, 0))
