"""Gold words on a parser's words: tokens cut otherwise, shared spans, arcs that are found."""

import numpy as np
import pytest

from pipeline.overlap import among, gold_arcs
from tests.pipeline.sentences import words_of

NONE = np.empty(0, np.int64)
GOLD = words_of("the/DET/4/det e/NOUN/4/nmod -mail/NOUN/2/flat man/NOUN/0/root")


def test_a_gold_word_is_what_shares_its_characters() -> None:
    arcs = gold_arcs(GOLD, GOLD)
    assert list(zip(arcs.gold.tolist(), *(end.tolist() for end in (*arcs.dependent, *arcs.head)), strict=True)) == [
        (0, 0, 0, 3, 3),
        (1, 1, 1, 3, 3),
        (2, 2, 2, 1, 1),
    ]
    assert arcs.distance.tolist() == [3, 2, 1]


def test_an_arc_inside_one_word_is_found_and_one_between_parts_too() -> None:
    glued = words_of("the/DET/3/det e-_mail/NOUN/3/nmod man/NOUN/0/root")  # "e -mail" as one word of seven characters
    assert gold_arcs(GOLD, glued).found(0, NONE, len(glued)).tolist() == [False, False, True]
    parts = words_of("the/DET/5/det e/NOUN/5/nmod -m/X/2/dep il/X/2/dep man/NOUN/0/root")
    moved = parts.with_columns(start=np.array([0, 4, 6, 8, 12], np.int32), end=np.array([3, 5, 8, 11, 15], np.int32))
    arcs = gold_arcs(GOLD, moved)
    second_part = np.array([1 * 5 + 3])  # e ~ il
    assert arcs.found(0, second_part, 5).tolist() == [False, False, True]


def test_near_words_and_pairs() -> None:
    arcs = gold_arcs(GOLD, GOLD)
    assert arcs.found(2, NONE, 4).tolist() == [False, True, True]
    assert arcs.found(0, np.array([0 * 4 + 3]), 4).tolist() == [True, False, False]


def test_words_of_one_span_take_their_own_letters() -> None:
    gold = words_of("do/AUX/3/aux n't/PART/3/advmod go/VERB/0/root")
    token = gold.with_columns(start=np.array([0, 0, 6], np.int32), end=np.array([5, 5, 8], np.int32))
    cut = words_of("do/AUX/3/aux n't/PART/3/advmod go/VERB/0/root")
    cut = cut.with_columns(start=np.array([0, 2, 6], np.int32), end=np.array([2, 5, 8], np.int32))
    for one, other in ((token, cut), (cut, token)):
        arcs = gold_arcs(one, other)
        assert arcs.dependent[0].tolist() == arcs.dependent[1].tolist() == [0, 1]


def test_a_word_that_the_parser_left_out_is_never_found() -> None:
    short = words_of("the/DET/2/det man/NOUN/0/root")
    short = short.with_columns(start=np.array([0, 12], np.int32), end=np.array([3, 15], np.int32))
    assert gold_arcs(GOLD, short).found(9, NONE, 2).tolist() == [True, False, False]


def test_other_documents_are_refused() -> None:
    with pytest.raises(ValueError, match="different documents"):
        gold_arcs(GOLD, words_of("the/DET/0/root", document="other"))


def test_among() -> None:
    assert among(np.array([1, 2, 9]), np.array([2, 9])).tolist() == [False, True, True]
    assert among(np.array([1]), NONE).tolist() == [False]
