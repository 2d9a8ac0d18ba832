"""Associative recall (Ba et al. 2016), many questions to a sequence (Arora et al. 2023): which value came with the key?

The first half of a sequence holds 64 pairs of a key and a value at places drawn at random, the second half asks each
key once, in another order; the value follows its key there too, and all other pieces are noise. In 256 pieces there is
no room for noise; in shorter sequences there are fewer pairs.
"""

import numpy as np

from model.tasks.base import Ints, Sequence, Task, blank

PAIRS, KEYS, VALUES = 64, 128, 64
KEY, VALUE = 1, 1 + KEYS
"""The first of each; 0 is noise."""


def make(length: int, random: np.random.Generator) -> Sequence:
    ids, targets = blank(length)
    slots = length // 2
    told, asked = slots // 2, slots - slots // 2
    pairs = min(PAIRS, told)
    key = KEY + random.permutation(KEYS)[:pairs]
    value = VALUE + random.integers(VALUES, size=pairs)
    places = 2 * np.sort(random.permutation(told)[:pairs])
    ids[places], ids[places + 1] = key, value
    order = random.permutation(pairs)
    places = 2 * (told + np.sort(random.permutation(asked)[:pairs]))
    ids[places], ids[places + 1], targets[places] = key[order], value[order], value[order]
    return Sequence(ids, targets)


def answer(ids: Ints) -> Ints:
    """Reads on, and remembers what followed each key."""
    targets, followed = blank(len(ids)).targets, dict[int, int]()
    for place, piece in enumerate(ids.tolist()):
        if KEY <= piece < VALUE:
            if piece in followed:
                targets[place] = followed[piece]
            else:
                followed[piece] = int(ids[place + 1])
    return targets


RECALL = Task(
    says="the value that stood behind the key when it came first",
    vocabulary=1 + KEYS + VALUES,
    shortest=4,
    chance=1 / VALUES,
    make=make,
    answer=answer,
    records=False,
)
