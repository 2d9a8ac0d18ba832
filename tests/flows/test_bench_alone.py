"""What is measured alone has one thread whatever its caller has, and a process that fails or dies says so."""

import os
from pathlib import Path

import pytest

from flows.bench import alone as tested
from flows.bench.alone import THREADS, alone
from pipeline.errors import Failure


def threads_of(_: None) -> tuple[int, str]:
    """How many threads the process has once numpy has made its own, and what it was told."""
    import numpy as np  # late: this module imports nothing else that starts threads

    np.ones((256, 256)) @ np.ones((256, 256))
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.is_dir() else 1, os.environ["OMP_NUM_THREADS"]


def test_it_has_one_thread_even_if_its_caller_has_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert THREADS == 1
    assert alone(threads_of, None) == (1, "1")
    assert os.environ["OMP_NUM_THREADS"] == "2"


def fails(said: str) -> None:
    raise ValueError(said)


def dies(_: None) -> None:
    os._exit(9)


def test_a_process_that_fails_or_dies_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tested, "POLL_SECONDS", 0.2)
    with pytest.raises(Failure, match="the process of fails failed: ValueError: no such thing"):
        alone(fails, "no such thing")
    with pytest.raises(Failure, match="the process of dies was killed; is there enough memory"):
        alone(dies, None)
