"""Arithmetic on candidate pairs: ragged ranges, the nearest few of each query, sorted bonds without duplicates.

Everything is whole-column numpy; a loop, where there is one, counts hops, caps or kinds, never words.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.records import KINDS, Bonds, Strings, concatenate_strings, distinct

Rows = NDArray[np.int32]
Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]


def ranges(first: NDArray[np.integer], stop: NDArray[np.integer]) -> Pairs:
    """Every value of every half-open range [first, stop).

    first, stop: integers [Q]; an empty or backward range gives nothing. Returns (owner, value), int64 [E]: which range,
    and the value, in the order of the ranges, ascending. O(Q + E).
    """
    size = np.maximum(stop.astype(np.int64) - first, 0)
    owner = np.repeat(np.arange(len(size)), size)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(size) - size, size)
    return owner, first.astype(np.int64)[owner] + place


def run_start(group: NDArray[np.integer]) -> NDArray[np.int64]:
    """int64 [E]: where the run of equal neighbours begins that each entry stands in."""
    place = np.arange(len(group))
    begins = np.ones(len(group), dtype=bool)
    begins[1:] = group[1:] != group[:-1]
    return np.maximum.accumulate(np.where(begins, place, 0)) if len(group) else place


def children(parent: NDArray[np.integer], wanted: NDArray[np.integer], members: NDArray[np.bool_]) -> Pairs:
    """Rows among `members` whose parent is a wanted row.

    parent: [W], -1 for none; wanted: rows [Q], any order, repeats allowed; members: bool [W]. Returns (owner, child),
    int64 [E]: position in `wanted`, and the child's row, ascending for each owner. O(W + M log M + Q log M + E).
    """
    rows = np.flatnonzero(members)
    rows = rows[np.argsort(parent[rows], kind="stable")]
    sorted_parent = parent[rows]
    first = np.searchsorted(sorted_parent, wanted, side="left")
    owner, place = ranges(first, np.searchsorted(sorted_parent, wanted, side="right"))
    return owner, rows[place]


def first_child(parent: NDArray[np.integer], members: NDArray[np.bool_]) -> Rows:
    """int32 [W]: the first row among `members` whose parent is this row, -1 for none."""
    found = np.full(len(parent), -1, dtype=np.int32)
    rows = np.flatnonzero(members & (parent >= 0))[::-1]  # backwards: the first child is written last and stays
    found[parent[rows]] = rows
    return found


def nearest(query: NDArray[np.integer], key: NDArray[np.integer], cap: int) -> NDArray[np.int64]:
    """Positions of at most `cap` pairs a query, those with the smallest |query − key|; the earlier key wins a tie."""
    order = np.lexsort((key, np.abs(key - query), query))
    rank = np.arange(len(order)) - run_start(query[order])
    return order[rank < cap]


def best(
    query: NDArray[np.integer], key: NDArray[np.integer], worth: NDArray[np.float32], cap: int
) -> NDArray[np.int64]:
    """Positions of at most `cap` pairs a query, the worthiest; of equals the nearer, then the earlier key."""
    many = np.bincount(query) > cap if len(query) else np.zeros(0, bool)
    if not many.any():
        return np.arange(len(query))
    contested = np.flatnonzero(many[query])  # few: only they need sorting
    q, k = query[contested], key[contested]
    order = np.lexsort((k, np.abs(q - k), -worth[contested], q))
    rank = np.arange(len(order)) - run_start(q[order])
    kept = np.ones(len(query), dtype=bool)
    kept[contested[order[rank >= cap]]] = False
    return np.flatnonzero(kept)


def make_bonds(kind: str, query: NDArray[np.integer], key: NDArray[np.integer], rule: Strings) -> Bonds:
    """Bonds of one kind from parallel columns in any order; of equal pairs the first one given stays."""
    bonds = Bonds(
        query=query.astype(np.int32),
        key=key.astype(np.int32),
        kind=np.full(len(query), KINDS.index(kind), dtype=np.uint8),
        rule=rule,
    )
    return _sorted_once(bonds)


def merge(parts: Sequence[Bonds]) -> Bonds:
    """All bonds of all parts, sorted by query, key, kind; no triple twice. No part gives no bonds."""
    empty = np.empty(0, np.int32)
    return _sorted_once(
        Bonds(
            query=np.concatenate([empty, *(part.query for part in parts)]),
            key=np.concatenate([empty, *(part.key for part in parts)]),
            kind=np.concatenate([empty.astype(np.uint8), *(part.kind for part in parts)]),
            rule=concatenate_strings([part.rule for part in parts]),
        )
    )


def _sorted_once(bonds: Bonds) -> Bonds:
    # One int64 says the whole triple: rows stay below 2^30 (a shard), kinds below 2^3.
    triple = (bonds.query.astype(np.int64) << 33) | (bonds.key.astype(np.int64) << 3) | bonds.kind
    order = np.argsort(triple, kind="stable")
    triple = triple[order]
    fresh = np.ones(len(order), dtype=bool)
    fresh[1:] = triple[1:] != triple[:-1]
    order = order[fresh]
    return Bonds(
        query=bonds.query[order],
        key=bonds.key[order],
        kind=bonds.kind[order],
        rule=canonical(bonds.rule.take(order)),
    )


def canonical(column: Strings) -> Strings:
    """The same column over the values that it uses, sorted: equal columns have equal codes, whatever made them."""
    used, code = distinct(column.code, len(column.values))
    values = [column.values[place] for place in used.tolist()]
    place = {value: number for number, value in enumerate(sorted(set(values)))}
    renamed = np.array([place[value] for value in values], dtype=np.int32)
    return Strings(renamed[code], tuple(place))
