"""Packed training: the batches that the host makes, and runs that end as they do by themselves."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from model.batches import Batch, TrainingRows, evaluation_batches, gather
from model.columns import Split, read_layer
from model.config import ModelConfig, Recipe, TrainConfig
from model.context import PER_PIECE
from model.evaluate.perplexity import evaluate
from model.packed.corpus import evaluation_sources, read, to_device, training_sources
from model.packed.lane import LaneShape
from model.packed.train import PackedResult, PackedRun, train_packed
from model.run import load_run, read_curve
from model.train import train
from pipeline.pieces import Tokenizer
from tests.model.tiny_cache import write_cache
from tests.model.toy import toy_split

ROWS, LENGTH = 3, 16


def splits() -> dict[str, Split]:
    return {"train": toy_split([40, 3, 17, 90]), "validation": toy_split([9, 40], 7), "test": toy_split([], 9)}


def assert_same(ours: Batch, theirs: Batch) -> None:
    """Equal in all that is read; documents may be numbered otherwise."""
    assert torch.equal(ours.ids, theirs.ids)
    assert torch.equal(ours.targets, theirs.targets)
    assert torch.equal(ours.context.valid(), theirs.context.valid())
    assert torch.equal(ours.context.sequence_start(), theirs.context.sequence_start())
    for name in PER_PIECE[1:]:
        assert torch.equal(getattr(ours.context, name), getattr(theirs.context, name)), name


def test_training_batches_are_those_of_the_host_over_several_epochs() -> None:
    corpus = to_device(splits(), "cpu")
    sources = training_sources(corpus, steps=12, rows=ROWS, length=LENGTH, seed=5)
    host = TrainingRows(splits()["train"], rows=ROWS, length=LENGTH, seed=5)
    for source in sources:
        assert_same(read(corpus.table, source), host.next())
    assert host.epoch >= 2
    longer = training_sources(corpus, steps=20, rows=ROWS, length=LENGTH, seed=5)
    assert torch.equal(longer[:12], sources)  # a shorter run sees what a longer one saw first


def test_evaluation_batches_are_those_of_the_host_with_padding_to_one_shape() -> None:
    corpus = to_device(splits(), "cpu")
    for pieces in (None, 20):
        sources, owner = evaluation_sources(corpus, "validation", rows=ROWS, length=LENGTH, pieces=pieces)
        host = list(evaluation_batches(splits()["validation"], rows=ROWS, length=LENGTH, pieces=pieces))
        assert len(sources) == len(owner) == len(host)
        for source, documents, theirs in zip(sources, owner, host, strict=True):
            B, N = theirs.ids.shape
            assert (source[B:] == -1).all()
            assert (source[:, N:] == -1).all()
            assert_same(read(corpus.table, source[:B, :N]), theirs)
            assert torch.equal(documents[:B], theirs.context.document[:, 0])
            assert (documents[B:] == -1).all()
    assert len(evaluation_sources(corpus, "test", rows=ROWS, length=LENGTH)[0]) == 0


def test_a_batch_reads_across_documents_and_padding_as_the_host_does() -> None:
    given = splits()
    corpus = to_device(given, "cpu")
    document = torch.tensor([[0, 0, 1, 1, 3, -1], [-1, 2, 2, 2, -1, -1]])
    position = torch.tensor([[7, 8, 0, 1, 30, 0], [0, 0, 1, 2, 0, 0]])
    theirs = gather(given["train"], document.numpy(), position.numpy())
    source = torch.from_numpy(given["train"].offset)[document] + position
    assert_same(read(corpus.table, torch.where(document < 0, -1, source)), theirs)


TRAIN = TrainConfig(steps=12, rows=2, length=16, warmup=2, evaluate_every=5, evaluate_pieces=40, weight_decay=0.3)
WIDE = ModelConfig(layers=2, dim=16, heads=4, views=("dense", "random(sentence)"), tags=True, dropout=0.2, tag_loss=0.1)
RECIPES = (
    Recipe(name="wide", model=WIDE, train=TRAIN),
    Recipe(name="learned", model=replace(WIDE, positions="learned", tags=False, dropout=0.0), train=TRAIN),
    Recipe(name="other-seed", model=WIDE, train=replace(TRAIN, seed=3, steps=7, learning_rate=1e-3, weight_decay=0.0)),
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cache(tmp_path_factory.mktemp("packed") / "cache")


def packed(cache: Path, recipes: Sequence[Recipe], lanes: int) -> dict[str, PackedResult]:
    given, vocabulary = dict(read_layer(cache).splits), small_vocabulary(cache)
    runs = [PackedRun(name=recipe.name, recipe=recipe, splits=given) for recipe in recipes]
    return {done.run.name: done for done in train_packed(runs, vocabulary=vocabulary, device="cpu", lanes=lanes)}


def small_vocabulary(cache: Path) -> int:
    return Tokenizer.load(read_layer(cache).tokenizer).size


def test_packed_runs_end_as_runs_by_themselves_do(cache: Path, tmp_path: Path) -> None:
    together = packed(cache, RECIPES, lanes=2)  # the third gets a lane that another run has left
    for recipe in RECIPES:
        ours, alone = together[recipe.name], train(cache, recipe, tmp_path / recipe.name)
        model, _ = load_run(tmp_path / recipe.name)
        assert not ours.diverged
        for name, weight in model.state_dict().items():
            torch.testing.assert_close(ours.weights[name], weight, rtol=1e-4, atol=1e-6)
        for split in ("validation", "test"):
            theirs = evaluate(model, read_layer(cache).splits[split], rows=2, length=16)
            assert theirs is not None
            assert ours.nats[split].sum() == pytest.approx(math.log(theirs.perplexity) * theirs.pieces, rel=1e-5)
        curve = [line for line in read_curve(tmp_path / recipe.name) if "validation_bits_per_byte" in line]
        assert [step for step, _ in ours.curve] == [line["step"] for line in curve]
        said = [nats / math.log(2) for _, nats in ours.curve]
        assert said == pytest.approx([line["validation_bits_per_byte"] for line in curve], rel=1e-5)
        assert alone.bits_per_byte["validation"] == pytest.approx(
            ours.nats["validation"].sum() / math.log(2) / read_layer(cache).splits["validation"].bytes.sum(), rel=1e-5
        )


def test_a_run_is_the_same_beside_others_and_after_them(cache: Path) -> None:
    together, after = packed(cache, RECIPES, lanes=3), packed(cache, RECIPES[::-1], lanes=1)
    for name, one in together.items():
        assert one.curve == after[name].curve
        assert all(torch.equal(weight, after[name].weights[key]) for key, weight in one.weights.items())


def test_a_run_that_diverges_says_so_and_harms_no_other(cache: Path) -> None:
    wild = Recipe(name="wild", model=WIDE, train=replace(TRAIN, learning_rate=1e18, warmup=0))
    done = packed(cache, [wild, RECIPES[0]], lanes=1)
    assert done["wild"].diverged
    assert done["wide"].curve == packed(cache, RECIPES[:1], lanes=1)["wide"].curve


def test_settings_that_lanes_lack_are_refused() -> None:
    recipe = Recipe(name="x", model=ModelConfig(base_dim=64), train=TrainConfig(optimizer="muon", ema=0.9))
    with pytest.raises(ValueError, match="recipe 'x' sets optimizer, ema, base_dim, which packed runs lack"):
        LaneShape.of(recipe, 8, pieces=1, steps=1, batches=1)
