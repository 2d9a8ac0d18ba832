"""What WordNet knows of words whose meaning one can check by eye."""

import numpy as np
import pytest

from lexicons.features import names
from lexicons.upos import UPOS_INDEX
from lexicons.wordnet import _columns, named, possible, semantic


def said_of(lemma: str, tag: str = "NOUN") -> set[str]:
    return set(names(int(semantic([lemma], np.array([UPOS_INDEX[tag]], dtype=np.uint8))[0])))


@pytest.mark.parametrize(
    ("lemma", "has", "has_not"),
    [
        ("teacher", {"animate", "human", "concrete"}, {"organization", "artifact"}),
        ("dog", {"animate", "animal"}, {"human", "artifact"}),
        ("people", {"animate", "human", "group"}, {"organization"}),
        ("dragon", {"animate", "concrete"}, {"abstract"}),
        ("government", {"organization"}, {"animate", "concrete"}),
        ("city", {"location", "region", "concrete"}, {"animate", "organization"}),
        ("kitchen", {"location", "building"}, {"animate"}),
        ("bread", {"comestible", "solid"}, {"fluid", "artifact"}),
        ("beer", {"comestible", "fluid"}, {"solid"}),
        ("knife", {"tool", "solid", "artifact"}, {"natural"}),
        ("truck", {"vehicle", "machine", "int_control"}, {"animate"}),
        ("storm", {"force", "natural"}, {"artifact"}),
        ("shirt", {"garment"}, {"body_part"}),
        ("knee", {"body_part"}, {"garment"}),
        ("dollar", {"currency"}, {"animate"}),
        ("sentence", {"communication", "abstract"}, {"concrete"}),
        ("week", {"time"}, {"concrete", "location"}),
        ("anger", {"feeling", "state"}, {"concrete"}),
        ("queen", {"human", "feminine"}, {"masculine"}),
        ("uncle", {"human", "masculine"}, {"feminine"}),
        ("neighbor", {"human"}, {"masculine", "feminine"}),
    ],
)
def test_common_nouns(lemma: str, has: set[str], has_not: set[str]) -> None:
    found = said_of(lemma)
    assert has <= found
    assert not has_not & found


def test_verbs_share_the_bits_of_their_domain_with_nouns() -> None:
    assert {"communication", "event"} <= said_of("speak", "VERB")
    assert {"motion", "event"} <= said_of("run", "VERB")
    assert "state" in said_of("belong", "VERB")


def test_adjectives_are_attributes_and_have_what_they_measure() -> None:
    assert {"attribute", "state", "abstract"} <= said_of("green", "ADJ")
    assert "quantity" in said_of("long", "ADJ")


def test_the_part_of_speech_decides() -> None:
    assert "comestible" in said_of("fish")
    assert "comestible" not in said_of("fish", "VERB")


def test_unknown_words_proper_nouns_and_other_tags_have_nothing_here() -> None:
    assert said_of("blorptangle") == said_of("London", "PROPN") == said_of("dog", "ADV") == set()
    assert said_of("give up", "VERB") == set()


def test_a_word_longer_than_the_table_is_not_mistaken_for_its_beginning() -> None:
    keys = _columns()["lemmas"]
    fullest = next(key.decode() for key in keys if len(key) == keys.dtype.itemsize and key.endswith(b"/n"))
    assert said_of(fullest.removesuffix("/n"))
    assert said_of(fullest + "s") == set()  # cut to the table's width, its key would be `fullest` again


def test_capitals_do_not_matter_to_common_nouns_and_monday_is_one() -> None:
    assert said_of("Dog") == said_of("dog")
    assert "time" in said_of("Monday")


def test_names_are_known_by_their_capitalised_senses_alone() -> None:
    london, einstein, may, table = (set(names(int(bits))) for bits in named(["London", "Einstein", "May", "table"]))
    assert "location" in london
    assert {"human", "animate"} <= einstein
    assert "time" in may
    assert "communication" not in may
    assert table == set()


def test_typical_is_possible_and_rare_senses_are_only_possible() -> None:
    noun = np.array([UPOS_INDEX["NOUN"]], dtype=np.uint8)
    typical, any_sense = int(semantic(["dog"], noun)[0]), int(possible(["dog"], noun)[0])
    assert typical & ~any_sense == 0
    assert "comestible" in names(any_sense & ~typical)  # the hot dog


def test_a_column_gives_what_its_words_give_alone() -> None:
    words = [("dog", "NOUN"), ("run", "VERB"), ("dog", "NOUN"), ("dog", "VERB"), ("blorp", "NOUN")]
    tags = np.array([UPOS_INDEX[tag] for _, tag in words], dtype=np.uint8)
    column = semantic([lemma for lemma, _ in words], tags)
    assert column.dtype == np.uint64
    assert [set(names(int(bits))) for bits in column] == [said_of(*word) for word in words]
    assert semantic([], np.array([], dtype=np.uint8)).shape == (0,)
