"""Training jobs by objective: causal with bonds, masked, and classes, each to its result."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.columns import read_layer
from model.config import ModelConfig, Recipe, TrainConfig
from model.feeds import MaskedFeed, Source
from model.inputs import recipe_splits
from model.masked import masked
from model.run import RunResult, load_readers, load_run
from model.train import train
from model.transformer import Decoder
from pipeline.corpus import read_labels
from pipeline.pieces import Tokenizer
from pipeline.prefix import PrefixAnnotator
from tests.model.tiny_cache import STORIES, write_cache
from tests.pipeline.bonded_cache import CAUSAL, make

TRAIN = TrainConfig(
    steps=12, rows=2, length=32, warmup=2, evaluate_every=6, checkpoint_every=5, log_every=3, keep_checkpoints=3
)
SMALL: dict[str, Any] = {"layers": 2, "dim": 32, "heads": 4}


def job(cache: Path, out: Path, steps: int = 12, labels: dict[str, int] | None = None, **model: Any) -> RunResult:
    recipe = Recipe(name="job", model=ModelConfig(**{**SMALL, **model}), train=replace(TRAIN, steps=steps))
    return train(cache, recipe, out, labels=labels)


def curve(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "curve.jsonl").read_text().splitlines()]


def test_a_job_learns_through_bonds_scores_and_gates(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        cache = make(tmp_path / "cache", "causal", CAUSAL, 64, patch).folder
    result = job(
        cache,
        tmp_path / "run",
        views=("pos & ~blocked", "(pos & sentences(2)) | open", "bonds", "dense"),
        scores=True,
        kind_gates=True,
        features=True,
    )
    assert result.leak_free, result.first_violation
    assert result.max_change < 1e-9
    model, _ = load_run(tmp_path / "run")
    gates = model.layers[0].attention.terms.gates()  # type: ignore[attr-defined]
    assert gates is not None
    assert (gates != gates[0, 0]).any(), "they have moved"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cache(tmp_path_factory.mktemp("feeds") / "cache")


def test_a_masked_job_ends_goes_on_and_is_told_nothing(cache: Path, tmp_path: Path) -> None:
    result = job(cache, tmp_path / "run", objective="masked", views=("dense", "sentence"), tags=True)
    assert result.leak_free, result.first_violation
    assert result.max_change == 0.0
    assert result.bits_per_byte["validation"] is not None
    job(cache, tmp_path / "other", steps=12, objective="masked", views=("dense", "sentence"), tags=True)
    assert curve(tmp_path / "run") == curve(tmp_path / "other")
    (tmp_path / "run" / "result.json").unlink()
    for step in (10, 12):  # back to step 5, and on from there
        shutil.rmtree(tmp_path / "run" / "checkpoint" / f"step-{step:06d}")
    job(cache, tmp_path / "run", objective="masked", views=("dense", "sentence"), tags=True)
    assert curve(tmp_path / "run") == curve(tmp_path / "other")


def test_a_masked_feed_sees_an_annotation_from_before_the_masks(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = read_layer(cache)
    tokenizer = Tokenizer.load(layer.tokenizer)
    annotator = PrefixAnnotator.load(layer.annotator, tokenizer.piece_bytes, tokenizer.begin, tokenizer.end)
    recipe = Recipe(name="masked", model=ModelConfig(**SMALL, objective="masked", tags=True))
    splits = recipe_splits(layer, recipe)
    source = Source(layer=layer, recipe=recipe, splits=splits, tokenizer=tokenizer, annotator=annotator, labels={})
    feed, model = MaskedFeed(source), Decoder(recipe.model, tokenizer.size)
    assert feed.leak(model).leak_free

    def early(batch: Any, *words: Any, **settings: Any) -> Any:
        asked = masked(batch, *words, **settings)
        tag = torch.from_numpy(np.asarray(batch.ids % 17))  # what the hidden piece is
        return asked._replace(context=asked.context._replace(input_tag=tag))

    monkeypatch.setattr("model.feeds.masked", early)
    found = feed.leak(model)
    assert not found.leak_free
    assert found.first_violation is not None
    assert "other input_tag" in found.first_violation
    assert found.max_change > 1e-6


def test_a_job_learns_the_classes_of_documents(cache: Path, tmp_path: Path) -> None:
    labels = {f"train#{number}": number % 2 for number in range(4)} | {"validation#0": 0}
    result = job(cache, tmp_path / "run", steps=40, labels=labels, objective="classify", views=("dense", "sentence"))
    assert set(result.accuracy) == {"validation"}
    assert curve(tmp_path / "run")[-1]["train_loss"] < 0.3
    with pytest.raises(ValueError, match="other labels"):
        job(cache, tmp_path / "run", steps=40, labels={**labels, "validation#0": 1}, objective="classify",
            views=("dense", "sentence"))  # fmt: skip
    with pytest.raises(ValueError, match="--labels"):
        job(cache, tmp_path / "none", objective="classify")
    with pytest.raises(ValueError, match="no training document has a label"):
        job(cache, tmp_path / "none", labels={"elsewhere": 1}, objective="classify")
    assert load_readers(tmp_path / "run")[0].size > 0


def test_labels_are_read_from_records(tmp_path: Path) -> None:
    file = tmp_path / "reviews.jsonl"
    file.write_text(
        "".join(json.dumps({"text": text, "label": n % 2, "id": n}) + "\n" for n, text in enumerate(STORIES))
    )
    assert read_labels([file]) == {f"reviews.jsonl#{number}": number % 2 for number in range(len(STORIES))}
    (tmp_path / "plain.txt").write_text("No label here.")
    with pytest.raises(ValueError, match="no record has a field 'label'"):
        read_labels([tmp_path / "plain.txt"])
