"""Arithmetic on candidate pairs."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.bonds.pairs import children, first_child, make_bonds, merge, nearest, ranges, run_start
from pipeline.records import Strings, distinct

integers = st.lists(st.integers(0, 9), max_size=20)


def test_ranges_and_runs() -> None:
    owner, value = ranges(np.array([3, 5, 9]), np.array([5, 5, 10]))
    assert (owner.tolist(), value.tolist()) == ([0, 0, 2], [3, 4, 9])
    assert run_start(np.array([7, 7, 2, 2, 2, 7])).tolist() == [0, 0, 2, 2, 2, 5]
    assert run_start(np.array([], dtype=np.int64)).tolist() == []


def test_children_are_found_by_their_parent() -> None:
    parent, members = np.array([-1, 0, 0, 1, 0]), np.array([True, True, False, True, True])
    owner, child = children(parent, np.array([0, 1, 4, 0]), members)
    assert (owner.tolist(), child.tolist()) == ([0, 0, 1, 3, 3], [1, 4, 3, 1, 4])
    assert first_child(parent, members).tolist() == [1, 3, -1, -1, -1]


def test_the_nearest_stay() -> None:
    query, key = np.array([5, 5, 5, 2, 5]), np.array([1, 4, 9, 0, 6])
    assert sorted(nearest(query, key, 2).tolist()) == [1, 3, 4]
    assert nearest(np.array([5, 5]), np.array([6, 4]), 1).tolist() == [1]  # equally near: the earlier key


def test_of_equal_pairs_the_first_stays() -> None:
    bonds = make_bonds("role", np.array([4, 1, 4]), np.array([2, 0, 2]), Strings.of(["b", "c", "a"]))
    assert (bonds.query.tolist(), bonds.key.tolist(), bonds.rule.to_list()) == ([1, 4], [0, 2], ["c", "b"])


def test_merging_sorts_by_query_key_and_kind_and_keeps_what_differs_in_kind() -> None:
    role = make_bonds("role", np.array([4, 1]), np.array([2, 0]), Strings.of(["r", "r"]))
    arcs = make_bonds("dependency", np.array([4, 0]), np.array([2, 1]), Strings.of(["d", "d"]))
    bonds = merge([arcs, role, arcs])
    assert list(zip(bonds.query.tolist(), bonds.key.tolist(), bonds.rule.to_list(), strict=True)) == [
        (0, 1, "d"),
        (1, 0, "r"),
        (4, 2, "r"),
        (4, 2, "d"),
    ]
    assert bonds.rule.values == ("d", "r")
    assert len(merge([])) == 0


@given(integers)
def test_distinct_is_unique(code: list[int]) -> None:
    column = np.array(code, dtype=np.int64)
    ours, true = distinct(column, 10), np.unique(column, return_inverse=True)
    assert all((one == other).all() for one, other in zip(ours, true, strict=True))
