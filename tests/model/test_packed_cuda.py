"""Packed training on a GPU: compiled and captured steps end where the plain loop ends. On the CPU: test_packed."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from model.columns import read_layer
from model.config import ModelConfig, Recipe, TrainConfig
from model.packed.train import PackedResult, PackedRun, train_packed
from model.train import train
from pipeline.pieces import Tokenizer
from tests.model.tiny_cache import write_cache

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
    # The compiler warns of its own doing: gradients that it asks for, tensor cores that it would rather use.
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

TRAIN = TrainConfig(steps=30, rows=4, length=32, warmup=4, evaluate_every=10, evaluate_pieces=100, weight_decay=0.3)
MODEL = ModelConfig(
    layers=2, dim=64, heads=4, views=("dense", "random(sentence)"), tags=True, dropout=0.2, tag_loss=0.1
)
RECIPES = (
    Recipe(name="rotary", model=MODEL, train=TRAIN),
    Recipe(name="learned", model=replace(MODEL, positions="learned", views=("pos",)), train=replace(TRAIN, seed=1)),
    Recipe(name="alibi", model=replace(MODEL, positions="alibi", dropout=0.0), train=TRAIN),
    Recipe(name="mixed", model=MODEL, train=replace(TRAIN, precision="bf16-mixed", steps=20)),
    Recipe(name="wild", model=MODEL, train=replace(TRAIN, learning_rate=1e18, warmup=0)),
    Recipe(name="again", model=replace(MODEL, dropout=0.1), train=replace(TRAIN, seed=5, steps=20, weight_decay=0.0)),
)
"""The last two and the first have one shape: with one lane they share a captured graph, even after one diverged."""


def packed(cache: Path, recipes: tuple[Recipe, ...], lanes: int) -> dict[str, PackedResult]:
    layer = read_layer(cache)
    runs = [PackedRun(name=recipe.name, recipe=recipe, splits=layer.splits) for recipe in recipes]
    size = Tokenizer.load(layer.tokenizer).size
    return {done.run.name: done for done in train_packed(runs, vocabulary=size, device="cuda", lanes=lanes)}


def differences(one: PackedResult, other: PackedResult) -> dict[str, float]:
    """Where two results of one run are not the same bits: the largest difference, by the weight's name or `curve`."""
    assert [step for step, _ in one.curve] == [step for step, _ in other.curve]
    assert one.weights.keys() == other.weights.keys()
    pairs = {name: (weight, other.weights[name]) for name, weight in one.weights.items()}
    curves = [torch.tensor([nats for _, nats in each.curve], dtype=torch.float64) for each in (one, other)]
    pairs["curve"] = curves[0], curves[1]
    return {
        name: float((ours.double() - theirs.double()).abs().max())
        for name, (ours, theirs) in pairs.items()
        if not torch.equal(ours, theirs)
    }


def test_captured_runs_end_as_plain_ones_whatever_they_are_packed_with(tmp_path: Path) -> None:
    """Same bits beside others and alone, where the same captured kernels run; as compiled kernels add in another order
    than plain ones, near to these. Every run is compared before any is said to be wrong."""
    cache = write_cache(tmp_path / "cache")
    pieces = int((read_layer(cache).splits["validation"].pieces() - 1).sum())
    together, alone = packed(cache, RECIPES, lanes=3), packed(cache, RECIPES[::-1], lanes=1)
    moved, far = {}, {}
    for recipe in RECIPES:
        one, other = together[recipe.name], alone[recipe.name]
        assert (one.diverged, other.diverged) == ((recipe.name == "wild"),) * 2, f"{recipe.name}: {one.nats}"
        if recipe.name == "wild":
            continue
        if found := differences(one, other):
            worst = max(found, key=lambda name: found[name])
            moved[recipe.name] = f"{len(found)} of {len(one.weights) + 1} differ, most {worst}, by {found[worst]:.1e}"
        # the plain run scores itself on the same device and in the same precision
        perplexity = train(cache, recipe, tmp_path / recipe.name, device="cuda").perplexity["validation"]
        assert perplexity is not None
        ours, plain = float(one.nats["validation"].sum()) / pieces, math.log(perplexity)
        # a wrong mask, draw or schedule moves the loss by far more
        tolerance = 2e-2 if recipe.train.precision == "bf16-mixed" else 1e-3
        if not abs(ours - plain) <= tolerance:
            far[recipe.name] = f"{ours:.6f} nats a piece, plain {plain:.6f}: {ours - plain:+.1e}, beyond {tolerance}"
    assert (moved, far) == ({}, {})
