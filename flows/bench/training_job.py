"""The training job that `valency bench headline` times, on one GPU or on several of a machine.

    python -m torch.distributed.run --standalone --nproc-per-node 2 -m flows.bench.training_job SETTINGS

SETTINGS: JSON of `cache`, `context`, `strategy` and `out`, where the first process writes what it saw.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from subprocess import run
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import torch

from model.config import ModelConfig, Recipe, TrainConfig
from model.machine import Machine
from model.speed import peak_of
from model.train import train

NEAR = ("window(64)", "sentence", "sentence", "pos & sentences(2)")
BODY = ModelConfig(layers=12, dim=768, heads=12, views=NEAR)
PIECES = 131_072
"""Of a step, in each process."""
WARM_STEPS, TIMED_STEPS = 10, 20


class _EnoughError(Exception):
    """The steps that are timed are over."""


def training_row(cache: Path, context: int, gpus: int, strategy: str = "ddp") -> dict[str, Any]:
    """Pieces a second of `valency train` on GPUs of this machine, PIECES a step and GPU in rows of `context`.

    Errors: CalledProcessError where a process fails; it has said why.
    """
    with TemporaryDirectory() as folder:
        out = Path(folder) / "seen.json"
        said = {"cache": str(cache.resolve()), "context": context, "strategy": strategy, "out": str(out)}
        launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(gpus), "-m", __name__]
        run([sys.executable, *launch, json.dumps(said)], check=True)
        seen = json.loads(out.read_text())
    speed = seen["steps"] * PIECES * gpus / seen["seconds"]
    peak = peak_of(torch.device("cuda"), "bf16-mixed")
    rates = {"tokens_per_second": speed, "mfu": speed * 6 * seen["weights"] / (peak * gpus) if peak else None}
    kept = {name: seen[name] for name in ("steps", "peak_mib", "vocabulary")}
    return {"context": context, "gpus": gpus, "strategy": strategy if gpus > 1 else None, **rates, **kept}


def job(said: Mapping[str, Any], device: str = "cuda", model: ModelConfig = BODY, pieces: int = PIECES) -> None:
    """Train for the steps that count, and write down what they took."""
    settings = TrainConfig(
        steps=1000, rows=pieces // said["context"], length=said["context"], precision="bf16-mixed", warmup=10,
        compile="parts" if device == "cuda" else "none", logger="none",
        log_every=1000, evaluate_every=1000, checkpoint_every=1000,
    )  # fmt: skip
    world, marks = int(os.environ.get("WORLD_SIZE", "1")), list[float]()

    def on_step(step: int, *_: float) -> None:
        marks.append(perf_counter())  # a step ends with a number from the device
        if step == WARM_STEPS + TIMED_STEPS:
            raise _EnoughError

    recipe = Recipe(name="headline", model=model, train=settings)
    machine = Machine(device=device, devices=world, strategy=said["strategy"])
    out = Path(said["out"])
    try:
        train(Path(said["cache"]), recipe, out.parent / "run", machine=machine, on_step=on_step)
    except _EnoughError:
        tokenizer = json.loads((out.parent / "run" / "tokenizer.json").read_text())
        vocabulary = len(tokenizer["model"]["vocab"])
        seen = {
            "steps": TIMED_STEPS,
            "seconds": marks[-1] - marks[WARM_STEPS - 1],
            "vocabulary": vocabulary,
            "weights": 12 * model.layers * model.dim**2 + vocabulary * model.dim,
            "peak_mib": torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else None,
        }
        if os.environ.get("RANK", "0") == "0":
            out.write_text(json.dumps(seen))


if __name__ == "__main__":
    job(json.loads(sys.argv[1]))
