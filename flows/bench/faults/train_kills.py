"""Kill -9 a training job at a random moment, run it again, compare curve, weights, average and optimizer byte for byte.

The moment is drawn uniformly from the time that an undisturbed job takes, start-up and evaluation included; a job that
was done by then is killed again sooner, so that every case is a kill. Every third case is killed twice. The recipe has
all that a resumed job could get wrong: dropout, two batches a step, a moving average, a scaffold, and checkpoints that
fall between lines of the curve.
"""

import shutil
from pathlib import Path
from threading import Lock
from time import perf_counter

from flows.bench.faults.commands import Bench, Row, finish
from flows.bench.faults.kills import killed
from model.checkpoint import latest
from model.config import ModelConfig, Recipe, TrainConfig
from model.run import CHECKPOINTS, CURVE, EMA, RECIPE, WEIGHTS
from model.toml import write
from pipeline.cache.layout import read_json, write_json

JOB = Recipe(
    name="killed",
    model=ModelConfig(layers=2, dim=32, heads=4, views=("dense", "sentence"), tags=True, dropout=0.1),
    train=TrainConfig(
        steps=150,
        rows=2,
        accumulate=2,
        length=64,
        warmup=20,
        ema=0.99,
        scaffold=(0.4, 0.8),
        log_every=3,
        evaluate_every=50,
        evaluate_pieces=1024,
        checkpoint_every=7,
        logger="none",
    ),
)
COMPARED = (CURVE, WEIGHTS, EMA, RECIPE, f"{CHECKPOINTS}/step-{JOB.train.steps:06d}/optimizer.safetensors")

_ONE_AT_A_TIME = Lock()


def train_kill_case(bench: Bench, number: int) -> Row:
    whole = _undisturbed(bench)
    draw, out = bench.draw("train-kills", number), bench.case_folder("train-kills", number)
    moments = [draw.uniform(0, whole) for _ in range(2 if number % 3 == 2 else 1)]
    shutil.rmtree(out, ignore_errors=True)
    steps: list[int] = []
    for turn, moment in enumerate(moments):
        before = out.with_name(f"{out.name}-before")
        shutil.rmtree(before, ignore_errors=True)
        if out.exists():
            shutil.copytree(out, before)
        while not killed(_words(bench, out), moment, own_server=False, group=True):
            shutil.rmtree(out)
            if before.exists():
                shutil.copytree(before, out)
            moments[turn] = moment = moment * 0.7
        place = latest(out / JOB.name / CHECKPOINTS)
        steps.append(int(place.name.removeprefix("step-")) if place else 0)
    finish(_words(bench, out))
    shutil.rmtree(out.with_name(f"{out.name}-before"), ignore_errors=True)
    differ = [name for name in COMPARED if _bytes(out, name) != _bytes(bench.out / "undisturbed-run", name)]
    if not differ:
        shutil.rmtree(out)  # what differs stays to be looked at
    return {
        "passed": not differ,
        "outcome": f"OTHER {', '.join(differ)}" if differ else "same bits",
        "killed_after": [round(moment, 3) for moment in moments],
        "checkpoints_when_killed": steps,
    }


def _words(bench: Bench, out: Path) -> list[str]:
    told = ["--recipe", str(bench.out / "killed.toml"), "--out", str(out), "--threads", "1"]
    return ["train", str(bench.undisturbed), *told]


def _undisturbed(bench: Bench) -> float:
    """Seconds of a job that nothing happened to; it is done once a bench, and all others are compared with it."""
    said, out = bench.out / "undisturbed-run.json", bench.out / "undisturbed-run"
    with _ONE_AT_A_TIME:
        if not said.is_file():
            (bench.out / "killed.toml").write_text(write(JOB), encoding="utf-8")
            shutil.rmtree(out, ignore_errors=True)
            began = perf_counter()
            finish(_words(bench, out))
            write_json(said, {"seconds": perf_counter() - began})
        return float(str((read_json(said) or {})["seconds"]))


def _bytes(out: Path, name: str) -> bytes:
    file = out / JOB.name / name
    return file.read_bytes() if file.is_file() else b""
