"""Odd one out: all items of a stretch are of one class but a single one; which is it?

Classes are not told: that items 0 to 15 belong together, and 16 to 31, must be learnt from the questions.
"""

from collections import Counter

import numpy as np

from model.tasks.base import Ints, Sequence, Task, blank, stretches

CLASSES, OF_EACH = 8, 16
ASK = CLASSES * OF_EACH


def make(length: int, random: np.random.Generator) -> Sequence:
    ids, targets = blank(length)
    for part in stretches(length, SHORTEST):
        usual, other = random.permutation(CLASSES)[:2]
        items = part.stop - part.start - 1
        drawn = usual * OF_EACH + random.integers(OF_EACH, size=items)
        odd = other * OF_EACH + random.integers(OF_EACH)
        drawn[random.integers(items)] = odd
        ids[part.start : part.stop - 1], ids[part.stop - 1], targets[part.stop - 1] = drawn, ASK, odd
    return Sequence(ids, targets)


def answer(ids: Ints) -> Ints:
    """Counts the classes between two questions."""
    targets, begin = blank(len(ids)).targets, 0
    for place in np.flatnonzero(ids == ASK).tolist():
        items = ids[begin:place].tolist()
        count = Counter(item // OF_EACH for item in items)
        targets[place] = next(item for item in items if count[item // OF_EACH] == 1)
        begin = place + 1
    return targets


SHORTEST = 4
"""Of two items neither is odd, so three and the question."""

ODD = Task(
    says="the item whose class no other item of the stretch has",
    vocabulary=ASK + 1,
    shortest=SHORTEST,
    chance=1 / ASK,
    make=make,
    answer=answer,
)
