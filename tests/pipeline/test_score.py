"""Scores are those of the shared task: 100 for gold, and what a reader would count for known mistakes."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.corpus import Document
from pipeline.parsers import load_parser
from pipeline.records import Words
from pipeline.score import score_parser

TREEBANK = """\
# newdoc id = one
1\tBirds\tbird\tNOUN\t_\t_\t2\tnsubj\t_\t_
2\tsing\tsing\tVERB\t_\t_\t0\troot\t_\t_

1\tDogs\tdog\tNOUN\t_\t_\t2\tnsubj\t_\t_
2\tbark\tbark\tVERB\t_\t_\t0\troot\t_\t_

"""


class Spoilt:
    """The gold parser with its words changed."""

    name, digest = "spoilt", "0" * 12

    def __init__(self, path: Path, spoil: Callable[[Words], Words]) -> None:
        self.gold, self.spoil = load_parser("conllu", str(path)), spoil

    def parse(self, documents: Sequence[Document]) -> tuple[Words, dict[str, str]]:
        words, failed = self.gold.parse(documents)
        return self.spoil(words), failed


@pytest.fixture
def treebank(tmp_path: Path) -> Path:
    (tmp_path / "x.conllu").write_text(TREEBANK)
    return tmp_path / "x.conllu"


def test_gold_scores_a_hundred(treebank: Path) -> None:
    assert set(score_parser(load_parser("conllu", str(treebank)), treebank).values()) == {100.0}


def test_mistakes_cost_their_share(treebank: Path) -> None:
    tags = score_parser(Spoilt(treebank, lambda words: replace(words, upos=np.zeros(4, np.uint8))), treebank)
    assert (tags["upos"], tags["lemma"], tags["las"]) == (0, 100, 100)
    upside_down = np.array([-1, 0, 3, -1], np.int32)
    heads = score_parser(Spoilt(treebank, lambda words: replace(words, head=upside_down)), treebank)
    assert (heads["words"], heads["uas"], heads["uas_aligned"]) == (100, 50, 50)
    one_sentence = replace_sentences(treebank)
    assert (one_sentence["sentences"], one_sentence["words"]) == (0, 100)


def replace_sentences(treebank: Path) -> dict[str, float]:
    """Scores if both sentences were taken for one."""
    joined = {"sentence": np.zeros(4, np.int32), "head": np.array([1, -1, 3, 1], np.int32)}
    return score_parser(Spoilt(treebank, lambda words: words.with_columns(**joined)), treebank)


def test_what_cannot_be_scored_is_told(treebank: Path) -> None:
    other = treebank.with_name("other.conllu")
    other.write_text(TREEBANK.replace("Birds", "Fish"))
    with pytest.raises(ValueError, match=r"not in the treebank"):
        score_parser(load_parser("conllu", str(treebank)), other)
    other.write_text(TREEBANK.replace("\t2\tnsubj", "\t9\tnsubj"))
    with pytest.raises(ValueError, match=r"has a head 9, but only 2 words"):
        score_parser(load_parser("conllu", str(treebank)), other)
