"""The modes: what each stores, what the causal one may not know, and what `full` forbids."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.annotate import annotate
from pipeline.bonds import BOND_KINDS, BondConfig, bonds_of, rules_digest
from pipeline.bonds.causal import CAUSAL_KINDS
from pipeline.bonds.modes import MODES, mode_config, mode_of
from pipeline.corpus import Document
from pipeline.parsers import Parser, load_parser
from pipeline.records import KINDS, Bonds, Words
from tests.pipeline.random_words import cut, documents, words_of_cells
from tests.pipeline.sentences import named, words_of

CAUSAL = mode_config("causal")


def rows(bonds: Bonds) -> list[tuple[int, int, int, str]]:
    columns = bonds.query.tolist(), bonds.key.tolist(), bonds.kind.tolist(), bonds.rule.to_list()
    return list(zip(*columns, strict=True))


def test_the_table() -> None:
    assert set(MODES) == {"full", "pos_only", "features_only", "none", "syntax", "near", "causal"}
    with pytest.raises(TypeError):
        MODES["mine"] = MODES["none"]  # type: ignore[index]
    for name, mode in MODES.items():
        assert set(mode.kinds) <= set(CAUSAL_KINDS if mode.causal else BOND_KINDS)
        config = mode_config(name)
        assert (config.mode, config.kinds) == (name, mode.kinds)
    digests = {rules_digest(mode_config(name)) for name in MODES}
    assert len(digests) == len(MODES), "a mode is part of a layer's key, even where nothing is stored"


def test_a_mode_that_is_none_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'causal'"):
        mode_of("casual")
    with pytest.raises(ValueError, match="the modes are full"):
        mode_config("xyz")
    with pytest.raises(ValueError, match="there is no mode"):
        bonds_of(words_of("Go/VERB/0/root"), BondConfig(mode="xyz"))


def test_settings_of_another_mode_do_not_stay() -> None:
    near = mode_config("near", BondConfig(cohesion_cap=2))
    assert (near.cohesion_cap, near.binding_reach) == (2, 1)
    assert mode_config("causal", near) == mode_config("causal")
    assert mode_config("full", replace(BondConfig(), control="random-keys")).control == ""


@given(documents())
@settings(max_examples=40, deadline=None)
def test_modes_store_their_kinds_and_reach_no_farther(texts: list) -> None:  # type: ignore[type-arg]
    words = annotate(words_of_cells(texts))
    for name, mode in MODES.items():
        bonds = bonds_of(words, mode_config(name))
        assert {KINDS[kind] for kind in bonds.kind.tolist()} <= set(mode.kinds)
        assert (words.document[bonds.query] == words.document[bonds.key]).all()
        if mode.sentences:
            assert (np.abs(words.sentence[bonds.query] - words.sentence[bonds.key]) < mode.sentences).all()
        if mode.causal:
            assert (bonds.key < bonds.query).all()


# Law 1: what follows changes no bond of an earlier query


@given(documents(named=False), st.data())
@settings(max_examples=80, deadline=None)
def test_causal_bonds_are_a_function_of_what_came_before(texts: list, data: st.DataObject) -> None:  # type: ignore[type-arg]
    words = words_of_cells(texts)
    size = data.draw(st.integers(1, len(words)))
    caps = {name: data.draw(st.integers(1, 3)) for name in ("dependency_cap", "role_cap", "binding_cap", "open_cap")}
    config = replace(CAUSAL, escape_every=5, escape_sentences=1, **caps)
    whole = [row for row in rows(bonds_of(annotate(words), config)) if row[0] < size]
    assert rows(bonds_of(annotate(cut(words, size)), config)) == whole


@given(documents(), st.data())
@settings(max_examples=80, deadline=None)
def test_so_are_arcs_with_names(texts: list, data: st.DataObject) -> None:  # type: ignore[type-arg]
    """Kinds that ask the tree; what `annotate` says of titles and particles is another matter."""
    words = words_of_cells(texts)
    size = data.draw(st.integers(1, len(words)))
    config = replace(CAUSAL, kinds=("dependency", "role", "open", "escape"))
    whole = [row for row in rows(bonds_of(annotate(words), config)) if row[0] < size]
    assert rows(bonds_of(annotate(cut(words, size)), config)) == whole


def test_bonds_that_have_seen_the_sentence_are_found_out() -> None:
    """The same check on the default kinds: a later word changes what an earlier one may see."""
    words = words_of("the/DET/3/det old/ADJ/3/amod man/NOUN/4/nsubj boats=boat/VERB/0/root")
    whole = [row for row in rows(bonds_of(annotate(words), BondConfig())) if row[0] < 2]
    assert rows(bonds_of(annotate(cut(words, 2)), BondConfig())) != whole


STORY = (
    'Mary gave him the old book that he (so they said) had asked for. "It\'s mine," she said; then they left!\n\n'
    "The king himself saw the treaty. Naïve cafés, 12.5 miles off, sold it to the U.S. Navy: nobody bought two.\n"
)


@pytest.fixture(scope="module")
def prefix() -> Parser:
    return load_parser("prefix")


def parsed(parser: Parser, text: str) -> Words:
    document = Document(id="d", source="s", split="train", language="en", text=text)
    return annotate(parser.parse([document])[0])


@settings(deadline=None, max_examples=60)
@example(place=126, tail="ing things")  # "ing things" lies where "the treaty" did
@given(place=st.integers(1, len(STORY) - 1), tail=st.sampled_from(("", ".", " the", "\n\nHe", ")", '"', "ing things")))
def test_a_text_cut_anywhere(place: int, tail: str, prefix: Parser) -> None:
    whole, other = parsed(prefix, STORY), parsed(prefix, STORY[:place] + tail)
    same = 0
    while same < min(len(whole), len(other)) and all(
        getattr(whole, name)[same] == getattr(other, name)[same] for name in ("start", "end", "sentence", "text")
    ):
        same += 1
    assert same >= (whole.end < place).sum() - 2, "words that the text before the cut closes"
    told = same - 1  # the last of them may be half of a word that happens to be one
    bonds, others = ([row for row in rows(bonds_of(words, CAUSAL)) if row[0] < told] for words in (whole, other))
    assert bonds == others


def test_causal_bonds_by_hand() -> None:
    words = annotate(words_of(
        "Mary/PROPN/2/nsubj saw=see/VERB/0/root him/PRON/2/obj in/ADP/6/case the/DET/6/det garden/NOUN/2/obl",
        "She/PRON/2/nsubj saw=see/VERB/0/root herself/PRON/2/obj",
    ))  # fmt: skip
    bonds = bonds_of(words, replace(CAUSAL, kinds=("dependency", "role", "binding")))
    found = {(query, key): rule for query, key, rule in named(words, bonds) if rule != "obj"}
    assert found["him", "saw"].startswith("see-30.1"), "the verb's role for its object"
    assert found["She", "Mary"] == "principle B: she ~ [third singular feminine]"
    assert found["herself", "She"] == "principle A: herself ~ [third singular feminine]"
    assert ("him", "Mary") not in found, "principle B: both hang on the verb, which is closed"
    assert ("Mary", "saw") not in found, "nobody looks ahead"
    rules = {(query, key, rule) for query, key, rule in named(words, bonds)}
    assert {("saw", "Mary", "has nsubj"), ("garden", "saw", "obl"), ("garden", "in", "has case")} <= rules


# What `full` forbids


def blocked(*sentences: str) -> dict[tuple[str, str], str]:
    words = annotate(words_of(*sentences))
    return {(query, key): rule for query, key, rule in named(words, bonds_of(words, mode_config("full")))}


def test_principle_b_forbids_the_local_subject() -> None:
    found = blocked("John/PROPN/2/nsubj saw=see/VERB/0/root him/PRON/2/obj")
    assert found == {("him", "John"): "principle B: him"}


def test_principle_c_forbids_what_the_pronoun_commands() -> None:
    found = blocked("He/PRON/2/nsubj said=say/VERB/0/root John/PROPN/4/nsubj left=leave/VERB/2/ccomp")
    assert found["He", "John"] == "principle C: he"


def test_principle_a_forbids_what_is_not_the_binder() -> None:
    found = blocked(
        "John/PROPN/2/nsubj said=say/VERB/0/root Peter/PROPN/4/nsubj saw=see/VERB/2/ccomp himself/PRON/4/obj"
    )
    assert found["himself", "John"] == "principle A: himself"
    assert ("himself", "Peter") not in found


def test_a_restriction_that_every_slot_makes_forbids_its_filler() -> None:
    found = blocked("Stones=stone/NOUN/2/nsubj judge/VERB/0/root kings=king/NOUN/2/obj")
    assert "refuses: [+" in found["judge", "Stones"]
    assert ("judge", "kings") not in found


ALLOWED = {
    "an exempt reflexive": (
        "Pictures=picture/NOUN/4/nsubj of/ADP/3/case himself/PRON/1/nmod annoyed=annoy/VERB/0/root John/PROPN/4/obj",
        ("himself", "John"),
    ),
    "the name behind the binding pronoun": (
        "John/PROPN/2/nsubj said=say/VERB/0/root he/PRON/4/nsubj saw=see/VERB/2/ccomp himself/PRON/4/obj",
        ("himself", "John"),
    ),
    "a pronoun in an oblique": (
        "Mary/PROPN/2/nsubj took=take/VERB/0/root the/DET/4/det book/NOUN/2/obj with/ADP/6/case her/PRON/2/obl",
        ("her", "Mary"),
    ),
    "his own": (
        "John/PROPN/5/nsubj is=be/AUX/5/cop his/PRON/5/nmod:poss own/ADJ/5/amod boss/NOUN/0/root",
        ("his", "John"),
    ),
    "the one to whom a promise is made": (
        "John/PROPN/2/nsubj promised=promise/VERB/0/root Mary/PROPN/2/obj "
        "to/PART/5/mark help/VERB/2/xcomp her/PRON/5/obj",
        ("her", "Mary"),
    ),
    "a name that is a river's too": (
        "Hudson/PROPN/2/nsubj thought=think/VERB/0/root so/ADV/2/advmod",
        ("thought", "Hudson"),
    ),
}


@pytest.mark.parametrize(("sentence", "pair"), ALLOWED.values(), ids=ALLOWED)
def test_what_no_principle_and_no_restriction_forbids(sentence: str, pair: tuple[str, str]) -> None:
    assert pair not in blocked(sentence)


def test_principle_b_forbids_a_later_noun_in_the_same_clause() -> None:
    assert blocked("They/PRON/2/nsubj saw=see/VERB/0/root the/DET/4/det kings=king/NOUN/2/obj")["They", "kings"]


@given(documents())
@settings(max_examples=60, deadline=None)
def test_no_pair_is_both_a_bond_and_blocked(texts: list) -> None:  # type: ignore[type-arg]
    words = annotate(words_of_cells(texts))
    cut_pairs = {row[:2] for row in rows(bonds_of(words, BondConfig(kinds=("blocked",))))}
    reference = BondConfig(kinds=("role", "binding"), binding_without=("salience",))
    kept = {row[:2] for row in rows(bonds_of(words, reference))}
    assert not cut_pairs & kept
    most = np.bincount([query for query, _ in cut_pairs] or [0]).max()
    assert most <= BondConfig().blocked_cap


def test_what_closed_arcs_forbid() -> None:
    words = annotate(words_of(
        "Mary/PROPN/2/nsubj saw=see/VERB/0/root her/PRON/2/obj",
        "Stones=stone/NOUN/2/nsubj judge/VERB/0/root kings=king/NOUN/2/obj",
    ))  # fmt: skip
    bonds = bonds_of(words, replace(CAUSAL, kinds=("blocked",)))
    found = {(query, key): rule for query, key, rule in named(words, bonds)}
    assert found["her", "Mary"] == "principle B: her"
    assert found["judge", "Stones"].startswith("refuses: ")
    assert ("kings", "judge") not in found


@given(documents(named=False))
@settings(max_examples=60, deadline=None)
def test_nor_is_any_by_closed_arcs(texts: list) -> None:  # type: ignore[type-arg]
    words = annotate(words_of_cells(texts))
    cut_pairs = {row[:2] for row in rows(bonds_of(words, replace(CAUSAL, kinds=("blocked",))))}
    kept = {row[:2] for row in rows(bonds_of(words, replace(CAUSAL, kinds=("role", "binding"))))}
    assert not cut_pairs & kept
