"""Explanations and pictures: every word and every bond is there, with its rule."""

import json
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from pipeline.annotate import annotate
from pipeline.bonds import BondConfig, bonds_of
from pipeline.draw import arcs_svg, short_rule, text_width
from pipeline.explain import bond_records, explain, records
from pipeline.layout import Arc, lay_out
from pipeline.records import KINDS, no_words
from tests.pipeline.sentences import words_of

TEXT = "Mary gave him books . She left ."
WORDS = annotate(
    words_of(
        "Mary/PROPN/2/nsubj gave=give/VERB/0/root him/PRON/2/iobj books=book/NOUN/2/obj ./PUNCT/2/punct",
        "She/PRON/2/nsubj left=leave/VERB/0/root ./PUNCT/2/punct",
    )
)
BONDS = bonds_of(WORDS, BondConfig())
SVG = "{http://www.w3.org/2000/svg}"


def test_records_hold_every_word_and_bond_and_are_json() -> None:
    found = json.loads(json.dumps(records(WORDS, BONDS)))
    assert [word["text"] for word in found] == WORDS.text.to_list()
    assert sum(len(word["bonds"]) for word in found) == len(BONDS)
    assert {"kind": "role", "key": 0, "word": "Mary", "rule": "give-13.1-1 Agent [+animate | +organization]"} in found[
        1
    ]["bonds"]
    assert {
        "kind": "binding",
        "key": 0,
        "word": "Mary",
        "rule": "principle B: she ~ [third singular feminine]",
    } in found[5]["bonds"]
    assert found[0]["head"] == 1
    assert found[1]["head"] == -1
    assert "third" in found[0]["features"]


def test_bond_records_are_the_bonds_in_their_order() -> None:
    found = bond_records(WORDS, BONDS)
    assert [bond["query_index"] for bond in found] == BONDS.query.tolist()
    she = {"query": "She", "key": "Mary", "query_index": 5, "key_index": 0, "kind": "binding"}
    assert {**she, "rule": "principle B: she ~ [third singular feminine]"} in found


def test_the_table_reads_sentence_by_sentence() -> None:
    first, second = explain(WORDS, BONDS, TEXT).split("\n\nShe left .\n")
    assert first.startswith("Mary gave him books .\n")
    assert re.search(r"gave 2 +→ Mary 1 +give-13.1-1 Agent", first)
    assert re.search(r"She 6 +→ Mary 1 +principle B: she", second)
    assert "binding (1)" in second


def test_nothing_explains_nothing() -> None:
    nothing = annotate(no_words())
    assert explain(nothing, bonds_of(nothing, BondConfig()), "") == ""
    assert records(nothing, bonds_of(nothing, BondConfig())) == []


def test_the_picture_is_well_formed_and_names_every_rule() -> None:
    picture = ElementTree.fromstring(arcs_svg(WORDS, BONDS, paths=True))
    titles = {title.text for title in picture.iter(f"{SVG}title")}
    for query, key, kind, rule in zip(BONDS.query, BONDS.key, BONDS.kind, BONDS.rule.to_list(), strict=True):
        assert f"{KINDS[kind]}: {WORDS.text[query]} → {WORDS.text[key]} · {rule}" in titles
    texts = [text.text for text in picture.iter(f"{SVG}text")]
    assert [text for text in texts if text in WORDS.text.values] == WORDS.text.to_list()


def test_long_paths_are_drawn_only_on_demand() -> None:
    text = "a/NOUN/2/nmod b/NOUN/3/nsubj go/VERB/0/root"
    words = annotate(words_of(text))
    bonds = bonds_of(words, BondConfig())
    assert "nmod&gt;nsubj" not in arcs_svg(words, bonds)
    assert "nmod&gt;nsubj" in arcs_svg(words, bonds, paths=True)


def test_only_the_wanted_kinds_are_drawn() -> None:
    picture = arcs_svg(WORDS, BONDS, kinds=["binding"])
    assert "binding: She" in picture
    assert "role:" not in picture
    assert "dependency" not in picture


def test_signs_of_markup_in_a_text_stay_text() -> None:
    words = annotate(words_of('<script>"&/X/0/root'))
    picture = ElementTree.fromstring(arcs_svg(words, bonds_of(words, BondConfig())))
    assert '<script>"&' in [text.text for text in picture.iter(f"{SVG}text")]


def test_no_words_give_an_empty_picture() -> None:
    ElementTree.fromstring(arcs_svg(no_words(), bonds_of(no_words(), BondConfig())))


@pytest.mark.parametrize("size", [2, 7, 25])
def test_labels_do_not_run_over_each_other_or_beyond_their_arcs(size: int) -> None:
    arcs = [
        Arc(query=right, key=left, label_width=40 + 7 * (left % 3)) for right in range(size) for left in range(right)
    ]
    arcs = [arc for arc in arcs if (arc.left * 7 + arc.right * 3) % 5 < 2 or arc.right - arc.left == 1]
    layout = lay_out([30.0] * size, arcs)
    boxes = sorted(
        (level, x - arc.label_width / 2, x + arc.label_width / 2)
        for level, x, arc in zip(layout.level, layout.label, arcs, strict=True)
    )
    for (level, _, right), (next_level, left, _) in pairwise(boxes):
        assert level != next_level or right < left
    for number, arc in enumerate(arcs):
        assert layout.left[number] < layout.label[number] - arc.label_width / 2
        assert layout.label[number] + arc.label_width / 2 < layout.right[number]


def test_arcs_that_overlap_have_levels_of_their_own_and_feet_of_their_own() -> None:
    arcs = [Arc(query=0, key=3, label_width=9), Arc(query=1, key=2, label_width=9), Arc(query=3, key=1, label_width=9)]
    layout = lay_out([20.0] * 4, arcs)
    assert layout.level == (3, 1, 2)
    feet = layout.left + layout.right
    assert len(set(feet)) == len(feet)


def test_labels_are_short() -> None:
    assert short_rule("role", "give-13.1 Recipient [+animate | +organization]") == "Recipient"
    assert short_rule("binding", "principle B: she ~ [third]") == "principle B"
    assert short_rule("dependency", "nmod>obl") == ""
    assert short_rule("cohesion", "related: dinner ~ meal (meal.n.01)") == "related"
    assert text_width("mm", 10) > text_width("ii", 10)
