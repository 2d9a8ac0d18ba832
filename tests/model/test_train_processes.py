"""Several processes, and several batches a step: what one process with all the rows in one batch would have done."""

import json
import os
import socket
import subprocess
import sys
import textwrap
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from model.batches import TrainingRows
from model.columns import read_layer
from model.config import ModelConfig, Recipe, TrainConfig
from model.machine import Machine, under_torchrun
from model.run import load_result, read_curve
from model.toml import write
from model.train import train
from tests.model.tiny_cache import write_cache

ROOT = Path(__file__).resolve().parents[2]
RECIPE = Recipe(
    name="exact",
    model=ModelConfig(layers=2, dim=16, heads=4, views=("dense", "sentence"), dropout=0.1),
    train=TrainConfig(
        steps=6, rows=4, length=16, warmup=2, log_every=1, evaluate_every=3, checkpoint_every=3, precision="64-true",
        logger="none",
    ),
)  # fmt: skip
"""Dropout, which has to draw for a row what it would draw in a larger batch."""

PROGRAM = """
    import sys
    from pathlib import Path
    from model.config import load_recipe
    from model.machine import Machine
    from model.train import train
    cache, recipe, out, strategy, stop = sys.argv[1:]

    def on_step(step, *_):
        if step == int(stop):
            raise SystemExit(3)

    machine = Machine(strategy=strategy, threads=1)
    train(Path(cache), load_recipe(recipe), Path(out), machine=machine, on_step=on_step)
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cache(tmp_path_factory.mktemp("processes") / "cache")


@pytest.fixture(scope="module")
def whole(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("processes") / "whole"
    train(cache, RECIPE, out, threads=1)
    return out


def in_processes(
    cache: Path, recipe: Recipe, out: Path, *, strategy: str = "ddp", world: int = 2, stop: int = 0
) -> str:
    """Train as torchrun would have it: `world` processes with its environment. Returns what the first one said."""
    file = out.parent / f"{out.name}.toml"
    file.write_text(write(recipe))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"TORCHELASTIC_RUN_ID": "test", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    shared |= {
        "WORLD_SIZE": str(world),
        "LOCAL_WORLD_SIZE": str(world),
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    words = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(cache), str(file), str(out), strategy, str(stop)]
    running = [
        subprocess.Popen(
            words, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank), "GROUP_RANK": "0"},
        )
        for rank in range(world)
    ]  # fmt: skip
    said = [each.communicate(timeout=240)[0] for each in running]
    assert [each.returncode for each in running] == [3 if stop else 0] * world, "\n".join(said)[-3000:]
    return said[0]


def apart(one: Path, other: Path) -> float:
    """Largest difference of two runs' weights and losses."""
    ours, theirs = load_file(one / "model.safetensors"), load_file(other / "model.safetensors")
    weights = max(float((ours[name] - theirs[name]).abs().max()) for name in theirs)
    losses = zip(read_curve(one), read_curve(other), strict=True)
    return max(weights, *(abs(a["train_loss"] - b["train_loss"]) for a, b in losses))


def test_ranks_read_the_parts_of_a_larger_batch(cache: Path) -> None:
    split = read_layer(cache).splits["train"]
    whole = TrainingRows(split, rows=6, length=8, seed=3)
    parts = [TrainingRows(split, rows=2, length=8, seed=3, rank=rank, world=3) for rank in range(3)]
    for _ in range(7):  # into the next epoch
        batch, read = whole.next(), [part.next() for part in parts]
        assert torch.equal(torch.cat([each.ids for each in read]), batch.ids)
        assert torch.equal(torch.cat([each.targets for each in read]), batch.targets)
        assert {str(part.state()) for part in parts} == {str(whole.state())}


def test_accumulated_batches_make_the_step_of_one(cache: Path, whole: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, train=replace(RECIPE.train, rows=2, accumulate=2))
    train(cache, recipe, tmp_path / "run", threads=1)
    assert apart(tmp_path / "run", whole) < 1e-6  # Fabric hands losses out in 32 bits
    one, two = load_result(tmp_path / "run"), load_result(whole)
    assert one is not None
    assert two is not None
    assert one.pieces == two.pieces


@pytest.mark.slow
def test_two_processes_make_the_steps_of_one_with_twice_the_rows(cache: Path, whole: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, train=replace(RECIPE.train, rows=2))
    in_processes(cache, recipe, tmp_path / "run")
    assert apart(tmp_path / "run", whole) < 1e-6
    result = load_result(tmp_path / "run")
    assert result is not None
    assert (result.processes, result.strategy, result.leak_free) == (2, "ddp", True)
    assert result.pieces == json.loads((whole / "result.json").read_text())["pieces"]
    in_processes(cache, recipe, tmp_path / "run")  # finished: costs nothing, and both processes know


@pytest.mark.slow
def test_two_processes_accumulate_and_go_on_where_they_were_left(cache: Path, whole: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, train=replace(RECIPE.train, rows=1, accumulate=2, ema=0.9))
    in_processes(cache, recipe, tmp_path / "run", stop=4)
    with pytest.raises(ValueError, match="began with 2 processes and there are 1"):
        train(cache, recipe, tmp_path / "run", threads=1)
    in_processes(cache, recipe, tmp_path / "run")
    assert apart(tmp_path / "run", whole) < 1e-6
    in_processes(cache, recipe, tmp_path / "undisturbed")
    for name in ("model.safetensors", "ema.safetensors", "curve.jsonl"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_weights_in_parts_make_the_same_model(cache: Path, tmp_path: Path, optimizer: str) -> None:
    settings = replace(RECIPE.train, precision="32-true", optimizer=optimizer, ema=0.9)
    train(cache, replace(RECIPE, train=settings), tmp_path / "whole", threads=1)
    recipe = replace(RECIPE, train=replace(settings, rows=2))
    in_processes(cache, recipe, tmp_path / "run", strategy="fsdp", stop=4)
    in_processes(cache, recipe, tmp_path / "run", strategy="fsdp")
    assert apart(tmp_path / "run", tmp_path / "whole") < (2e-4 if optimizer == "adamw" else 2e-2)
    ours, theirs = (load_result(tmp_path / name) for name in ("run", "whole"))
    assert ours is not None
    assert theirs is not None
    assert ours.bits_per_byte["test"] == pytest.approx(theirs.bits_per_byte["test"], rel=1e-3)
    assert ours.bits_per_byte_ema["test"] == pytest.approx(theirs.bits_per_byte_ema["test"], rel=1e-3)
    assert ours.leak_free


@pytest.mark.slow
def test_a_command_starts_its_processes_itself(cache: Path, whole: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, train=replace(RECIPE.train, rows=2))
    (tmp_path / "exact.toml").write_text(write(recipe))
    program = tmp_path / "valency"
    program.write_text("import sys\nfrom flows.cli import main\nif __name__ == '__main__':\n    sys.exit(main())\n")
    words = ["train", str(cache), "--recipe", str(tmp_path / "exact.toml"), "--out", str(tmp_path), "--devices", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(
        [sys.executable, str(program), *words], capture_output=True, text=True, timeout=240, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("bits per byte") == 1  # the first process alone speaks
    assert apart(tmp_path / "exact", whole) < 1e-6


def test_a_machine_is_checked_and_torchrun_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="strategy is 'dpp'; did you mean 'ddp'"):
        Machine(strategy="dpp")
    with pytest.raises(ValueError, match="is one device and devices is 2"):
        Machine(device="cuda:1", devices=2)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setenv("WORLD_SIZE", "8")
    told = under_torchrun(Machine(device="cuda", strategy="fsdp", threads=3))
    assert asdict(told) == {"device": "cuda", "devices": 4, "nodes": 2, "strategy": "fsdp", "threads": 3}
    assert told.world() == 8
