"""The timed training job writes down what it saw, and leaves in time."""

import json
from pathlib import Path

import pytest

from flows.bench import training_job
from model.config import ModelConfig
from tests.model.tiny_cache import write_cache

TINY = ModelConfig(layers=1, dim=16, heads=2, views=("sentence",))


def test_steps_are_timed_after_the_warm_ones_and_no_more_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_job, "WARM_STEPS", 2)
    monkeypatch.setattr(training_job, "TIMED_STEPS", 3)
    cache, out = write_cache(tmp_path / "cache"), tmp_path / "job" / "seen.json"
    out.parent.mkdir()
    said = {"cache": str(cache), "context": 16, "strategy": "ddp", "out": str(out)}
    training_job.job(said, "cpu", TINY, pieces=32)
    seen = json.loads(out.read_text())
    assert (seen["steps"], seen["vocabulary"]) == (3, 320)
    assert seen["weights"] == 12 * 16**2 + 320 * 16
    assert seen["seconds"] > 0
    assert not list((out.parent / "run").glob("result*"))
