"""Entries: everything that is known of a lemma, with its sources."""

import pytest

from lexicons.entry import SOURCES, entry


def test_a_verb_has_its_classes_roles_and_frames() -> None:
    found = entry("Give")
    assert set(found["sources"]) == {"wordnet", "verbnet"}
    give = next(one for one in found["verbnet"] if one["class"] == "give-13.1-1")
    assert give["roles"]["Recipient"] == ["[+animate | +organization]"]
    assert give["required"] == ["Agent"]
    slot = {"role": "Recipient", "position": "oblique", "prepositions": ["to"]}
    assert {**slot, "restriction": "[+animate | +organization]", "required": False} in give["frames"][0]


def test_a_noun_has_its_features_and_its_most_usual_sense() -> None:
    dog = entry("dog")["wordnet"]["NOUN"]
    assert "animal" in dog["typical"]
    assert "human" in dog["possible_besides"]
    assert (dog["most_usual_sense"], dog["above"][0], dog["above"][-1]) == ("dog.n.01", "canine.n.02", "entity.n.01")


def test_a_pronoun_a_name_and_an_unknown_noun() -> None:
    assert entry("themselves")["pronoun"]["principle"] == "A"
    assert "location" in entry("london")["name"]
    newsgroup = entry("newsgroup")
    assert newsgroup["make"] == ["abstract", "group"]
    assert newsgroup["sources"] == {"make": SOURCES["make"]}


def test_an_unknown_lemma_is_an_error_with_the_nearest_one() -> None:
    with pytest.raises(ValueError, match="did you mean 'give'"):
        entry("givve")
    with pytest.raises(ValueError, match="no entry for ''"):
        entry("")
