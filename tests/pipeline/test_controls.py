"""Controls keep what they say that they keep, lose the rest, and no document's depends on its neighbours."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.annotate import annotate
from pipeline.bonds import BondConfig, bonds_of
from pipeline.controls import BONDS, CONTROLS, controlled_bonds, layer_digest
from pipeline.controls.tags import permuted_tags
from pipeline.controls.trees import random_tree
from pipeline.records import KINDS, Bonds, Words, concatenate_words, no_words
from tests.pipeline.sentences import words_of
from tests.pipeline.test_bonds_laws import sentences

TEXTS = st.lists(sentences(), min_size=1, max_size=12)
LONG_SENTENCES = (
    "She/PRON/2/nsubj gave=give/VERB/0/root the/DET/4/det king/NOUN/2/iobj his/PRON/6/nmod:poss book/NOUN/2/obj",
    "the/DET/2/det king/NOUN/3/nsubj told=tell/VERB/0/root Mary/PROPN/3/obj of/ADP/6/case it/PRON/3/obl",
    "they/PRON/2/nsubj wanted=want/VERB/0/root books=book/NOUN/2/obj in/ADP/6/case big/ADJ/6/amod houses/NOUN/2/obl",
)
LONG = words_of(*(LONG_SENTENCES * 40), document="long")


def made(control: str, words: Words, seed: int = 0) -> tuple[Bonds, Bonds]:
    """The true bonds and those of the control."""
    words = annotate(words)
    return bonds_of(words, BondConfig()), controlled_bonds(words, BondConfig(control=control, control_seed=seed))


def triples(bonds: Bonds) -> list[tuple[int, int, int]]:
    return list(zip(bonds.query.tolist(), bonds.key.tolist(), bonds.kind.tolist(), strict=True))


@pytest.mark.parametrize("control", CONTROLS)
@given(texts=TEXTS)
@settings(max_examples=40, deadline=None)
def test_control_bonds_are_bonds(control: str, texts: list[str]) -> None:
    """Sorted, no triple twice, inside the document, never a word with itself; the rule names the control."""
    words = words_of(*texts)
    _, found = made(control, words)
    assert triples(found) == sorted(set(triples(found)))
    assert all(0 <= query < len(words) and 0 <= key < len(words) for query, key, _ in triples(found))
    assert all(query != key for query, key, _ in triples(found))
    assert all(rule.startswith(f"{control}: ") for rule in found.rule.values)


@given(texts=TEXTS)
@settings(max_examples=40, deadline=None)
def test_random_keys_keep_every_querys_count_and_sentences(texts: list[str]) -> None:
    words = words_of(*texts)
    true, found = made("random-keys", words)
    for bonds in (true, found):
        assert bonds.kind.dtype == np.uint8
    counts = [
        Counter(zip(bonds.query.tolist(), bonds.kind.tolist(), words.sentence[bonds.key].tolist(), strict=True))
        for bonds in (true, found)
    ]
    assert counts[0] == counts[1]


@given(texts=TEXTS)
@settings(max_examples=40, deadline=None)
def test_same_distances_keep_the_histogram_of_each_kind(texts: list[str]) -> None:
    true, found = made("same-distances", words_of(*texts))
    far = [Counter(zip(b.kind.tolist(), (b.key - b.query).tolist(), strict=True)) for b in (true, found)]
    assert far[0] == far[1]
    assert Counter(zip(true.query.tolist(), true.kind.tolist(), strict=True)) == Counter(
        zip(found.query.tolist(), found.kind.tolist(), strict=True)
    )


def slow_other_sentence(words: Words, bonds: Bonds, partner: dict[int, int]) -> set[tuple[int, int, int]]:
    """Bond by bond: the partner's bonds, at the same places of this sentence."""
    rows = {n: np.flatnonzero(words.sentence == n).tolist() for n in range(int(words.sentence.max()) + 1)}
    found = set()
    for here, there in partner.items():
        for query, key, kind in triples(bonds):
            if words.sentence[query] != there or here == there:
                continue
            target = here + int(words.sentence[key]) - there
            place = (query - rows[there][0], key - rows[int(words.sentence[key])][0])
            if target in rows and place[0] < len(rows[here]) and place[1] < len(rows[target]):
                pair = rows[here][place[0]], rows[target][place[1]]
                if pair[0] != pair[1]:
                    found.add((*pair, kind))
    return found


@given(texts=st.lists(sentences(), min_size=2, max_size=9))
@settings(max_examples=40, deadline=None)
def test_another_sentences_bonds_are_moved_whole(texts: list[str]) -> None:
    """Some way of giving each sentence another one explains them all, and partners are near in length."""
    words = words_of(*texts)
    true, found = made("other-sentence", words)
    number = int(words.sentence.max()) + 1
    explained = set()
    for here in range(number):
        mine = {triple for triple in triples(found) if words.sentence[triple[0]] == here}
        options = [slow_other_sentence(words, true, {here: there}) for there in range(number) if there != here]
        assert mine in options
        explained |= mine
    assert explained == set(triples(found))


@pytest.mark.parametrize("control", ["random-keys", "same-distances", "random-tree"])
def test_controls_lose_what_the_bonds_said(control: str) -> None:
    """On a long text few arcs stay: of distances dealt out, hardly more than find their own place by chance."""
    config = BondConfig(kinds=("dependency",), hops=1)
    true = bonds_of(LONG, config)
    found = controlled_bonds(LONG, replace(config, control=control))
    kept = len(set(triples(true)) & set(triples(found))) / len(true)
    far = Counter((true.key - true.query).tolist())
    by_chance = sum(count**2 for count in far.values()) / len(true) ** 2
    assert kept < (by_chance + 0.05 if control == "same-distances" else 0.3)
    assert len(found) == len(true)


def test_permuted_tags_are_tags_of_types() -> None:
    changed = permuted_tags(LONG, seed=0)
    form = [text.casefold() for text in LONG.text.to_list()]
    tags = {one: {tag for text, tag in zip(form, changed.upos.tolist(), strict=True) if text == one} for one in form}
    assert all(len(each) == 1 for each in tags.values())
    by_type = dict(zip(form, LONG.upos.tolist(), strict=True))
    assert Counter(by_type.values()) == Counter(next(iter(each)) for each in tags.values())
    assert sum(by_type[one] != next(iter(each)) for one, each in tags.items()) > len(by_type) / 2


@given(texts=TEXTS)
@settings(max_examples=40, deadline=None)
def test_random_trees_are_trees(texts: list[str]) -> None:
    words = random_tree(words_of(*texts), seed=3)
    for number in range(int(words.sentence.max()) + 1):
        rows = np.flatnonzero(words.sentence == number)
        assert (words.head[rows] < 0).sum() == 1
        for row in rows.tolist():
            seen = []
            while row >= 0:
                assert row in rows
                assert row not in seen
                seen.append(row)
                row = int(words.head[row])
    roots = [words.relation[row] == "root" for row in range(len(words))]
    assert roots == (words.head < 0).tolist()


@pytest.mark.parametrize("control", CONTROLS)
def test_neighbours_change_nothing_and_seeds_do(control: str) -> None:
    other = words_of("he/PRON/2/nsubj ate=eat/VERB/0/root books=book/NOUN/2/obj", document="a")
    alone, beside = made(control, LONG)[1], made(control, concatenate_words([other, LONG]))[1]
    moved = [(query - 3, key - 3, kind) for query, key, kind in triples(beside) if query >= 3]
    assert moved == triples(alone)
    assert triples(made(control, LONG, seed=1)[1]) != triples(alone)
    assert triples(made(control, LONG)[1]) == triples(alone)


@pytest.mark.parametrize("control", CONTROLS)
def test_no_words_have_no_control_bonds(control: str) -> None:
    assert len(controlled_bonds(no_words(), BondConfig(control=control))) == 0
    assert len(made(control, words_of("Hello/INTJ/0/root"))[1]) == 0


def test_unknown_controls_are_refused_and_digests_differ() -> None:
    with pytest.raises(ValueError, match="choose one of random-keys"):
        controlled_bonds(no_words(), BondConfig(control="random"))
    configs = [BondConfig(), *(BondConfig(control=control) for control in BONDS)]
    configs.append(replace(configs[-1], control_seed=1))
    assert len({layer_digest(config) for config in configs}) == len(configs)
    assert KINDS[0] == "role"
