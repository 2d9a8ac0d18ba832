"""`valency train` by a mode and a size, and the benches of training."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.bench.faults.commands import Bench
from flows.bench.faults.train_kills import train_kill_case
from flows.bench.widths import bench_widths, conclusion
from flows.cli import app
from flows.cli_train import chosen_recipe
from model.run import load_run
from tests.model.tiny_cache import write_cache


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cache(tmp_path_factory.mktemp("command") / "cache")


def test_a_mode_a_size_and_epochs_train_as_the_seeds_command_did(cache: Path, tmp_path: Path) -> None:
    words = ["train", str(cache), "--mode", "pos_only", "--size", "seed-tiny", "--epochs", "2"]
    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path), "--json", str(tmp_path / "r.json")])
    assert done.exit_code == 0, done.output
    assert "train,mode=pos_only,size=seed-tiny,epochs=2: " in done.output
    assert "bits per byte, held out (leak-free)" in done.output
    said = json.loads((tmp_path / "r.json").read_text())
    assert said["budget"].startswith("2 epochs: ")
    model, recipe = load_run(tmp_path / said["recipe"])
    assert (len(model.layers), recipe.model.views) == (2, ("pos",))
    leaky = CliRunner().invoke(app, [*words[:-1], "1", "--leaky", "--out", str(tmp_path)])
    assert leaky.exit_code == 0, leaky.output
    assert "size=seed-tiny,epochs=1-leaky: " in leaky.output
    assert "(leaky)" in leaky.output


def test_what_the_words_say_is_in_the_recipes_name() -> None:
    assert chosen_recipe(None, None, None, False, {}, None).name == "tiny-views"
    assert chosen_recipe("tiny-dense", None, None, False, {"steps": 20}, 1).name == "tiny-dense,seed=1,steps=20"
    assert chosen_recipe(None, "none", None, False, {}, None).name == "train,mode=none,size=tiny"
    leaky = chosen_recipe("seed-tiny", "pos_only", None, True, {"epochs": 3.0}, None)
    assert (leaky.name, leaky.leaky) == ("seed-tiny,mode=pos_only,epochs=3-leaky", True)
    assert leaky.model.heads == 2


def test_the_bench_of_widths_finds_best_rates_and_shares_the_runs_of_the_base(cache: Path) -> None:
    runs: list[tuple[str, int]] = []
    found = bench_widths(
        cache, widths=(16, 128), rates=(1e-3, 1e-2), steps=4, rows=2, length=8,
        on_run=lambda rule, width, *_: runs.append((rule, width)),
    )  # fmt: skip
    assert len(runs) == 8
    one, other = (found["rules"][rule]["rows"] for rule in ("with the rule", "without"))
    assert [row["loss"] == same["loss"] for row, same in zip(one, other, strict=True)] == [False, False, True, True]
    told = conclusion({32: {1.0: 5.0, 2.0: 4.0, 4.0: 4.5}, 64: {1.0: 3.0, 2.0: 3.5, 4.0: 9.0}})
    assert told["best"] == [{"width": 32, "rate": 2.0, "loss": 4.0}, {"width": 64, "rate": 1.0, "loss": 3.0}]
    assert (told["moves"], told["regret"]) == (2.0, 0.5)


@pytest.mark.slow
def test_a_killed_job_ends_in_the_same_bits(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without preprocessing: one case, killed twice."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    bench = Bench(corpora=(), out=tmp_path, seed=0, counts={})
    shutil.copytree(cache, bench.undisturbed)
    row = train_kill_case(bench, 2)
    assert row["passed"], row
    assert row["outcome"] == "same bits"
    assert len(row["checkpoints_when_killed"]) == 2
    assert not (tmp_path / "train-kills-002").exists()
