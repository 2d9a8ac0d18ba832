"""The main job, whole: text in, report out, and nothing done twice."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from flows.preprocess import PreprocessSettings
from flows.progress import Display
from flows.run import RunSettings, run_all, short_names
from pipeline.corpus import sample_corpus

QUICK = """
name = "quick-{name}"
[model]
layers = 1
dim = 32
heads = 4
views = {views}
[train]
steps = 4
rows = 2
length = 64
warmup = 1
evaluate_every = 2
"""


def test_names_of_models_leave_out_what_they_share() -> None:
    assert short_names(["sample-dense", "sample-views"]) == ["dense", "views"]
    assert short_names(["a/quick-dense.toml", "quick-views.toml"]) == ["dense", "views"]
    assert short_names(["sample-views"]) == ["sample-views"]
    assert short_names(["dense", "views"]) == ["dense", "views"]


@pytest.mark.slow
def test_text_in_report_out_and_nothing_twice(tmp_path: Path) -> None:
    recipes = {"dense": '["dense"]', "views": '["dense", "sentence", "pos & sentences(2)", "window(8)"]'}
    for name, views in recipes.items():
        (tmp_path / f"quick-{name}.toml").write_text(QUICK.format(name=name, views=views))
    settings = RunSettings(
        recipes=tuple(str(tmp_path / f"quick-{name}.toml") for name in recipes),
        preprocess=PreprocessSettings(shards=2, workers=1),
    )
    corpora = [str(sample_corpus() / genre) for genre in ("letter", "story")]
    with Display(Console(quiet=True)) as display:
        first = run_all(corpora, tmp_path / "out", settings, display)
        kept = {file: file.read_bytes() for file in _results(tmp_path / "out")}
        again = run_all(corpora, tmp_path / "out", settings, display)
    assert first["documents"] == 22
    assert first["quarantined"] == 0
    assert first["words"] > 5000 < first["bonds"]
    for name in ("documents", "sentences", "words", "bonds", "cache_bytes", "seconds", "command", "commit", "device"):
        assert name in first
    for model in first["models"].values():
        assert model["leak_free"] is True
        assert 1 < model["bits_per_byte"] < 8
    assert {name: scores["bits_per_byte"] for name, scores in again["models"].items()} == {
        name: scores["bits_per_byte"] for name, scores in first["models"].items()
    }
    assert again["made"] == 0
    assert {file: file.read_bytes() for file in _results(tmp_path / "out")} == kept
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("<svg") >= 4
    assert "leak-free" in page
    assert json.loads((tmp_path / "out" / "run.json").read_text())["models"] == again["models"]


def _results(out: Path) -> list[Path]:
    """What a second run must leave as it is: every shard, weight and result."""
    kinds = {".parquet", ".safetensors", ".jsonl"}
    return [file for file in sorted(out.rglob("*")) if file.suffix in kinds or file.name == "result.json"]
