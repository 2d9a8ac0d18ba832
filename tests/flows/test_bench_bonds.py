"""The frontier of bonds and the candidates of pronouns, on texts small enough to count by hand."""

from pathlib import Path

import pytest

from flows.bench.bonds import bench_bonds
from flows.bench.coref import bench_coref
from flows.bench.open import bench_open
from pipeline.bonds.config import BINDING_RULES
from pipeline.corpus import Document
from pipeline.gap import COLUMNS, read_gap
from pipeline.parsers import load_parser
from pipeline.records import Words
from tests.pipeline.sentences import words_of

SENTENCE = "she saw the old man with a long telescope"
CELLS = (
    *(("she", "PRON", 2, "nsubj"), ("saw", "VERB", 0, "root"), ("the", "DET", 5, "det"), ("old", "ADJ", 5, "amod")),
    *(("man", "NOUN", 2, "obj"), ("with", "ADP", 9, "case"), ("a", "DET", 9, "det"), ("long", "ADJ", 9, "amod")),
    ("telescope", "NOUN", 2, "obl"),
)


@pytest.fixture
def treebank(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.conllu"
    rows = [
        f"{n}\t{form}\t{form}\t{tag}\t_\t_\t{head}\t{relation}\t_\t_\n"
        for n, (form, tag, head, relation) in enumerate(CELLS, 1)
    ]
    file.write_text("# newdoc id = one\n" + "".join(rows) + "\n")
    return file


class Erring:
    """A parser that attaches the telescope to the man."""

    name, digest = "erring", "0" * 12

    def parse(self, documents: list[Document]) -> tuple[Words, dict[str, str]]:
        cells = [(form, tag, 5 if form == "telescope" else head, relation) for form, tag, head, relation in CELLS]
        words = words_of(" ".join(f"{a}/{b}/{c}/{'nmod' if a == 'telescope' else d}" for a, b, c, d in cells))
        return words.with_columns(documents=(documents[0].id,)), {}


def test_the_gold_trees_lose_nothing(treebank: Path) -> None:
    measured = bench_bonds(treebank, load_parser("conllu", str(treebank)))
    assert measured["parse_only"]["arc_recall"] == 1
    # 9 words, 8 and 7 pairs of neighbours, and the arcs with ~ telescope, a ~ … are 3 and more apart: 9-6, 9-2, 5-2
    assert measured["parse_only"]["bonds_per_word"] == round(2 * (8 + 7 + 3) / 9, 3)
    assert measured["arcs"] == 8
    assert [row["cap"] for row in measured["frontier"]] == list(range(1, 25))


def test_what_the_parser_misses_is_found_by_the_next_best_head(treebank: Path) -> None:
    measured = bench_bonds(treebank, Erring())  # type: ignore[arg-type]
    assert measured["parse_only"]["arc_recall"] == round(7 / 8, 4)
    recalls = [row["arc_recall"] for row in measured["frontier"]]
    assert recalls[0] == round(7 / 8, 4)
    assert recalls[-1] == 1
    assert recalls == sorted(recalls)
    assert measured["recall_at_9"] == 1
    assert measured["oracle"] == {"arc_recall": 1.0, "bonds_per_word": round(2 * (8 + 7 + 4) / 9, 3)}
    assert measured["by_relation"]["obl"] == {"arcs": 1, "arc_recall": 1.0}
    assert sum(row["arcs"] for row in measured["by_distance"].values()) == 8


def test_open_words_of_the_gold_trees(treebank: Path) -> None:
    measured = bench_open(treebank, load_parser("conllu", str(treebank)))
    assert measured["shipped"]["open_recall"] == 1
    by_rule = measured["by_rule"]
    assert sum(row["open_words"] for row in by_rule.values()) == pytest.approx(
        measured["shipped"]["open_words"], abs=0.01
    )
    assert sum(row["arc_recall"] for row in by_rule.values()) == pytest.approx(1, abs=0.001)
    assert by_rule["determiner without noun"]["precision"] == 0.5  # the ~ old, the ~ man; a ~ long, a ~ telescope
    recalls = [row["open_recall"] for row in measured["frontier"]]
    assert recalls == sorted(recalls)
    assert all(row["near_recall"] >= row["open_recall"] for row in measured["frontier"])
    assert measured["added"]["with"]["bonds_per_word"] >= measured["added"]["without"]["bonds_per_word"]


def gap_file(folder: Path) -> Path:
    text = "Kim Poe met Ann. He left."
    row = ["1", text, "He", "17", "Kim Poe", "0", "TRUE", "Ann", "12", "FALSE"]
    other = ["2", text, "He", "17", "Kim Poe", "0", "FALSE", "Ann", "12", "FALSE"]
    file = folder / "gap.tsv"
    file.write_text("\n".join("\t".join(line) for line in (COLUMNS, row, other)) + "\n")
    return file


class Snippets:
    """Parses the snippet of `gap_file`."""

    name, digest = "snippets", "0" * 12

    def parse(self, documents: list[Document]) -> tuple[Words, dict[str, str]]:
        from pipeline.records import concatenate_words

        met = "Kim/PROPN/3/nsubj Poe/PROPN/1/flat met=meet/VERB/0/root Ann/PROPN/3/obj ./PUNCT/3/punct"
        parts = [words_of(met, "He/PRON/2/nsubj left=leave/VERB/0/root ./PUNCT/2/punct", document=one.id)
                 for one in documents]  # fmt: skip
        starts = [0, 4, 8, 12, 15, 17, 20, 24]
        ends = [3, 7, 11, 15, 16, 19, 24, 25]
        return concatenate_words([part.with_columns(start=_ints(starts), end=_ints(ends)) for part in parts]), {}


def _ints(values: list[int]) -> object:
    import numpy as np

    return np.array(values, dtype=np.int32)


def test_antecedents_are_counted_by_the_head_of_the_marked_name(tmp_path: Path) -> None:
    measured = bench_coref(gap_file(tmp_path), Snippets())  # type: ignore[arg-type]
    assert (measured["pronouns"], measured["asked"]) == (1, 2)  # the second stands for neither name
    assert measured["antecedent_recall"] == 1
    assert measured["candidates_per_pronoun"] == 2  # Kim and Ann, both times
    assert set(measured["without"]) == {*BINDING_RULES, "any rule"}
    assert measured["by_sentences"] == {"1": {"pronouns": 1, "antecedent_recall": 1.0}}


def test_a_file_that_is_not_gap_says_so(tmp_path: Path) -> None:
    file = tmp_path / "other.tsv"
    file.write_text("a\tb\n1\t2\n")
    with pytest.raises(ValueError, match="gap-development"):
        read_gap(file)
