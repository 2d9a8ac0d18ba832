"""Escape bonds: over the borders of sentences, to the first word, and far back by position alone."""

import numpy as np

from pipeline.annotate import annotate
from pipeline.bonds import BondConfig
from pipeline.bonds.chance import score, weights
from pipeline.bonds.escape import RULES, border_candidates, escape_bonds
from pipeline.records import Words
from tests.pipeline.sentences import documents_of, named, words_of

CUT = (
    "Kind/ADJ/2/amod regards/NOUN/0/root from/ADP/4/case Houston/PROPN/2/nmod{}",
    "Traci/PROPN/2/compound Warner/PROPN/0/root at/ADP/4/case Enron/PROPN/2/nmod",
)
LOOSE = BondConfig(dependency_stake=0.02)


def apart(words: Words, spaces: int) -> Words:
    """The same with the second sentence moved away by so many spaces."""
    moved = words.sentence * spaces
    return words.with_columns(start=words.start + moved, end=words.end + moved)


def over_border(words: Words) -> set[tuple[str, str, str]]:
    return {bond for bond in named(words, escape_bonds(words, LOOSE)) if bond[2].startswith("border")}


def test_heads_are_joined_where_the_parser_may_have_cut_one_sentence_in_two() -> None:
    words = annotate(words_of(CUT[0].format(""), CUT[1]))
    assert ("Warner", "regards", "border: head ~ head") in over_border(words)


def test_a_full_stop_makes_an_arc_unlikely_and_a_blank_line_excludes_it() -> None:
    def likeliest(words: Words) -> float:
        table = weights()
        return max(float(score(index, table).max(initial=-99)) for *_, index in border_candidates(words))

    cut, stopped = (annotate(words_of(CUT[0].format(end), CUT[1])) for end in ("", " ./PUNCT/2/punct"))
    assert likeliest(cut) > likeliest(stopped)
    assert over_border(apart(cut, 1)) == set()


def test_documents_do_not_touch() -> None:
    words = annotate(documents_of([CUT[0].format("")], [CUT[1]]))
    assert len(escape_bonds(words, LOOSE)) == 0


def test_every_few_sentences_a_head_sees_the_first_word() -> None:
    forms = [f"old/ADJ/2/amod w{n}/NOUN/3/nsubj slept{n}=sleep/VERB/0/root" for n in range(9)]
    words = apart(annotate(words_of(*forms)), 1)  # breaks of lines: no other edges
    for every, wanted in (
        (4, ["slept4", "slept8"]),
        (3, ["slept3", "slept6"]),
        (1, [f"slept{n}" for n in range(1, 9)]),
    ):
        found = named(words, escape_bonds(words, BondConfig(escape_sentences=every)))
        assert found == [(form, "old", "first word") for form in wanted]


def test_long_edges_hang_on_the_position_alone() -> None:
    one, other = (annotate(words_of(" ".join([f"{form}/0/root"] * 300))) for form in ("Mary/PROPN", "go/VERB"))
    config = BondConfig(escape_every=8)
    edges = []
    for words in (one, other):
        bonds = escape_bonds(words, config)
        far = np.flatnonzero(bonds.rule.isin(["long"]))
        edges.append(list(zip(bonds.query[far].tolist(), bonds.key[far].tolist(), strict=True)))
    assert edges[0] == edges[1]
    assert {query % 8 for query, _ in edges[0]} == {0}
    assert all(query - key > 2 for query, key in edges[0])
    assert len(edges[0]) >= 300 // 8 - 2
    assert len({key for _, key in edges[0]}) > 20  # spread over the text
    halves = escape_bonds(annotate(words_of(" ".join(["Mary/PROPN/0/root"] * 150))), config)
    assert len(halves) > 0


def test_edges_do_not_hang_on_the_length_of_the_text() -> None:
    texts = [f"w{n}/NOUN/0/root" for n in range(200)]
    whole, half = (annotate(words_of(*texts[:size])) for size in (200, 100))
    config = BondConfig(escape_every=4)
    assert named(half, escape_bonds(half, config)) == [
        bond for bond in named(whole, escape_bonds(whole, config)) if int(bond[0][1:]) < 100
    ]


def test_the_budget_of_a_word_is_kept_in_the_order_of_the_rules() -> None:
    words = annotate(words_of(CUT[0].format(""), CUT[1], CUT[1], CUT[1]))
    bonds = escape_bonds(words, BondConfig(dependency_stake=0.001, escape_cap=1, escape_every=1))
    assert np.bincount(bonds.query).max() == 1
    heads = np.flatnonzero(words.head < 0)[1:]
    told = dict(zip(bonds.query.tolist(), bonds.rule.to_list(), strict=True))
    assert all(told[head].startswith("border") for head in heads.tolist())
    assert set(told.values()) <= set(RULES)
