"""Selectional restrictions: what the brackets mean, and that nobody is turned away for lack of knowledge."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lexicons.features import SEMANTIC, mask
from lexicons.restriction import Atom, Restriction, restriction

PERSON, TEAM, TABLE, DOG = (
    mask("animate", "human", "concrete"),
    mask("organization", "group", "abstract"),
    mask("concrete", "artifact"),
    mask("animate", "animal", "concrete"),
)


def allowed(text: str, *fillers: int) -> list[bool]:
    verdicts: list[bool] = restriction(text).allows(np.array(fillers, dtype=np.uint64)).tolist()
    return verdicts


def test_or_takes_either() -> None:
    assert allowed("[+animate | +organization]", PERSON, TEAM, TABLE) == [True, True, False]


def test_and_takes_both_and_minus_forbids() -> None:
    assert allowed("[+concrete & -animate]", PERSON, TEAM, TABLE) == [False, False, True]


def test_brackets_nest() -> None:
    assert allowed("[+organization | [+animate & -human]]", PERSON, TEAM, TABLE, DOG) == [False, True, False, True]


def test_a_word_without_semantic_features_is_allowed_whatever_its_agreement_says() -> None:
    assert allowed("[+animate]", 0, mask("plural", "third")) == [True, True]
    assert allowed("[-animate]", 0) == [True]
    assert allowed("[[+animate & +concrete] | +organization]", 0) == [True]


def test_the_empty_restriction_allows_all_and_is_written_as_nothing() -> None:
    free = restriction("")
    assert free.allows(np.array([0, PERSON, TABLE], dtype=np.uint64)).all()
    assert (str(free), bool(free)) == ("", False)


def test_joining_two_restrictions_keeps_each_demand_once() -> None:
    animate = restriction("[+animate]")
    assert str(animate & restriction("")) == "[+animate]"
    assert str(restriction("") & animate) == "[+animate]"
    assert str(animate & animate) == "[+animate]"
    assert str(restriction("[+solid | +fluid]") & animate) == "[[+solid | +fluid] & +animate]"


atoms = st.builds(Atom, st.booleans(), st.sampled_from(SEMANTIC))
trees = st.recursive(
    atoms,
    lambda below: st.builds(
        Restriction, st.sampled_from(["and", "or"]), st.lists(below, min_size=2, max_size=3).map(tuple)
    ),
    max_leaves=8,
)


@given(trees.filter(lambda tree: isinstance(tree, Restriction)))
def test_what_is_written_is_read_back(tree: Restriction) -> None:
    assert restriction(str(tree)) == tree


def slowly_allows(tree: Restriction | Atom, bits: int) -> bool:
    """Straight from the meaning, one word at a time."""
    if isinstance(tree, Atom):
        has = bool(bits & mask(tree.feature))
        return (has or bits & mask(*SEMANTIC) == 0) if tree.wanted else not has
    verdicts = [slowly_allows(part, bits) for part in tree.parts]
    return all(verdicts) if tree.logic == "and" else any(verdicts)


@given(trees, st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=5))
def test_columns_are_judged_as_words_are(tree: Restriction, bits: list[int]) -> None:
    column: NDArray[np.uint64] = np.array(bits, dtype=np.uint64)
    assert tree.allows(column).tolist() == [slowly_allows(tree, one) for one in bits]


@pytest.mark.parametrize("text", ["[+animate", "+animate", "[+animate | +human & +solid]", "[animate]", "[+animate] x"])
def test_what_is_no_restriction_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="restriction"):
        restriction(text)


def test_an_unknown_feature_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown feature 'anmate'"):
        restriction("[+anmate]")
