"""The closed class of English pronouns."""

import pytest

from lexicons.features import GENDER_BITS, NUMBER_BITS, PERSON_BITS, mask, names
from lexicons.pronouns import PRONOUN_KINDS, Pronoun, pronoun, pronouns


def entry(form: str) -> Pronoun:
    found = pronoun(form)
    assert found is not None, form
    return found


@pytest.mark.parametrize(
    ("form", "kind", "principle"),
    [
        ("she", "personal", "B"),
        ("him", "personal", "B"),
        ("his", "possessive", "B"),
        ("hers", "possessive", None),
        ("herself", "reflexive", "A"),
        ("each other", "reciprocal", "A"),
        ("this", "demonstrative", None),
        ("who", "relative", None),
        ("what", "interrogative", None),
        ("nobody", "indefinite", None),
        ("there", "expletive", None),
    ],
)
def test_kind_and_principle(form: str, kind: str, principle: str | None) -> None:
    assert (entry(form).kind, entry(form).principle) == (kind, principle)


def test_she_is_one_woman() -> None:
    said = set(names(entry("she").features))
    assert {"third", "singular", "feminine", "human", "animate", "concrete"} <= said
    assert "masculine" not in said


def test_they_may_be_one_or_many_of_any_kind() -> None:
    for form in ("they", "them", "their", "themselves"):
        assert names(entry(form).features) == ("third",)


def test_it_is_neuter_and_may_stand_for_nothing() -> None:
    assert set(names(entry("it").features)) == {"third", "singular", "neuter"}
    assert set(entry("it").kinds) == {"personal", "expletive"}


def test_you_has_no_number_but_yourselves_has() -> None:
    assert entry("you").features & NUMBER_BITS == 0
    assert entry("yourselves").features & NUMBER_BITS == mask("plural")


def test_capitals_and_curly_apostrophes_do_not_matter() -> None:
    assert pronoun("Himself") == pronoun("himself")
    assert pronoun("’em") == pronoun("'em")


def test_other_words_are_no_pronouns() -> None:
    assert pronoun("dog") is None
    assert pronoun("") is None


def test_every_row_of_the_table_is_sound() -> None:
    for form, found in pronouns().items():
        assert form == found.form == form.lower()
        assert found.kinds
        assert set(found.kinds) <= set(PRONOUN_KINDS), form
        for group in (PERSON_BITS, NUMBER_BITS, GENDER_BITS):
            assert (found.features & group).bit_count() <= 1, f"{form} contradicts itself"
        assert (found.principle == "A") == bool({"reflexive", "reciprocal"} & set(found.kinds)), form
