"""The kin of a word in its tree: ancestors, earlier siblings, uncles, cousins, a fixed number of each a word.

Where a parser errs, the true head is mostly near the wrong one in the tree: the head's head (attached too low), an
earlier sibling (too high), an uncle or one of his outer children (both ends wrong). Every pair of words is met once,
from its deeper word; of two equally deep ones from the later.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.records import Words

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Kin:
    """A way from a word to another: so many arcs up, so many down, and which of those who stand there."""

    up: int
    down: int
    place: int
    """Siblings passed on the way over, negative: to the left. 0 for ancestors."""
    inner: int = 0
    """Of cousins: children passed from the nearest one on."""

    @property
    def hop(self) -> str:
        return f"up {self.up}" + f" down {self.down}" * bool(self.down)

    def __str__(self) -> str:
        """`up 2 down 2, -1 inner 1`."""
        return self.hop + f", {self.place:+d}" * bool(self.place) + f" inner {self.inner}" * bool(self.inner)


ANCESTORS, SIBLINGS = 5, 8
UNCLES = {2: 5, 3: 3, 4: 2}
"""How many of each: ancestors; earlier siblings; by arcs up, siblings on either side of the head, of its head, …"""
COUSINS, INNER = {2: 2, 3: 1}, 2
"""By arcs up: over how many uncles cousins are looked for, and how many of the children of each."""

KIN: tuple[Kin, ...] = (
    *(Kin(up, 0, 0) for up in range(2, ANCESTORS + 1)),
    *(Kin(1, 1, -place) for place in range(1, SIBLINGS + 1)),
    *(Kin(up, 1, side * place) for up, most in UNCLES.items() for side in (-1, 1) for place in range(1, most + 1)),
    *(Kin(2, 2, -place, inner) for place in range(1, COUSINS[2] + 1) for inner in range(INNER)),
    *(Kin(3, 2, side, inner) for side in (-1, 1) for inner in range(INNER)),
)
"""Every way that is tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """Links of the words of a shard, int64 [W + 1] each: rows, -1 for none. The last entry is -1, so that the link of
    no word is none."""

    head: Rows
    left: Rows
    """The sibling before."""
    right: Rows
    first: Rows
    """The first child."""
    last: Rows


def tree_of(words: Words) -> Tree:
    """The links of a shard. O(W log W)."""
    head = np.append(words.head.astype(np.int64), -1)
    left, right, first, last = (np.full(len(head), -1, dtype=np.int64) for _ in range(4))
    family = np.flatnonzero(head >= 0)
    family = family[np.argsort(head[family], kind="stable")]
    parent = head[family]
    same = parent[1:] == parent[:-1]
    left[family[1:][same]] = family[:-1][same]
    right[family[:-1][same]] = family[1:][same]
    last[parent] = family  # of several writes the last one stays
    first[parent[::-1]] = family[::-1]
    return Tree(head=head, left=left, right=right, first=first, last=last)


def kin_of(tree: Tree) -> Iterator[tuple[Kin, Rows, Rows]]:
    """Every way of KIN with where it leads: (way, row or -1 [W], row [W] of the common ancestor or -1)."""
    above = [np.arange(len(tree.head) - 1)]
    for _ in range(ANCESTORS):
        above.append(tree.head[above[-1]])
    step = {-1: tree.left, 1: tree.right}
    beside: dict[tuple[int, int], Rows] = {(up, 0): above[up - 1] for up in (1, *UNCLES)}
    child: dict[tuple[int, int, int], Rows] = {}
    for kin in KIN:
        if not kin.down:
            yield kin, above[kin.up], above[kin.up]
            continue
        side = 1 if kin.place > 0 else -1
        if (kin.up, kin.place) not in beside:
            beside[kin.up, kin.place] = step[side][beside[kin.up, kin.place - side]]
        there = beside[kin.up, kin.place]
        if kin.down == 2:  # the child nearest to us first, then inwards
            where = kin.up, kin.place, kin.inner
            nearer = child.get((kin.up, kin.place, kin.inner - 1))
            outer = tree.last if side < 0 else tree.first
            child[where] = outer[there] if nearer is None else step[side][nearer]
            there = child[where]
        yield kin, there, above[kin.up]
