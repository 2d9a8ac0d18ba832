"""The fitted tables: regression finds what is there, and a table that is written is read back."""

from pathlib import Path

import numpy as np

from lexicons.odds import Families, log_odds
from pipeline.annotate import annotate
from pipeline.bonds import chance, salience
from pipeline.fit.attachment import design, fit_rows
from pipeline.fit.regression import named_rows, regression, write_table
from tests.pipeline.sentences import words_of

FAMILIES: Families = {"colour": (("",), ("red", "blue")), "size": (("",), ("small", "large"))}


def test_regression_finds_the_odds_of_a_table(tmp_path: Path) -> None:
    colour, size = np.repeat([0, 1], 2000), np.tile([0, 1], 2000)
    share = np.where(colour == 0, 0.8, 0.2)  # the size says nothing
    truth = (np.arange(4000) % 10) < share * 10
    found = regression({"colour": colour, "size": size}, FAMILIES, truth, prior=1e-3)
    assert np.allclose(found["colour"] + found["size"].mean(), [np.log(4), -np.log(4)], atol=0.02)
    assert abs(found["size"][0] - found["size"][1]) < 0.02
    write_table(["# made up"], named_rows(found, FAMILIES), tmp_path / "table.tsv")
    told = log_odds(tmp_path / "table.tsv")
    assert abs(told["colour", "", "red"] - told["colour", "", "blue"] - 2 * np.log(4)) < 0.02
    assert ("size", "", "small") not in told  # too near to 0 to be said


def test_the_shipped_tables_speak_of_families_that_there_are() -> None:
    from lexicons.tables import table

    for name, families in (("attachment.tsv", chance.FAMILIES), ("salience.tsv", salience.FAMILIES)):
        told = log_odds(table(name))
        assert len(told) > 200
        for family, one, other in told:
            ones, others = families[family]
            assert one in ones
            assert other in others


def test_pairs_with_a_gold_arc_are_what_is_learnt() -> None:
    gold = words_of("she/PRON/2/nsubj saw/VERB/0/root the/DET/4/det man/NOUN/2/obj with/ADP/6/case glasses/NOUN/2/obl")
    read = words_of("she/PRON/2/nsubj saw/VERB/0/root the/DET/4/det man/NOUN/2/obj with/ADP/6/case glasses/NOUN/4/nmod")
    index, truth = design(gold, annotate(read), border=False)
    assert truth.sum() == 1  # glasses ~ saw, and no arc that the parse has
    ways = chance.FAMILIES["way"][0]
    assert [ways[code] for code in index["way"][truth].tolist()] == ["up 2"]
    rows, counts = fit_rows([(gold, annotate(read)), (gold, annotate(read))])
    assert counts["tree_arcs"] == 2
    assert {family for family, *_ in rows} <= set(chance.FAMILIES)
