"""What the make of a noun says of it when WordNet does not have the noun."""

import pytest

from lexicons.features import names
from lexicons.morphology import suffix_features, unknown_noun


@pytest.mark.parametrize(
    ("lemma", "feature"),
    [
        ("p.m.", "time"),
        ("01-Feb-02", "time"),
        ("10:30", "time"),
        ("26th", "time"),
        ("80s", "time"),
        ("$500", "currency"),
        ("$", "currency"),
        ("US$", "currency"),
        ("%", "quantity"),
        ("10mm", "quantity"),
        ("alt.animals.cat", "communication"),
        ("report.pdf", "communication"),
        ("someone@example.com", "communication"),
        ("regards", "idea"),
        ("zyxologist", "human"),
        ("zyxiness", "attribute"),
        ("anti-proliferation", "act"),
        ("ex-astronaut", "human"),
        ("book-launch", "act"),
        ("tutoring", "act"),
        ("botching", "act"),
        ("newsgroup", "group"),
        ("counterparty", "organization"),
        ("lawnmower", "artifact"),
    ],
)
def test_the_make_of_a_noun_speaks(lemma: str, feature: str) -> None:
    assert feature in names(unknown_noun(lemma))
    assert unknown_noun(lemma.upper()) == unknown_noun(lemma)


@pytest.mark.parametrize(
    "lemma", ["", "s", "zyx", "mist", "ub", "EB3326", "-", "/", "...", ":-)", "+", "😀", "'", "on", "a-", "-b"]
)
def test_what_no_rule_knows_stays_silent(lemma: str) -> None:
    assert suffix_features(lemma) == 0
    if lemma != "mist":  # a known verb, and known to WordNet besides
        assert unknown_noun(lemma) == 0


def test_a_prefix_without_hyphen_needs_a_longer_noun() -> None:
    assert "body_part" not in names(unknown_noun("coarse"))
    assert "human" in names(unknown_noun("cofounder"))
