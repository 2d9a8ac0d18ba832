"""A small model trained on a task: the model, loss, optimizer and schedule of a training job, on drawn sequences.

Nothing is saved, and nothing is held out but by its seed: no sequence of training is one of a test. An answer counts
if all of it is exact. Intervals are of 95%: over drawn rows, for the answers of a row go right or wrong together.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import nn

from model.batches import NO_TARGET
from model.config import Recipe
from model.depth.ponder import histogram
from model.evaluate.intervals import ratio_interval, share, wilson
from model.machine import own_settings
from model.objective import Objective
from model.optimizer import groups_of, learning_rate, make_optimizers, set_rate
from model.tasks import task_of
from model.tasks.base import Task, answers_of
from model.tasks.batches import TaskRows, task_batch
from model.transformer import Decoder

TEST_SEED = 0x7E57
"""Of test sequences; those of training are drawn by [seed, step], of which no first number is as large."""
SAID = 50
"""Steps between two words of how it goes."""

OnStep = Callable[[int, int, float], None]
"""(step, all steps, mean loss in nats since the last call)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRun:
    """What is to be trained on, and how long."""

    task: str
    pieces: int
    """Of a sequence in training."""
    test_pieces: int
    """Of a sequence in the second test; the first is as long as in training."""
    test_rows: int = 64
    grow: float = 0.0
    """The first part of the steps, in which sequences grow from an eighth of `pieces`. What looks back for one of many
    begins to be learnt sooner among few."""
    enough: float = 0.0
    """Stop early once so large a share of the answers in training batches is exact, over SAID steps; 0: never."""


def train_task(recipe: Recipe, run: TaskRun, *, device: str = "cpu", threads: int | None = None,
               on_step: OnStep | None = None) -> dict[str, Any]:  # fmt: skip
    """Train a recipe's model on a task and test it at two lengths. Of the recipe's job, what concerns a step is used:
    steps, rows, optimizer, rates, clip, seed; rows are `run.pieces` long.

    Errors: ValueError for an unknown task, a length that it does not have, or a model that reads what no task tells.
    """
    task, model = task_of(run.task, run.pieces, run.test_pieces), recipe.model
    longest = max(run.pieces, run.test_pieces)
    if model.positions == "learned" and longest > model.context:
        raise ValueError(f"rows have up to {longest} pieces and the model {model.context} learned positions; set "
                         f"model.context to {longest}, or positions to 'rotary'")  # fmt: skip
    if model.objective != "causal" or model.reads_words() or model.tags or model.tag_loss:
        raise ValueError(f"recipe {recipe.name!r} reads words, or learns other than the next piece; a task has neither "
                         "words nor tags: choose objective = 'causal' and views of places")  # fmt: skip
    config = recipe.train
    if config.seed >= TEST_SEED:
        raise ValueError(f"seed is {config.seed}; give one below {TEST_SEED}, from where test sequences are drawn")
    with own_settings(threads, device):
        torch.manual_seed(config.seed)
        decoder = Decoder(model, task.vocabulary).to(device)
        decoder.checkpoint_layers = config.checkpoint_layers
        objective, optimizers = Objective(decoder, config.seed).to(device), make_optimizers(decoder, config)
        weights = [weight for group in groups_of(optimizers) for weight in group["params"]]
        growing = round(run.grow * config.steps)
        rows = TaskRows(task, rows=config.rows, length=run.pieces, seed=config.seed, growing=growing)
        began, nats, done = perf_counter(), 0.0, 0
        for step in range(1, config.steps + 1):
            set_rate(optimizers, learning_rate(step, config))
            batch = rows.next().to(device)
            loss, said = objective(batch.ids, batch.context, batch.targets, torch.tensor(step - 1, device=device))
            loss.backward()
            nn.utils.clip_grad_norm_(weights, config.clip)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
            nats, done = nats + float(said), step
            if step % SAID == 0:
                if on_step:
                    on_step(step, config.steps, nats / SAID)
                nats = 0.0
                if (
                    run.enough
                    and exact(decoder, task, run, run.pieces, [config.seed, config.steps + step], 4) >= run.enough
                ):
                    break
        seconds = perf_counter() - began
        tests = {length: tested(decoder, task, run, length) for length in dict.fromkeys((run.pieces, run.test_pieces))}
    pondered = {}
    if decoder.halting is not None:
        batches = [task_batch(task, run.test_rows, run.pieces, [TEST_SEED, run.pieces]).to(device)]
        pondered = {"ponder": histogram(decoder, batches)}
    return {
        "task": run.task,
        "says": task.says,
        "recipe": recipe.name,
        "weights": sum(weight.numel() for weight in weights),
        "pieces": run.pieces,
        "rows": config.rows,
        "grow": run.grow,
        "steps": done,
        "seed": config.seed,
        "seconds": seconds,
        "chance": task.chance,
        "tests": [{"pieces": length, **found} for length, found in tests.items()],
        **pondered,
    }


def exact(decoder: Decoder, task: Task, run: TaskRun, length: int, seed: list[int], rows: int) -> float:
    """The share of exact answers in so many fresh sequences."""
    right, cases = _counts(decoder, task, length, seed, rows)
    return float(right.sum() / max(1, cases.sum()))


def tested(decoder: Decoder, task: Task, run: TaskRun, length: int) -> dict[str, Any]:
    """Exact answers, and rows of which all answers are exact, with their intervals."""
    right, cases = _counts(decoder, task, length, [TEST_SEED, length], run.test_rows)
    low, high = (float(end[0]) for end in ratio_interval(right[:, None], cases[:, None]))
    if right.sum() in (0, cases.sum()):  # draws of nothing but right answers say nothing of how far that holds
        low, high = wilson(int((right == cases).sum()), len(cases))
    answers = {"accuracy": float(right.sum() / cases.sum()), "low": low, "high": high}
    counts = {"right": int(right.sum()), "cases": int(cases.sum())}
    return {"answers": answers | counts, "rows": share(int((right == cases).sum()), len(cases))}


@torch.no_grad()
def _counts(decoder: Decoder, task: Task, length: int, seed: list[int], rows: int) -> tuple[Any, Any]:
    """[rows] float64: exact answers, and all. A row at a time, so that long ones fit."""
    device = decoder.embedding.weight.device
    right, cases = np.zeros(rows), np.zeros(rows)
    for row in range(rows):
        batch = task_batch(task, 1, length, [*seed, row]).to(device)
        hidden_BNM = decoder.hidden(batch.ids, batch.context)
        asked = batch.targets != NO_TARGET
        said = (hidden_BNM[asked] @ decoder.embedding.weight.T).argmax(-1)  # elsewhere no logit is needed
        which = torch.from_numpy(answers_of(batch.targets[0].cpu().numpy())[asked[0].cpu().numpy()])
        wrong = which[(said != batch.targets[asked]).cpu()]
        cases[row] = int(which.max()) + 1
        right[row] = cases[row] - len(torch.unique(wrong))
    return right, cases
