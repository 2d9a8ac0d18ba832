"""The closed class of English pronouns."""

import pytest

from lexicons.features import GENDER_BITS, NUMBER_BITS, PERSON_BITS, mask, names
from lexicons.pronouns import PRONOUN_KINDS, Pronoun, pronoun, pronoun_of, pronoun_of_feats, pronouns


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


CLOSED_CLASS = {
    "personal": "i me we us you he him she her it they them thou thee ye y'all",
    "possessive": "my our your his her its their thy mine ours yours hers theirs thine",
    "reflexive": "myself ourselves ourself yourself yourselves himself herself itself themselves themself oneself",
    "reciprocal": "each_other one_another",
    "demonstrative": "this that these those such",
    "relative": "who whom whose which that what whoever whomever whichever",
    "interrogative": "who whom whose which what whoever whatever",
    "indefinite": "someone somebody something anyone anybody anything everyone everybody everything no_one nobody "
    "nothing none some any all both each either neither another other others many few several most more less much "
    "little enough one half plenty fewer",
    "expletive": "it there",
}


@pytest.mark.parametrize("kind", CLOSED_CLASS)
def test_the_closed_class_is_whole(kind: str) -> None:
    forms = [form.replace("_", " ") for form in CLOSED_CLASS[kind].split()]
    missing = [form for form in forms if kind not in (entry(form).kinds if pronoun(form) else ())]
    assert missing == []


@pytest.mark.parametrize(
    ("feats", "kinds", "principle", "said"),
    [
        (
            "Case=Nom|Gender=Fem|Number=Sing|Person=3|PronType=Prs",
            ("personal",),
            "B",
            {"third", "singular", "feminine"},
        ),
        ("Case=Acc|Number=Sing|Person=3|PronType=Prs|Reflex=Yes", ("reflexive",), "A", {"third", "singular"}),
        ("Number=Plur|PronType=Rcp", ("reciprocal",), "A", {"plural"}),
        ("Gender=Masc,Neut|Number=Sing|PronType=Dem", ("demonstrative",), None, {"singular"}),
        ("Gender=Fem|Number=Plur|Person=1|Poss=Yes|PronType=Prs", ("possessive",), "B", {"first"}),
        ("PronType=Int,Rel", ("interrogative", "relative"), None, set()),
        ("PronType=Neg", ("indefinite",), None, set()),
        ("PronType=Tot", ("indefinite",), None, set()),
    ],
)
def test_ud_features_speak_for_other_languages(
    feats: str, kinds: tuple[str, ...], principle: str | None, said: set[str]
) -> None:
    found = pronoun_of_feats("Sie", feats)
    assert found is not None
    assert (found.form, found.kinds, found.principle, set(names(found.features))) == ("sie", kinds, principle, said)


def test_features_without_a_type_of_pronoun_say_nothing() -> None:
    assert pronoun_of_feats("x", "") is None
    assert pronoun_of_feats("x", "Number=Sing|PronType=Art") is None
    assert pronoun_of_feats("x", "_") is None


def test_the_form_goes_before_the_lemma_and_the_lemma_before_the_features() -> None:
    assert pronoun_of("They", "it", "PronType=Rel") == pronoun("they")
    assert pronoun_of("thier", "their", "PronType=Rel") == pronoun("their")
    found = pronoun_of("ella", "él", "Gender=Fem|Number=Sing|Person=3|PronType=Prs")
    assert found is not None
    assert found.principle == "B"
