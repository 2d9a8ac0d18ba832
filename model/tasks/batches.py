"""Rows of a task as a model reads them: fresh ones at every step, all of them by a seed.

Every piece is a word. A stretch that has a question of its own is a sentence, so that views of sentences mean
something. Letters: B rows, N pieces of a row.
"""

from typing import Any

import numpy as np
import torch

from model.batches import Batch
from model.layer import context_of_places
from model.tasks.base import Task, sentence_starts


def task_batch(task: Task, rows: int, length: int, seed: list[int]) -> Batch:
    """So many sequences of a task, each as long. seed: decides all of them."""
    random = np.random.default_rng(seed)
    drawn = [task.make(length, random) for _ in range(rows)]
    targets_BN = np.stack([each.targets for each in drawn])
    starts_BN = np.stack([sentence_starts(each.targets, task.records) for each in drawn])
    context = context_of_places(rows, length)._replace(sentence_start=torch.from_numpy(starts_BN))
    return Batch(torch.from_numpy(np.stack([each.ids for each in drawn])), torch.from_numpy(targets_BN), context)


class TaskRows:
    """Endless batches, as model.feeds.Rows has them."""

    def __init__(self, task: Task, *, rows: int, length: int, seed: int, growing: int = 0) -> None:
        """growing: batches until sequences are as long as `length`: an eighth of it at first, a quarter, a half, each
        for as long, in so many more rows."""
        self.task, self.rows, self.length, self.seed, self.growing = task, rows, length, seed, growing
        self.position = 0

    def state(self) -> dict[str, int]:
        return {"position": self.position}

    def resume(self, state: dict[str, Any]) -> None:
        self.position = int(state["position"])

    def next(self) -> Batch:
        times = 2 ** max(0, 3 - 3 * self.position // self.growing) if self.growing else 1
        length = max(self.task.shortest, self.length // times)
        self.position += 1
        return task_batch(self.task, self.rows * max(1, self.length // length), length, [self.seed, self.position])
