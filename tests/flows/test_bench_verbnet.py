"""VerbNet's examples: the phrases of a parse beside the slots of a frame. Parses are written by hand."""

from pathlib import Path

import pytest

from flows.bench.verbnet import bench_verbnet
from flows.bench.verbnet_align import align, find_verb, phrases_around
from lexicons.compile.verbnet_examples import Example
from lexicons.verbnet import Slot, slot_of
from tests.pipeline.sentences import words_of

AGENT, THEME = ("Agent", "subject", "", "[+animate]"), ("Theme", "object", "", "")
RECEIVER, TO = ("Recipient", "second_object", "", ""), ("Recipient", "oblique", "to, unto", "")
THERE, OUT_OF = ("Place", "oblique", "", ""), ("Source", "oblique", "out of", "")
RESULT = ("Result", "clause", "", "")


def slots(*written: tuple[str, str, str, str]) -> tuple[Slot, ...]:
    return tuple(slot_of(list(one), frozenset()) for one in written)


def example(*verbs: str, forms: tuple[str, ...] = ()) -> Example:
    return Example("give-13.1", "NP V NP", "", frozenset(verbs), frozenset(forms), ())


def fillers(sentence: str, verb: str, *written: tuple[str, str, str, str]) -> list[str | None]:
    """The word that fills each slot."""
    words = words_of(sentence)
    row = find_verb(words, range(len(words)), example(verb))
    assert row is not None
    phrases = phrases_around(words, row)
    return [None if place is None else words.text[phrases[place].row] for place in align(slots(*written), phrases)]


def test_relations_name_positions() -> None:
    said = "She/PRON/2/nsubj gave=give/VERB/0/root him/PRON/2/iobj books/NOUN/2/obj"
    assert fillers(said, "give", AGENT, RECEIVER, THEME) == ["She", "him", "books"]


def test_a_preposition_must_fit_even_where_the_parser_hung_it_on_the_object() -> None:
    said = "She/PRON/2/nsubj gave=give/VERB/0/root books/NOUN/2/obj to/ADP/5/case him/PRON/3/nmod"
    assert fillers(said, "give", AGENT, THEME, TO) == ["She", "books", "him"]
    assert fillers(said, "give", AGENT, THEME, OUT_OF) == ["She", "books", None]


def test_order_helps_where_the_parser_has_no_name_for_the_phrase() -> None:
    said = "Carol/PROPN/2/compound cut/NOUN/0/root bread/NOUN/2/appos"
    assert fillers(said, "cut", AGENT, THEME) == ["Carol", "bread"]
    said = "The/DET/2/det ball/NOUN/0/root rolled=roll/VERB/2/acl"
    assert fillers(said, "roll", THEME[:1] + AGENT[1:]) == ["ball"]


def test_a_slot_without_a_phrase_stays_empty() -> None:
    said = "She/PRON/2/nsubj put/VERB/0/root it/PRON/2/obj there/ADV/2/advmod"
    assert fillers(said, "put", AGENT, THEME, THERE) == ["She", "it", None]


def test_a_predicate_takes_the_noun_that_is_left() -> None:
    said = "We/PRON/2/nsubj elected=elect/VERB/0/root him/PRON/2/iobj governor/NOUN/2/obj"
    assert fillers(said, "elect", AGENT, THEME, RESULT) == ["We", "him", "governor"]


def test_the_subject_of_a_clause_below_is_no_filler() -> None:
    said = "She/PRON/2/nsubj said=say/VERB/0/root he/PRON/4/nsubj left=leave/VERB/2/ccomp"
    assert fillers(said, "say", AGENT, THEME) == ["She", None]


def test_the_verb_is_found_by_lemma_by_form_or_as_the_root() -> None:
    words = words_of("He/PRON/2/nsubj fought/VERB/0/root on/ADV/2/advmod")
    rows = range(len(words))
    assert find_verb(words, rows, example("fight", forms=("fought",))) == 1
    assert find_verb(words, rows, example("run")) == 1
    assert find_verb(words_of("He/PRON/0/root"), range(1), example("run")) is None


def test_without_verbnet_there_is_nothing_to_measure(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="lacks corpora/verbnet3"):
        bench_verbnet(tmp_path)
