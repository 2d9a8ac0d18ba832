"""Synthetic tasks: what a generator says is what its ids say, at every length, and by the seed alone."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from flows.cli import app
from flows.cli_task import pieces_of
from model.batches import NO_TARGET
from model.config import DepthConfig, ModelConfig, Recipe, TrainConfig
from model.tasks import TASKS, task_of
from model.tasks.base import answers_of, sentence_starts
from model.tasks.batches import TaskRows, task_batch
from model.tasks.regex import ANY, mistakes
from model.tasks.sets import ITEMS, ORDERS
from model.tasks.training import TaskRun, train_task


@pytest.mark.parametrize("name", TASKS)
def test_the_answer_from_the_ids_alone_is_what_the_generator_knew(name: str) -> None:
    task = TASKS[name]
    for length in (task.shortest, task.shortest + 1, 63, 64, 256, 1021, 2048):
        for seed in range(5):
            ids, targets = task.make(length, np.random.default_rng(seed))
            assert len(ids) == length
            assert ids.min() >= 0
            assert ids.max() < task.vocabulary
            assert (targets != NO_TARGET).any(), (length, seed)
            np.testing.assert_array_equal(task.answer(ids), targets)
            said = targets[targets != NO_TARGET]
            assert said.min() >= 0
            assert said.max() < task.vocabulary


@pytest.mark.parametrize("name", TASKS)
def test_the_longest_sequences_are_there_too(name: str) -> None:
    task = task_of(name, 131_072)
    ids, targets = task.make(131_072, np.random.default_rng(0))
    np.testing.assert_array_equal(task.answer(ids), targets)


@pytest.mark.parametrize("name", TASKS)
def test_no_guess_without_reading_does_better_than_chance(name: str) -> None:
    task = TASKS[name]
    answers: dict[tuple[int, ...], int] = {}
    for seed in range(400):
        _, targets = task.make(128, np.random.default_rng(seed))
        which = answers_of(targets)
        for number in range(which.max() + 1):
            said = tuple(targets[which == number].tolist())
            answers[said] = answers.get(said, 0) + 1
    best, all_ = max(answers.values()), sum(answers.values())
    assert best / all_ < task.chance + 4 * (max(task.chance, 1 / all_) / all_) ** 0.5 + 1 / all_


def test_pieces_side_by_side_are_one_answer_and_a_record_ends_with_it() -> None:
    targets = np.array([NO_TARGET, 3, 4, NO_TARGET, NO_TARGET, 5])
    assert answers_of(targets).tolist() == [-1, 0, 0, -1, -1, 1]
    assert sentence_starts(targets, records=True).tolist() == [0, 0, 0, 3, 3, 3]
    assert sentence_starts(targets, records=False).tolist() == [0] * 6


def test_mistakes_are_those_that_a_person_counts() -> None:
    pattern = [(0, False), (1, True), (ANY, False), (2, False)]  # a b? . c
    for word, made in [([0, 1, 7, 2], 0), ([0, 7, 2], 0), ([0, 2], 1), ([0, 1, 7, 7, 2], 1), ([5, 5], 2), ([2], 2)]:
        assert mistakes(pattern, word) == made


def test_the_orders_of_the_hash_are_orders_and_begin_with_other_items() -> None:
    ranks = [[(times * item + shift) % ITEMS for item in range(ITEMS)] for times, shift in ORDERS]
    assert all(sorted(rank) == list(range(ITEMS)) for rank in ranks)
    assert len({rank.index(0) for rank in ranks}) == len(ORDERS)


def test_rows_follow_from_seed_and_step_and_can_be_left() -> None:
    rows = [TaskRows(TASKS["odd"], rows=2, length=40, seed=seed) for seed in (0, 0, 1)]
    first = [each.next() for each in rows]
    assert torch.equal(first[0].ids, first[1].ids)
    assert not torch.equal(first[0].ids, first[2].ids)
    rows[1].resume({"position": 5})
    rows[0].resume(rows[1].state())
    assert torch.equal(rows[0].next().ids, rows[1].next().ids)
    growing = TaskRows(TASKS["odd"], rows=2, length=64, seed=0, growing=6)
    assert [tuple(growing.next().ids.shape) for _ in range(8)] == [
        (16, 8), (16, 8), (8, 16), (8, 16), (4, 32), (4, 32), (2, 64), (2, 64)
    ]  # fmt: skip
    batch = task_batch(TASKS["odd"], 1, 40, [0])
    starts = batch.context.sentence_start[0].unique().tolist()
    assert starts == [0, 10, 20, 30]
    assert all((batch.ids[0, begin:end] < 128).sum() == 9 for begin, end in pairwise([*starts, 40]))


RECIPE = Recipe(
    name="small",
    model=ModelConfig(layers=2, dim=32, heads=4, views=("dense", "window(4)")),
    train=TrainConfig(steps=2, rows=2, warmup=1),
)


def test_a_model_is_trained_and_tested_at_both_lengths_and_again_the_same() -> None:
    run = TaskRun(task="odd", pieces=32, test_pieces=64, test_rows=3)
    one, two = (train_task(RECIPE, run) for _ in range(2))
    assert [test["pieces"] for test in one["tests"]] == [32, 64]
    assert one["tests"] == two["tests"]
    assert one["tests"][0]["answers"]["cases"] == 12
    assert one["tests"][0]["rows"]["cases"] == 3


def test_a_model_that_ponders_says_how_long() -> None:
    pondering = replace(RECIPE, model=replace(RECIPE.model, depth=DepthConfig(ponder=0.4)))
    found = train_task(pondering, TaskRun(task="listops", pieces=32, test_pieces=40, test_rows=2))["ponder"]
    assert sum(found["halting"]) == pytest.approx(1.0)
    assert 1 < found["expected_steps"] < 2


def test_the_command_writes_what_it_says(tmp_path: Path) -> None:
    recipe = tmp_path / "small.toml"
    recipe.write_text('name = "small"\n[model]\nlayers = 1\ndim = 16\nheads = 2\n[train]\nrows = 2\nwarmup = 1\n')
    words = [
        "task",
        "odd",
        "--recipe",
        str(recipe),
        "--pieces",
        "32",
        "--steps",
        "2",
        "--seed",
        "3",
        "--test-rows",
        "2",
    ]
    ran = CliRunner().invoke(app, [*words, "--test-length", "48", "--json", str(tmp_path / "odd.json")])
    assert ran.exit_code == 0, ran.output
    assert "odd, 48 pieces" in ran.output
    written = json.loads((tmp_path / "odd.json").read_text())
    assert (written["seed"], written["steps"]) == (3, 2)
    assert [test["pieces"] for test in written["tests"]] == [32, 48]
    assert pieces_of("2x", 256) == 512
    with pytest.raises(ValueError, match="2x"):
        pieces_of("twice", 256)


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ValueError, match="did you mean 'recall'"):
        task_of("recal")
    with pytest.raises(ValueError, match="131,072"):
        task_of("recall", 131_073)
    learned = replace(RECIPE, model=replace(RECIPE.model, positions="learned", context=256))
    with pytest.raises(ValueError, match=r"model\.context"):
        train_task(learned, TaskRun(task="odd", pieces=32, test_pieces=512))
    bonded = replace(RECIPE, model=replace(RECIPE.model, views=("open",)))
    with pytest.raises(ValueError, match="reads words"):
        train_task(bonded, TaskRun(task="odd", pieces=32, test_pieces=64))
