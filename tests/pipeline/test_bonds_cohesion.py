"""Cohesion bonds: earlier mentions of the same noun in earlier sentences."""

from pipeline.bonds import BondConfig
from pipeline.bonds.cohesion import cohesion_bonds
from tests.pipeline.sentences import documents_of, named, words_of

SIGN = "They/PRON/2/nsubj signed=sign/VERB/0/root the/DET/4/det treaty/NOUN/2/obj"
HELD = "The/DET/2/det treaties=treaty/NOUN/3/nsubj held=hold/VERB/0/root"
RAIN = "It/PRON/2/nsubj rained=rain/VERB/0/root"


def pairs(*sentences: str, **settings: int) -> list[tuple[int, int]]:
    bonds = cohesion_bonds(words_of(*sentences), BondConfig(**settings))  # type: ignore[arg-type]
    return list(zip(bonds.query.tolist(), bonds.key.tolist(), strict=True))


def test_a_noun_looks_back_to_its_lemma() -> None:
    words = words_of(SIGN, HELD)
    assert named(words, cohesion_bonds(words, BondConfig())) == [("treaties", "treaty", "same lemma: treaty")]


def test_capitals_do_not_matter_and_verbs_do_not_count() -> None:
    assert pairs("Treaty/PROPN/0/root", HELD) == [(2, 0)]
    assert pairs("We/PRON/2/nsubj walk/VERB/0/root", "The/DET/2/det walk/VERB/0/root") == []


def test_reach_is_counted_in_sentences() -> None:
    assert pairs(SIGN, RAIN, RAIN, HELD) == [(9, 3)]
    assert pairs(SIGN, RAIN, RAIN, RAIN, HELD) == []
    assert pairs(SIGN, RAIN, HELD, cohesion_reach=1) == []


def test_mentions_in_the_same_sentence_are_left_to_syntax_and_cost_nothing_of_the_cap() -> None:
    twice = "treaty/NOUN/0/root treaty/NOUN/1/conj"
    assert pairs(twice) == []
    assert pairs(twice, twice) == [(2, 0), (2, 1), (3, 0), (3, 1)]


def test_the_nearest_mentions_fill_the_cap() -> None:
    one = "treaty/NOUN/0/root"
    assert pairs(one, one, one, one, cohesion_cap=2) == [(1, 0), (2, 0), (2, 1), (3, 1), (3, 2)]


def test_nouns_close_in_wordnet_are_bonded_and_the_rule_names_what_both_are() -> None:
    words = words_of(
        "The/DET/2/det rocket/NOUN/0/root", "A/DET/2/det missile/NOUN/0/root", "the/DET/2/det tea/NOUN/0/root"
    )
    assert named(words, cohesion_bonds(words, BondConfig())) == [
        ("missile", "rocket", "related: missile ~ rocket (rocket.n.01)")
    ]
    assert len(cohesion_bonds(words, BondConfig(cohesion_similarity=2))) == 0


def test_names_have_no_relatives_and_repetition_comes_first() -> None:
    assert pairs("rocket/NOUN/0/root", "Missile/PROPN/0/root") == []
    texts = ["missile/NOUN/0/root", "rocket/NOUN/0/root", "rocket/NOUN/0/root", "missile/NOUN/0/root"]
    assert pairs(*texts, cohesion_cap=1)[-1] == (3, 0)
    assert pairs(*texts, cohesion_cap=2)[-2:] == [(3, 0), (3, 2)]


def test_wikitext_marks_of_rare_words_are_no_words() -> None:
    assert pairs("unk/NOUN/0/root", "unk/NOUN/0/root") == []
    assert pairs("A/NOUN/0/root", "a/NOUN/0/root") == []


def test_documents_are_apart() -> None:
    words = documents_of([SIGN], [HELD])
    assert len(cohesion_bonds(words, BondConfig())) == 0
