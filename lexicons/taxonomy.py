"""The noun hierarchy of WordNet 3.0, and how near two nouns stand in it.

Lin 1998, "An information-theoretic definition of similarity": twice what the nearest common concept tells, over what
the two nouns tell together; 1 for synonyms, 0 for nouns with nothing in common. `lexicons.wordnet.nodes` gives the
node of a lemma.
"""

from functools import cache
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from lexicons.tables import table

DEEPEST = 24
"""Rows of a path; the deepest noun of WordNet 3.0 has 18 nodes above it."""


def common(one: NDArray[np.int32], other: NDArray[np.int32]) -> NDArray[np.int32]:
    """The nearest node at or above both, int32 [P], of each pair of nodes [P]; -1 where either is -1."""
    asked = np.concatenate([one, other])
    present = np.zeros(len(_columns()["parent"]) + 1, dtype=bool)  # the last place is that of -1
    present[asked] = True
    distinct, place = np.flatnonzero(present).astype(np.int32), (np.cumsum(present) - 1)[asked]
    path = _paths(np.where(distinct < len(present) - 1, distinct, -1))
    ours, theirs = path[:, place[: len(one)]], path[:, place[len(one) :]]
    together = np.logical_and.accumulate((ours == theirs) & (ours >= 0), axis=0).sum(axis=0)
    met = ours[np.maximum(together - 1, 0), np.arange(len(one))]
    return np.where(together > 0, met, -1).astype(np.int32)


def similarity(one: NDArray[np.int32], other: NDArray[np.int32]) -> NDArray[np.float32]:
    """Lin's similarity, float32 [P] in 0 … 1, of each pair of nodes [P]; 0 where either is -1."""
    content = _columns()["content"]
    told = content[np.maximum(one, 0)] + content[np.maximum(other, 0)]
    shared = common(one, other)
    known = (shared >= 0) & (told > 0)
    return np.where(known, 2 * content[np.maximum(shared, 0)] / np.where(known, told, 1), 0).astype(np.float32)


def name(node: int) -> str:
    """WordNet's name of a node: `carnivore.n.01`."""
    return _names()[node]


def above(node: int) -> tuple[int, ...]:
    """The nodes above one, the nearest first, the root last."""
    climb = []
    while (node := int(_columns()["parent"][node])) >= 0:
        climb.append(node)
    return tuple(climb)


def _paths(node: NDArray[np.int32]) -> NDArray[np.int32]:
    """From the root down to each node, int32 [DEEPEST, nodes], filled with -1 below it."""
    parent = _columns()["parent"]
    climb = np.full((DEEPEST, len(node)), -1, dtype=np.int32)
    depth = np.zeros(len(node), dtype=np.int64)
    here = node
    for step in range(DEEPEST):
        climb[step] = here
        depth += here >= 0
        here = np.where(here >= 0, parent[np.maximum(here, 0)], -1)
    rows = depth - 1 - np.arange(DEEPEST)[:, None]  # turn each column round: the root comes first
    return np.where(rows >= 0, np.take_along_axis(climb, np.maximum(rows, 0), axis=0), -1).astype(np.int32)


@cache
def _columns() -> dict[str, NDArray[Any]]:
    """parent: int32 [nodes], -1 for the root; content: float32 [nodes], nats."""
    names = ("parent", "content")
    return {
        column: np.load(table(f"taxonomy_{column}.npy"), mmap_mode="r", allow_pickle=False).view(np.ndarray)
        for column in names
    }


@cache
def _names() -> tuple[str, ...]:
    return cast(tuple[str, ...], tuple(table("taxonomy_names.txt").read_text(encoding="utf-8").splitlines()))
