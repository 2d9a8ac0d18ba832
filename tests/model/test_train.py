"""Training jobs: finished once, resumed in the same bits, stopped by a loss that is no number."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from model.checkpoint import latest, load, save
from model.columns import read_layer
from model.config import ModelConfig, Recipe, TrainConfig
from model.context import Context
from model.diverged import Diverged
from model.dropout import Noise
from model.evaluate.perplexity import evaluate
from model.optimizer import learning_rate, make_optimizers
from model.run import RunResult, load_result, load_run, read_curve
from model.train import train
from model.transformer import Decoder
from pipeline.errors import Failure
from tests.model.tiny_cache import write_cache

SMALL = ModelConfig(layers=2, dim=16, heads=4, views=("dense", "sentence"), tags=True, dropout=0.1)
RECIPE = Recipe(
    name="small",
    model=SMALL,
    train=TrainConfig(steps=12, rows=2, length=16, warmup=2, log_every=3, evaluate_every=5, checkpoint_every=4),
)
"""Dropout, so that the random generator has to be resumed as well; checkpoints between two lines of the curve."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cache(tmp_path_factory.mktemp("train") / "cache")


@pytest.fixture(scope="module")
def whole(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed."""
    out = tmp_path_factory.mktemp("train") / "whole"
    train(cache, RECIPE, out, threads=1)
    return out


def stop_after(steps: int, cache: Path, run: Path) -> None:
    """Train until a step, and go down there."""

    def stop(step: int, *_: float) -> None:
        if step == steps:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(cache, RECIPE, run, on_step=stop, threads=1)


def same_bits(one: Path, other: Path) -> bool:
    """Whether two runs have equal weights, optimizers and curves."""
    names = ("model.safetensors", "curve.jsonl", "checkpoint/step-000012/optimizer.safetensors", "recipe.toml")
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


def test_a_run_leaves_what_a_later_program_needs(cache: Path, whole: Path) -> None:
    result = load_result(whole)
    assert result is not None
    assert result.leak_free
    assert result.max_change < 1e-9
    assert (result.recipe, result.steps, result.seed, result.threads) == ("small", 12, 0, 1)
    assert {"python", "torch", "lightning"} <= result.versions.keys()
    model, recipe = load_run(whole)
    assert recipe == RECIPE
    assert result.parameters == sum(weight.numel() for weight in model.parameters())
    test = evaluate(model, read_layer(cache).splits["test"], rows=3, length=16)
    assert test is not None
    assert test.bits_per_byte == pytest.approx(result.bits_per_byte["test"], rel=1e-5)
    assert [line["step"] for line in read_curve(whole)] == [3, 5, 6, 9, 10, 12]
    measured = [line["step"] for line in read_curve(whole) if "validation_bits_per_byte" in line]
    assert measured == [5, 10, 12]
    assert sorted(place.name for place in (whole / "checkpoint").iterdir()) == ["step-000008", "step-000012"]
    assert list((whole / "tensorboard").glob("events*"))


def test_training_learns_the_stories(cache: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, train=replace(RECIPE.train, steps=60, learning_rate=1e-2, log_every=60))
    train(cache, recipe, tmp_path / "run", threads=1)
    assert read_curve(tmp_path / "run")[0]["train_loss"] < 5.7  # log(320) = 5.77 knows nothing
    assert read_curve(tmp_path / "run")[-1]["train_loss"] < 4.8


def test_a_finished_run_costs_nothing(cache: Path, whole: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in whole.rglob("*")}
    steps: list[int] = []
    again = train(cache, RECIPE, whole, on_step=lambda step, *_: steps.append(step))
    assert again == load_result(whole)
    assert not steps
    assert {file: file.stat().st_mtime_ns for file in whole.rglob("*")} == before


@pytest.mark.parametrize("stop", [1, 4, 7, 12])
def test_a_stopped_run_goes_on_in_the_same_bits(cache: Path, whole: Path, tmp_path: Path, stop: int) -> None:
    stop_after(stop, cache, tmp_path / "run")
    torch.manual_seed(99)  # nothing may depend on what the process did in between
    steps: list[int] = []
    train(cache, RECIPE, tmp_path / "run", on_step=lambda step, *_: steps.append(step), threads=1)
    assert steps == list(range(stop // 4 * 4 + 1, 13))
    assert same_bits(tmp_path / "run", whole)


def test_a_torn_curve_and_a_half_written_checkpoint_do_no_harm(cache: Path, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    stop_after(7, cache, run)
    with (run / "curve.jsonl").open("a") as curve:
        curve.write('{"step": 8, "tra')
    (run / "checkpoint" / ".step-000008.1.tmp").mkdir()
    (run / "checkpoint" / ".step-000008.1.tmp" / "model.safetensors").write_bytes(b"half")
    train(cache, RECIPE, run, threads=1)
    assert same_bits(run, whole)
    assert not list((run / "checkpoint").glob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.0, 0.15, 0.4])
def test_a_killed_run_goes_on_in_the_same_bits(cache: Path, tmp_path: Path, seconds: float) -> None:
    recipe = replace(RECIPE, train=replace(RECIPE.train, steps=400, checkpoint_every=10, evaluate_every=100))
    train(cache, recipe, tmp_path / "whole", threads=1)
    program = f"""
        from pathlib import Path
        from model.config import load_recipe
        from model.train import train
        train(Path({str(cache)!r}), load_recipe({str(tmp_path / "whole" / "recipe.toml")!r}),
              Path({str(tmp_path / "run")!r}), threads=1)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    root = Path(__file__).resolve().parents[2]
    child = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while latest(tmp_path / "run" / "checkpoint") is None and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(seconds)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert load_result(tmp_path / "run") is None, "the child finished before it was killed: nothing was tested"
    train(cache, recipe, tmp_path / "run", threads=1)
    for name in ("model.safetensors", "curve.jsonl"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_loss_that_is_no_number_stops_before_the_weights_take_harm(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden, calls = Decoder.hidden, []

    def broken(self: Decoder, ids: torch.Tensor, context: Context, noise: Noise | None = None) -> torch.Tensor:
        calls.append(1)
        return hidden(self, ids, context, noise) * (float("nan") if len(calls) > 6 else 1.0)

    monkeypatch.setattr(Decoder, "hidden", broken)
    with pytest.raises(
        Diverged, match=r"step \d+ of small: the loss is nan .*lower train\.learning_rate \(now 0\.002\)"
    ):
        train(cache, RECIPE, tmp_path / "run", threads=1)
    place = latest(tmp_path / "run" / "checkpoint")
    assert place is not None
    assert all(weight.isfinite().all() for weight in load_file(place / "model.safetensors").values())


def test_a_directory_of_another_run_is_left_alone(cache: Path, whole: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="another recipe or other settings"):
        train(cache, replace(RECIPE, train=replace(RECIPE.train, seed=1)), whole)
    other = write_cache(tmp_path / "cache", {"train": ["Another text altogether."]})
    with pytest.raises(ValueError, match="a run with other pieces"):
        train(other, RECIPE, whole)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("two years of work")
    with pytest.raises(ValueError, match="holds no run"):
        train(cache, RECIPE, tmp_path / "taken")


def test_a_cache_with_nothing_held_out_trains_and_has_no_score(tmp_path: Path) -> None:
    cache = write_cache(tmp_path / "cache", {"train": ["The only text there is. It is short."]})
    result = train(cache, RECIPE, tmp_path / "run", threads=1)
    assert result.bits_per_byte == result.perplexity == {"validation": None, "test": None}
    assert result.leak_free


def test_a_leaky_recipe_is_measured_and_marked(cache: Path, tmp_path: Path) -> None:
    config = replace(RECIPE.train, steps=2, warmup=0)
    result = train(cache, replace(RECIPE, name="small-leaky", leaky=True, train=config), tmp_path / "run", threads=1)
    assert not result.leak_free
    assert result.first_violation is not None
    assert "input_tag" in result.first_violation
    assert result.max_change > 1e-6


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true"])
def test_other_precisions_train(cache: Path, tmp_path: Path, precision: str) -> None:
    result = train(
        cache, replace(RECIPE, train=replace(RECIPE.train, precision=precision)), tmp_path / "run", threads=1
    )
    assert result.leak_free


def test_the_caller_keeps_its_threads_and_random_numbers(cache: Path, tmp_path: Path) -> None:
    torch.manual_seed(7)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    train(cache, RECIPE, tmp_path / "run", threads=threads + 1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_progress_is_told_at_every_step(cache: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int, float, float]] = []
    train(cache, RECIPE, tmp_path / "run", on_step=lambda *said: told.append(said), threads=1)
    assert [(step, total) for step, total, _, _ in told] == [(step, 12) for step in range(1, 13)]
    assert all(loss > 0 and speed > 0 for _, _, loss, speed in told)


def test_a_result_is_read_back(whole: Path, tmp_path: Path) -> None:
    result = load_result(whole)
    assert result == RunResult(**json.loads((whole / "result.json").read_text()))
    assert load_result(tmp_path) is None


def test_a_checkpoint_gives_back_weights_optimizer_and_random_numbers(tmp_path: Path) -> None:
    def job() -> tuple[Decoder, list[torch.optim.Optimizer]]:
        torch.manual_seed(0)
        decoder = Decoder(SMALL, 50)
        return decoder, make_optimizers(decoder, TrainConfig())

    decoder, [optimizer] = job()
    for weight in decoder.parameters():
        weight.grad = torch.randn_like(weight)
    optimizer.step()
    place = save(tmp_path, 3, decoder, [optimizer], {"more": [1, 0.1]})
    drawn = torch.rand(5)
    again, [other] = job()
    assert load(place, again, [other]) == {"step": 3, "more": [1, 0.1]}
    assert torch.equal(torch.rand(5), drawn)
    for one, two in zip(decoder.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, two)
        assert {name: value.tolist() for name, value in optimizer.state[one].items()} == {
            name: value.tolist() for name, value in other.state[two].items()
        }


def test_the_latest_checkpoint_is_by_step_and_not_by_name(tmp_path: Path) -> None:
    for step in (999_999, 1_000_000, 4):
        (tmp_path / f"step-{step:06d}").mkdir()
        save_file({"x": torch.zeros(1)}, tmp_path / f"step-{step:06d}" / "model.safetensors")
    place = latest(tmp_path)
    assert place is not None
    assert place.name == "step-1000000"


def test_the_learning_rate_rises_in_a_line_and_falls_along_a_cosine() -> None:
    config = TrainConfig(steps=110, warmup=10, learning_rate=1.0, final_fraction=0.1)
    rates = [learning_rate(step, config) for step in (1, 5, 10, 60, 110)]
    assert rates == pytest.approx([0.1, 0.5, 1.0, 0.55, 0.1])


def test_only_matrices_decay() -> None:
    decoder = Decoder(SMALL, 50)
    [adam] = make_optimizers(decoder, TrainConfig(weight_decay=0.1))
    decayed, kept = adam.param_groups
    names = {weight: name for name, weight in decoder.named_parameters()}
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.1, 0.0)
    assert all(
        name.endswith(("qkv.weight", "out.weight", "gate_and_value.weight"))
        for name in map(names.get, decayed["params"])
        if name
    )
    assert {names[weight] for weight in kept["params"]} >= {"embedding.weight", "tag_embedding.weight", "norm.weight"}
    assert len(decayed["params"]) + len(kept["params"]) == len(names)


def test_a_damaged_checkpoint_is_named(cache: Path, tmp_path: Path) -> None:
    stop_after(5, cache, tmp_path / "run")
    weights = tmp_path / "run" / "checkpoint" / "step-000004" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-50])
    with pytest.raises(Failure, match=r"step-000004 is damaged .*remove it"):
        train(cache, RECIPE, tmp_path / "run", threads=1)


def test_an_unfinished_run_of_other_pieces_keeps_its_tokenizer(cache: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    stop_after(5, cache, run)
    (run / "tokenizer.json").write_text("its own")
    with pytest.raises(ValueError, match="a run with other pieces"):
        train(write_cache(tmp_path / "cache", {"train": ["Another text."]}), RECIPE, run)
    assert (run / "tokenizer.json").read_text() == "its own"
