"""ListOps (Nangia and Bowman 2018) in the symbols and by the values of Long Range Arena (Tay et al. 2021).

Digits, `[MIN`, `[MAX`, `[MED` (the median, cut to a whole number), `[SM` (the sum modulo 10) and one symbol for the end
of a list; an operator has 2 to 10 arguments. Trees are of an exact length, drawn as such: they are not the official
files, nor drawn as those were, which end at 2,000 pieces and ten lists within each other.
"""

import numpy as np

from model.tasks.base import Ints, Sequence, Task, blank, stretches

MIN, MAX, MED, SM, END = range(10, 15)
FEWEST, MOST = 2, 10
SMALLEST = FEWEST + 2
"""Pieces of the smallest list."""


def value(operator: int, arguments: list[int]) -> int:
    if operator == MED:
        middle = sorted(arguments)[(len(arguments) - 1) // 2 : len(arguments) // 2 + 1]
        return sum(middle) // len(middle)
    if operator == SM:
        return sum(arguments) % 10
    return min(arguments) if operator == MIN else max(arguments)


def make(length: int, random: np.random.Generator) -> Sequence:
    ids, targets = blank(length)
    for part in stretches(length, SMALLEST):
        out = list[int]()
        targets[part.stop - 1] = _list(part.stop - part.start, random, out)
        ids[part] = out
    return Sequence(ids, targets)


def _list(pieces: int, random: np.random.Generator, out: list[int]) -> int:
    """Write a list of exactly so many pieces, 4 or more; return its value."""
    operator = int(random.integers(MIN, END))
    out.append(operator)
    arguments = [_list(size, random, out) if size > 1 else _digit(random, out) for size in _sizes(pieces - 2, random)]
    out.append(END)
    return value(operator, arguments)


def _digit(random: np.random.Generator, out: list[int]) -> int:
    out.append(int(random.integers(10)))
    return out[-1]


def _sizes(pieces: int, random: np.random.Generator) -> list[int]:
    """Pieces of each argument of a list that has so many within it: 1, or enough for a list."""
    number = min(pieces, int(random.integers(FEWEST, MOST + 1)))
    more = pieces - number
    if more in (1, 2):  # too few to make a list of an argument: other digits, or fewer of them
        number = number + more if number + more <= MOST else pieces - 3
        more = pieces - number
    sizes = [1] * number
    if not more:
        return sizes
    # Two lists at least where much is left, so that trees do not get as deep as they are long.
    lists = random.permutation(number)[: max(1 + (more > 64), min(number, int(random.integers(1, 5)), more // 3))]
    shares = 3 + random.multinomial(more - 3 * len(lists), random.dirichlet(np.ones(len(lists))))
    for which, share in zip(lists.tolist(), shares.tolist(), strict=True):
        sizes[which] += share
    return sizes


def answer(ids: Ints) -> Ints:
    """Reads the pieces with a stack, which is empty where a list is over that stands in no other."""
    targets, stack = blank(len(ids)).targets, list[list[int]]()
    for place, piece in enumerate(ids.tolist()):
        if piece in (MIN, MAX, MED, SM):
            stack.append([piece])
        elif piece == END:
            operator, *arguments = stack.pop()
            found = value(operator, arguments)
            if stack:
                stack[-1].append(found)
            else:
                targets[place] = found
        else:
            stack[-1].append(piece)
    return targets


LISTOPS = Task(
    says="the value of the list that ends here",
    vocabulary=END + 1,
    shortest=SMALLEST,
    chance=0.2,
    make=make,
    answer=answer,
)
"""chance: 9 and 0 come more often than others, for `[MAX` and `[MIN` give them; tests/model/test_tasks.py counts."""
