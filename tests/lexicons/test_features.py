"""The 64-bit vocabulary: one bit a feature, and names that come back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexicons.features import AGREEMENT, FEATURES, IMPLIED, SEMANTIC_BITS, implied, mask, names


def test_every_feature_has_a_bit_of_its_own_in_64() -> None:
    assert len(set(FEATURES)) == len(FEATURES) <= 64
    assert mask(*FEATURES) == (1 << len(FEATURES)) - 1


def test_masks_and_names_are_each_others_inverse_in_the_order_of_the_vocabulary() -> None:
    assert mask() == 0
    assert mask("human", "human") == mask("human")
    assert names(0) == ()
    assert names(mask("plural", "human", "animate")) == ("animate", "human", "plural")


@given(st.sets(st.sampled_from(FEATURES)))
def test_no_mask_loses_or_adds_a_name(chosen: set[str]) -> None:
    assert set(names(mask(*chosen))) == chosen


def test_agreement_is_apart_from_meaning() -> None:
    assert mask(*AGREEMENT) & SEMANTIC_BITS == 0


def test_an_unknown_name_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="unknown feature 'humna'"):
        mask("humna")


def test_a_human_is_animate_and_concrete() -> None:
    assert set(names(implied(mask("human", "singular")))) == {"human", "singular", *IMPLIED["human"]}
    assert {"animate", "concrete"} <= set(IMPLIED["human"])
