"""`valency bench parse` scores, times, and measures the left-to-right parser on the treebank's own words, too."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.bench import parse as tested
from flows.bench.parse import bench_parse

TREEBANK = """\
# newdoc id = one
1\tBirds\tbird\tNOUN\t_\tNumber=Plur\t2\tnsubj\t_\t_
2\tsing\tsing\tVERB\t_\t_\t0\troot\t_\tSpaceAfter=No
3\t.\t.\tPUNCT\t_\t_\t2\tpunct\t_\t_

"""


def test_the_clock_runs_in_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    treebank = tmp_path / "x.conllu"
    treebank.write_text(TREEBANK)
    asked: list[object] = []

    def noted(measure: Callable[[Any], Any], given: Any) -> Any:
        asked.extend((measure, given))
        return {"words_per_second": 7, "words_per_processor_second": 8}

    monkeypatch.setattr(tested, "alone", noted)
    measured = tested.bench_parse("conllu", str(treebank), treebank)
    assert asked == [tested.speed, ("conllu", str(treebank), treebank)]
    assert [measured[f"words_per_{each}"] for each in ("second", "processor_second")] == [7, 8]
    assert measured["threads"] == 1


@pytest.mark.slow
def test_every_parser_is_scored_and_timed(tmp_path: Path) -> None:
    (tmp_path / "x.conllu").write_text(TREEBANK)
    gold = bench_parse("conllu", str(tmp_path / "x.conllu"), tmp_path / "x.conllu")
    assert (gold["parser"], gold["treebank"], gold["las"]) == ("conllu", "x.conllu", 100)
    assert gold["words_per_second"] > 0
    assert "gold_tokens" not in gold
    prefix = bench_parse("prefix", None, tmp_path / "x.conllu")
    assert prefix["words"] == prefix["sentences"] == 100
    assert prefix["model_bytes"] <= 6_000_000
    assert set(prefix["gold_tokens"]) == {
        "upos", "feats", "arc_recall", "proposals_per_word", "arc_direction", "open_recall", "open_words",
    }  # fmt: skip
    assert prefix["words_per_processor_second"] > 0
    assert prefix["threads"] == 1
    spacy = bench_parse("spacy", None, tmp_path / "x.conllu")
    assert spacy["model_bytes"] <= 12_000_000
    assert spacy["gold_tokens"] == {"upos": 100, "lemma": 100, "uas": 100, "las": 100}
    wrong = TREEBANK.replace("\tnsubj\t", "\tobj\t").replace("VERB", "NOUN")
    (tmp_path / "x.conllu").write_text(wrong)
    gold_tokens = bench_parse("spacy", None, tmp_path / "x.conllu")["gold_tokens"]
    assert {name: round(value) for name, value in gold_tokens.items()} == {
        "upos": 67,
        "lemma": 100,
        "uas": 100,
        "las": 67,
    }
