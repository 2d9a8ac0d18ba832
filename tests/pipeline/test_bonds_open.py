"""Open words: where the next word may attach, by a slow twin, by hand, and cut short."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexicons.upos import UPOS
from pipeline.annotate import annotate
from pipeline.bonds import BondConfig, bonds_of
from pipeline.bonds.arguments import OBLIQUE, POSITIONS, SUBJECT
from pipeline.bonds.brackets import BRACKETS, FARTHEST, PAIRS, paragraphs
from pipeline.bonds.lacking import Lacking, lacking, required_roles
from pipeline.bonds.open import BLOCK, CHANCE, DOUBTFUL, GOES_ON, NEAR, REACH, RULES, WAITS, open_bonds
from pipeline.bonds.places import places
from pipeline.records import Bonds, Words, no_words
from tests.pipeline.random_words import cut, documents, words_of_cells
from tests.pipeline.sentences import named, words_of

EVERY = BondConfig(kinds=("open",), open_cap=10_000)
Rows = list[tuple[int, int, str]]


def rows(bonds: Bonds) -> Rows:
    return list(zip(bonds.query.tolist(), bonds.key.tolist(), bonds.rule.to_list(), strict=True))


# The slow twin, straight from the definition: one query at a time, from the words before it


def open_slow(words: Words, config: BondConfig) -> Rows:
    """Every open word of every position, without a cap."""
    found = []
    opening = {key for key in range(len(words)) if opens_slow(words, key)}
    for query in range(len(words)):
        marks = marks_slow(words, query, config.open_reach)
        found += [(query, key, rule) for key, rule in marks.items()]
        for key in range(max(0, query - REACH), query):
            if same_sentence(words, query, key) and key not in opening and (rule := state_slow(words, query, key)):
                found.append((query, key, rule))
            elif config.open_doubt and key not in opening and doubtful_slow(words, query, key):
                found.append((query, key, "head in doubt"))
    return sorted(found)


def same_sentence(words: Words, one: int, other: int) -> bool:
    return (words.document[one], words.sentence[one]) == (words.document[other], words.sentence[other])


def is_open(words: Words, query: int, key: int) -> bool:
    head = int(words.head[key])
    if head > key:
        return head >= query
    if head < 0:
        return True
    passed = any(words.head[later] == head for later in range(key + 1, query))
    return not passed and is_open(words, query, head)


def state_slow(words: Words, query: int, key: int) -> str:
    if not is_open(words, query, key):
        return ""
    head, tag = int(words.head[key]), UPOS[words.upos[key]]
    rule = GOES_ON.get(tag, "") if 0 <= head < key else WAITS.get(tag, "")
    return (lacks_slow(words, query, key) or rule) if rule == "open clause" else rule


TABLES: dict[int, tuple[Words, Lacking, list[int], list[int]]] = {}
"""Of the last words that were asked for: what their verbs lack, places, paragraphs."""


def tables(words: Words) -> tuple[Words, Lacking, list[int], list[int]]:
    if id(words) not in TABLES:
        TABLES.clear()
        TABLES[id(words)] = words, lacking(words), places(words).tolist(), paragraphs(words).tolist()
    return TABLES[id(words)]


def lacks_slow(words: Words, query: int, key: int) -> str:
    _, table, place, _ = tables(words)
    mine = (place[row] for row in range(query) if place[row] >= 0 and words.head[row] == key)
    filled = sum(1 << each for each in set(mine))
    found = int(table.rule[table.lemma[key], filled])
    return table.texts[found] if found >= 0 else ""


def doubtful_slow(words: Words, query: int, key: int) -> bool:
    head = int(words.head[key])
    if head <= key or head != query - 1 or not same_sentence(words, query, key) or words.upos[head] not in DOUBTFUL:
        return False
    return is_open(words, head, key) and bool(WAITS.get(UPOS[words.upos[key]]))


def opens_slow(words: Words, key: int) -> bool:
    """Does the mark open something, whatever follows?"""
    return key in marks_slow(words, key + 1, 10_000, everywhere=True)


def marks_slow(words: Words, query: int, reach: int, everywhere: bool = False) -> dict[int, str]:
    """Marks that are open before the query, by a stack of each type."""
    stacks: list[list[int]] = [[] for _ in PAIRS]
    straight: list[int] = []
    paragraph = tables(words)[3]
    home = min(query, len(words) - 1)
    for row in range(query):
        if words.document[row] != words.document[home if not everywhere else query - 1]:
            continue
        if row and paragraph[row] != paragraph[row - 1]:
            straight = []
        for stack, (begin, end) in zip(stacks, PAIRS, strict=True):
            if words.text[row] == begin:
                stack.append(row)
            elif words.text[row] == end and stack:
                stack.pop()
        if words.text[row] == '"':
            straight = [] if straight else [row]
    if not everywhere and straight and paragraph[query] != paragraph[straight[0]]:
        straight = []
    rules = ["open bracket" if kind < BRACKETS else "open quotation" for kind in range(len(PAIRS))]
    found = {row: rule for rule, stack in zip(rules, stacks, strict=True) for row in stack}
    found |= dict.fromkeys(straight, "open quotation")
    if everywhere:
        return found
    near = (row for row in found if query - row <= FARTHEST and words.sentence[query] - words.sentence[row] <= reach)
    return {row: found[row] for row in near}


@given(documents(), st.booleans(), st.integers(0, 2), st.sampled_from((3, BLOCK)))
@settings(max_examples=80, deadline=None)
def test_the_fast_one_equals_the_slow_one(texts: list, doubt: bool, reach: int, block: int) -> None:  # type: ignore[type-arg]
    words = annotate(words_of_cells(texts))
    config = BondConfig(kinds=("open",), open_cap=10_000, open_doubt=doubt, open_reach=reach)
    with patch("pipeline.bonds.open.BLOCK", block):
        assert sorted(rows(open_bonds(words, config))) == open_slow(words, config)


@given(documents(), st.booleans(), st.integers(1, 4), st.data())
@settings(max_examples=80, deadline=None)
def test_what_follows_a_word_changes_nothing_that_is_open_before_it(
    texts: list,  # type: ignore[type-arg]
    doubt: bool,
    cap: int,
    data: st.DataObject,
) -> None:
    words = words_of_cells(texts)
    size = data.draw(st.integers(1, len(words)))
    config = BondConfig(kinds=("open",), open_cap=cap, open_doubt=doubt)
    whole = [row for row in rows(open_bonds(annotate(words), config)) if row[0] < size]
    assert rows(open_bonds(annotate(cut(words, size)), config)) == whole


@given(documents(), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_the_likeliest_stay(texts: list, cap: int) -> None:  # type: ignore[type-arg]
    words = annotate(words_of_cells(texts))
    every, capped = rows(open_bonds(words, EVERY)), rows(open_bonds(words, BondConfig(kinds=("open",), open_cap=cap)))

    def worth(row: tuple[int, int, str]) -> tuple[float, int]:
        query, key, rule = row
        bucket = max(place for place, least in enumerate(NEAR) if least <= query - key)
        return CHANCE["lacks a role" if " lacks " in rule else rule][bucket], key

    expected = []
    for query in range(len(words)):
        mine = [row for row in every if row[0] == query]
        expected += sorted(mine, key=worth, reverse=True)[:cap]
    assert capped == sorted(expected)


def test_every_rule_has_chances_and_they_are_shares() -> None:
    assert set(CHANCE) == set(RULES)
    assert all(len(each) == len(NEAR) and max(each) <= 100 for each in CHANCE.values())


def test_what_is_open_in_a_sentence() -> None:
    words = annotate(words_of(
        "The/DET/3/det old/ADJ/3/amod king/NOUN/4/nsubj put/VERB/0/root the/DET/6/det book/NOUN/4/obj "
        "there/ADV/4/advmod ./PUNCT/4/punct"
    ))  # fmt: skip
    said = {}
    for query, key, rule in named(words, open_bonds(words, EVERY)):
        said.setdefault(query, {})[key] = rule
    assert said["king"] == {"The": "determiner without noun", "old": "adjective without noun"}
    assert said["put"] == {"king": "subject without verb"}
    assert said["book"] == {"put": "put-9.1-2 lacks Theme", "the": "determiner without noun"}
    assert said["there"] == {"put": "put-9.1-2 lacks Destination", "book": "open phrase"}
    assert said["."] == {"put": "put-9.1-2 lacks Destination", "there": "open phrase"}


def test_brackets_reach_over_sentences_and_close() -> None:
    words = annotate(words_of(
        "He/PRON/2/nsubj left=leave/VERB/0/root (/PUNCT/2/punct", "so/ADV/2/advmod they/PRON/0/root say/VERB/2/dep",
        "yes/INTJ/0/root )/PUNCT/1/punct then/ADV/1/advmod", "Last/ADJ/0/root",
    ))  # fmt: skip
    holding = [row[0] for row in rows(open_bonds(words, EVERY)) if row[2] == "open bracket"]
    assert holding == [3, 4, 5, 6, 7]
    holding = [row[0] for row in rows(open_bonds(words, BondConfig(open_reach=1))) if row[2] == "open bracket"]
    assert holding == [3, 4, 5]


def test_straight_quotation_marks_begin_anew_in_each_paragraph() -> None:
    words = words_of('"/PUNCT/2/punct one/NUM/0/root', '"/PUNCT/2/punct two/NUM/0/root "/PUNCT/2/punct ./PUNCT/2/punct')
    far = words.with_columns(start=words.start + 5 * words.sentence, end=words.end + 5 * words.sentence)
    for given_words, expected in ((words, [1, 2, 5]), (far, [1, 3, 4])):
        assert [
            row[0] for row in rows(open_bonds(annotate(given_words), EVERY)) if row[2] == "open quotation"
        ] == expected


def test_a_role_is_lacking_until_its_place_is_filled() -> None:
    assert set(required_roles("put-9.1")) == {"Agent", "Theme", "Destination"}
    words = annotate(
        words_of("She/PRON/2/nsubj put/VERB/0/root it/PRON/2/obj on/ADP/5/case top/NOUN/2/obl now/ADV/2/advmod")
    )
    table = lacking(words)
    said = [int(table.at(np.array([query]), np.array([1]))[0]) for query in range(2, 6)]
    assert [table.texts[each].rpartition(" ")[2] if each >= 0 else "" for each in said] == [
        *("Theme", "Destination", "Destination", "")
    ]


def test_places_are_told_by_tag_and_side_where_relations_have_no_names() -> None:
    words = words_of("She/PRON/2/dep put/VERB/0/root it/PRON/2/dep on/ADP/5/dep top/NOUN/2/dep see/VERB/2/dep")
    assert places(words).tolist() == [SUBJECT, -1, POSITIONS.index("object"), -1, OBLIQUE, POSITIONS.index("clause")]
    assert places(no_words()).tolist() == []


LONG = 5_000


@pytest.mark.parametrize("shape", ["star", "chain", "all before", "no arcs", "brackets", "quotations"])
def test_a_long_sentence_stays_linear(shape: str) -> None:
    heads = {
        "star": [0, *[1] * (LONG - 1)],
        "chain": [0, *range(1, LONG)],
        "all before": [LONG] * (LONG - 1) + [0],
    }.get(shape, [0] * LONG)
    form = {"brackets": "(/PUNCT", "quotations": '"/PUNCT'}.get(shape, "king/NOUN")
    words = words_of(" ".join(f"{form}/{head}/dep" for head in heads))
    bonds = open_bonds(words, BondConfig())
    assert np.bincount(bonds.query).max() <= BondConfig().open_cap
    assert len(open_bonds(no_words(), BondConfig())) == 0


def test_open_is_a_kind_that_is_asked_for() -> None:
    words = annotate(words_of("The/DET/2/det king/NOUN/0/root"))
    assert "open" not in BondConfig().kinds
    assert len(bonds_of(words, BondConfig(kinds=("open",)))) == 1
