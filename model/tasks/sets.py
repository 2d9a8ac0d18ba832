"""Set-of-data hashing: the hash of all items of a stretch, whatever their order and however often each came.

The hash is a MinHash signature (Broder 1997): under each of four fixed orders of all items, the item that comes first
in that order among those that are there. An item changes the signature only if it is new, so whoever answers must have
looked at every piece. The four parts are asked side by side, and are one answer.
"""

import numpy as np

from model.tasks.base import Ints, Sequence, Task, blank, stretches

ITEMS = 61
"""Prime, so that a multiple and a shift are an order of the items."""
ORDERS = ((1, 0), (17, 23), (29, 7), (44, 50))
"""Multiplier and shift: an item's rank is (multiplier * item + shift) % ITEMS."""
FEWEST, MOST = 4, 12
"""Items that a stretch is drawn from."""
ITEM, ASK = 0, ITEMS
"""The first of each: one question a part of the signature."""


def make(length: int, random: np.random.Generator) -> Sequence:
    ids, targets = blank(length)
    for part in stretches(length, SHORTEST):
        held = random.permutation(ITEMS)[: random.integers(FEWEST, MOST + 1)]
        items, ask = slice(part.start, part.stop - len(ORDERS)), slice(part.stop - len(ORDERS), part.stop)
        drawn = random.choice(held, size=items.stop - items.start)
        ids[items], ids[ask] = ITEM + drawn, ASK + np.arange(len(ORDERS))
        there = np.unique(drawn)
        targets[ask] = [ITEM + there[np.argmin((times * there + shift) % ITEMS)] for times, shift in ORDERS]
    return Sequence(ids, targets)


def answer(ids: Ints) -> Ints:
    """Keeps the first item of each order while it reads; a question's last part clears them."""
    targets, least = blank(len(ids)).targets, dict[int, int]()
    for place, piece in enumerate(ids.tolist()):
        if piece < ASK:
            for order, (times, shift) in enumerate(ORDERS):
                best = least.get(order, piece)
                nearer = (times * piece + shift) % ITEMS < (times * best + shift) % ITEMS
                least[order] = piece if nearer else best
        else:
            targets[place] = least[piece - ASK]
            if piece == ASK + len(ORDERS) - 1:
                least.clear()
    return targets


SHORTEST = len(ORDERS) + 1

SET_HASH = Task(
    says="four parts of a hash of the set of items of the stretch",
    vocabulary=ITEMS + len(ORDERS),
    shortest=SHORTEST,
    chance=0.002,
    make=make,
    answer=answer,
)
"""chance: counted out, no guess of one or two different items is right more often than 0.16%."""
