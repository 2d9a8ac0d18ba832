"""What a recipe may ask of training: schedules, optimizers, averages, budgets, precisions, scaffolds, and what is kept
of a batch that broke a run."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from model.batches import NO_TARGET, TrainingRows
from model.columns import read_layer
from model.config import ModelConfig, Recipe, TrainConfig, settled
from model.config.sizes import SIZES, spoken
from model.context import Context
from model.diverged import Diverged, load_batch
from model.dropout import Noise
from model.ema import Average
from model.evaluate.perplexity import evaluate
from model.loggers import make_logger
from model.objective import Objective
from model.optimizer import learning_rate, make_optimizers
from model.run import load_result, load_run, read_curve
from model.scaffold import opened
from model.speed import flops_a_piece, peak_of
from model.train import train
from model.transformer import Decoder
from tests.model.tiny_cache import write_cache

SMALL = ModelConfig(layers=2, dim=16, heads=4, views=("dense", "sentence"), dropout=0.1)
RECIPE = Recipe(
    name="small",
    model=SMALL,
    train=TrainConfig(
        steps=6, rows=2, length=16, warmup=2, log_every=2, evaluate_every=3, checkpoint_every=3, logger="none"
    ),
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cache(tmp_path_factory.mktemp("options") / "cache")


@pytest.fixture(scope="module")
def whole(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("options") / "whole"
    train(cache, RECIPE, out, threads=1)
    return out


def trained(cache: Path, out: Path, model: dict[str, Any] | None = None, **settings: Any) -> Path:
    """A run of RECIPE with other settings."""
    recipe = replace(RECIPE, model=replace(SMALL, **(model or {})), train=replace(RECIPE.train, **settings))
    train(cache, recipe, out, threads=1)
    return out


def resumed(cache: Path, out: Path, at: int, model: dict[str, Any] | None = None, **settings: Any) -> Path:
    """The same, stopped after a step and taken up again."""
    recipe = replace(RECIPE, model=replace(SMALL, **(model or {})), train=replace(RECIPE.train, **settings))

    def stop(step: int, *_: float) -> None:
        if step == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(cache, recipe, out, on_step=stop, threads=1)
    train(cache, recipe, out, threads=1)
    return out


def largest_difference(one: Path, other: Path) -> float:
    ours, theirs = load_file(one / "model.safetensors"), load_file(other / "model.safetensors")
    return max(float((ours[name] - theirs[name]).abs().max()) for name in theirs)


# Schedules and budgets


def test_wsd_rises_stays_and_decays() -> None:
    config = TrainConfig(steps=110, warmup=10, learning_rate=1.0, schedule="wsd", decay=0.2, final_fraction=0.1)
    rates = [learning_rate(step, config) for step in (1, 10, 60, 90, 95, 110)]
    assert rates == pytest.approx([0.1, 1.0, 1.0, 1.0, 1 - 0.9 * 0.5, 0.1])
    assert learning_rate(60, config, gone=1.0) == pytest.approx(0.1)  # by the clock


@pytest.mark.parametrize(
    ("settings", "steps"),
    [({"steps": 7}, 7), ({"epochs": 2.0}, 10), ({"epochs": 0.1}, 1), ({"tokens": 1000}, 8), ({"seconds": 5.0}, 50)],
)
def test_budgets_come_to_steps(settings: dict[str, Any], steps: int) -> None:
    config = TrainConfig(**{"steps": 50, "rows": 4, "length": 16, "accumulate": 1, "warmup": 5, **settings})
    found = settled(config, rows=39, world=2)
    assert found.steps == steps
    assert found.warmup == min(5, steps)


def test_a_run_counts_its_tokens_and_goes_on_by_them(cache: Path, tmp_path: Path) -> None:
    settings = {"tokens": 6 * 2 * 16 - 5, "steps": 1}
    run = resumed(cache, tmp_path / "run", 4, **settings)
    result = load_result(run)
    assert result is not None
    assert result.steps == 6
    assert result.budget.startswith("187 tokens: 6 steps, ")


def test_a_run_by_the_clock_can_be_resumed_and_says_what_it_did(cache: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    recipe = replace(RECIPE, train=replace(RECIPE.train, seconds=0.3, checkpoint_every=1))

    def stop(step: int, total: int, *_: float) -> None:
        told.append((step, total))
        if len(told) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(cache, recipe, tmp_path / "run", on_step=stop, threads=1)
    result = train(cache, recipe, tmp_path / "run", on_step=stop, threads=1)
    steps = [step for step, _ in told]
    assert steps == list(range(1, result.steps + 1))
    assert told[-1] == (result.steps, result.steps)
    assert all(total > step for step, total in told[:-1])
    assert result.seconds >= 0.3
    assert result.budget.startswith(f"0.3 seconds: {result.steps} steps, ")
    rates = [line["learning_rate"] for line in read_curve(tmp_path / "run")]
    assert rates[-1] < max(rates)


def test_budgets_that_exclude_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="epochs and seconds are given; one budget is enough"):
        TrainConfig(epochs=1, seconds=3)
    with pytest.raises(ValueError, match="tokens is -1; give how many, or 0"):
        TrainConfig(tokens=-1)


# Optimizers


def test_muon_moves_matrices_by_orthogonal_steps_and_adamw_the_rest() -> None:
    torch.manual_seed(0)
    decoder = Decoder(replace(SMALL, tag_loss=0.1), 50)
    before = {name: weight.detach().clone() for name, weight in decoder.named_parameters()}
    config = TrainConfig(optimizer="muon", weight_decay=0.0, learning_rate=0.01)
    muon, adam = make_optimizers(decoder, config)
    for weight in decoder.parameters():
        weight.grad = torch.randn_like(weight)
    muon.step()
    moved = {name for name, weight in decoder.named_parameters() if not torch.equal(weight, before[name])}
    assert moved == {name for name in before if name.startswith("layers.") and before[name].ndim == 2}
    for name in moved:
        weight = decoder.get_parameter(name)
        assert weight.grad is not None
        left, _, right = torch.linalg.svd(weight.grad, full_matrices=False)
        # Newton and Schulz's five steps leave singular values between 0.5 and 1.5 or so, of the exact factor's 1.
        step = (before[name] - weight.detach()) / (0.01 * 0.2 * max(weight.shape) ** 0.5)
        values = torch.linalg.svdvals(step)
        assert 0.3 < float(values.min()) <= float(values.max()) < 1.7
        alike = torch.nn.functional.cosine_similarity(step.flatten(), (left @ right).flatten(), dim=0)
        assert float(alike) > 0.9
    adam.step()
    assert not any(torch.equal(weight, before[name]) for name, weight in decoder.named_parameters())


def test_muon_learns_and_goes_on_in_the_same_bits(cache: Path, tmp_path: Path) -> None:
    settings = {"optimizer": "muon", "ema": 0.9, "schedule": "wsd"}
    one = trained(cache, tmp_path / "one", **settings)
    other = resumed(cache, tmp_path / "other", 5, **settings)
    for name in ("model.safetensors", "ema.safetensors", "curve.jsonl"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


def test_under_a_base_width_spreads_and_rates_follow_the_width() -> None:
    torch.manual_seed(0)
    wide = Decoder(replace(SMALL, dim=64, base_dim=16), 50)
    torch.manual_seed(0)
    plain = Decoder(replace(SMALL, dim=64), 50)
    ratio = {name: weight / plain.get_parameter(name) for name, weight in wide.named_parameters()}
    assert torch.allclose(ratio["embedding.weight"], torch.tensor(1.0))
    assert torch.allclose(ratio["layers.0.feed.out.weight"], torch.tensor(0.5))
    assert torch.allclose(ratio["norm.weight"], torch.tensor(0.25))
    names = {weight: name for name, weight in wide.named_parameters()}
    [adam] = make_optimizers(wide, TrainConfig(weight_decay=0.1))
    scale = {names[weight]: group["scale"] for group in adam.param_groups for weight in group["params"]}
    assert scale["layers.0.feed.out.weight"] == scale["norm.weight"] == 0.25
    assert scale["embedding.weight"] == scale["layers.0.feed_norm.weight"] == 1
    assert adam.param_groups[0]["weight_decay"] * 0.25 == pytest.approx(0.1)  # rate times decay stays
    muon, _ = make_optimizers(wide, TrainConfig(optimizer="muon"))
    assert muon.param_groups[0]["scale"] == 0.5
    assert {id(weight) for group in adam.param_groups for weight in group["params"]} == set(map(id, wide.parameters()))


def test_the_same_width_changes_nothing(cache: Path, whole: Path, tmp_path: Path) -> None:
    run = trained(cache, tmp_path / "run", model={"base_dim": 16})
    assert (run / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


# Averages, memory, compilation, precision


def test_an_average_is_kept_evaluated_and_saved(cache: Path, whole: Path, tmp_path: Path) -> None:
    run = trained(cache, tmp_path / "run", ema=0.9)
    assert (run / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    result = load_result(run)
    assert result is not None
    model, _ = load_run(run)
    model.load_state_dict(load_file(run / "ema.safetensors"))
    score = evaluate(model, read_layer(cache).splits["test"], rows=2, length=16)
    assert score is not None
    assert score.bits_per_byte == pytest.approx(result.bits_per_byte_ema["test"], rel=1e-5)
    assert score.bits_per_byte != pytest.approx(result.bits_per_byte["test"], rel=1e-7)
    assert all("validation_bits_per_byte_ema" in line for line in read_curve(run) if line["step"] in (3, 6))


def test_an_average_forgets_the_first_weights_and_gives_the_model_back() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(model.weight, 0.0)
    average = Average(model, 0.9)
    for step in range(1, 200):
        torch.nn.init.constant_(model.weight, 1.0)
        average.update(model, step)
    assert float(average.weights["weight"]) == pytest.approx(1.0, abs=1e-6)
    average.weights["weight"].fill_(5.0)
    with average.inside(model):
        assert model.weight.item() == 5.0
    assert model.weight.item() == 1.0


def test_layers_computed_again_give_the_same_weights(cache: Path, whole: Path, tmp_path: Path) -> None:
    run = trained(cache, tmp_path / "run", checkpoint_layers=True)
    assert (run / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")  # of what torch.compile looks at or passes over
@pytest.mark.parametrize("what", ["parts", "whole"])
def test_a_compiled_model_learns_the_same(cache: Path, whole: Path, tmp_path: Path, what: str) -> None:
    run = trained(cache, tmp_path / "run", compile=what)
    assert largest_difference(run, whole) < 1e-3
    losses = [[line["train_loss"] for line in read_curve(each)] for each in (run, whole)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_half_precision_scales_its_loss_and_skips_what_overflows(cache: Path, whole: Path, tmp_path: Path) -> None:
    run = resumed(cache, tmp_path / "run", 5, precision="16-mixed", steps=12)
    result = load_result(run)
    assert result is not None
    assert result.leak_free
    state = json.loads((run / "checkpoint" / "step-000012" / "state.json").read_text())
    assert state["scaler"]["scale"] == 2.0**16 / 2**result.skipped_steps
    losses = [line["train_loss"] for line in read_curve(run)]
    assert losses[-1] < losses[0]
    undisturbed = trained(cache, tmp_path / "other", precision="16-mixed", steps=12)
    assert (run / "curve.jsonl").read_bytes() == (undisturbed / "curve.jsonl").read_bytes()


# What is kept and told


def test_the_best_weights_are_kept_apart(cache: Path, tmp_path: Path) -> None:
    """A rate so high that the loss soon rises: the best is not the last."""
    settings = {"learning_rate": 0.5, "steps": 12, "warmup": 9, "evaluate_every": 2, "checkpoint_every": 5}
    run = resumed(cache, tmp_path / "run", 9, **settings)
    curve = [line for line in read_curve(run) if "validation_bits_per_byte" in line]
    best = min(curve, key=lambda line: line["validation_bits_per_byte"])
    assert best["step"] < 12
    assert [place.name for place in (run / "best").iterdir()] == [f"step-{best['step']:06d}"]
    result = load_result(run)
    assert result is not None
    assert result.best["validation_bits_per_byte"] == best["validation_bits_per_byte"]
    model, _ = load_run(run)
    model.load_state_dict(load_file(run / result.best["folder"] / "model.safetensors"))
    score = evaluate(model, read_layer(cache).splits["validation"], rows=2, length=16)
    assert score is not None
    assert score.bits_per_byte == pytest.approx(best["validation_bits_per_byte"], rel=1e-5)
    undisturbed = trained(cache, tmp_path / "other", **settings)
    assert (run / "curve.jsonl").read_bytes() == (undisturbed / "curve.jsonl").read_bytes()


def test_a_broken_batch_is_saved_and_breaks_the_loss_again(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = TrainingRows(read_layer(cache).splits["train"], rows=2, length=16, seed=0)
    batches = [rows.next() for _ in range(6)]
    poison = batches[4].ids[1]  # the second batch of the third step of two
    hidden = Decoder.hidden

    def broken(self: Decoder, ids: torch.Tensor, context: Context, noise: Noise | None = None) -> torch.Tensor:
        found = (ids == poison).all(1, keepdim=True) if ids.shape[1] == 16 else torch.zeros(len(ids), 1).bool()
        return hidden(self, ids, context, noise).masked_fill(found[:, :, None], float("nan"))

    monkeypatch.setattr(Decoder, "hidden", broken)
    with pytest.raises(
        Diverged, match=r"the loss is nan.*lengthen train\.warmup.*the batch is in .*step-000003-0"
    ) as error:
        trained(cache, tmp_path / "run", accumulate=2)
    [file] = (tmp_path / "run" / "diverged").glob("*.safetensors")
    assert str(file) in str(error.value)
    batch, said = load_batch(file)
    assert torch.equal(batch.ids, batches[4].ids)
    assert torch.equal(batch.targets, batches[4].targets)
    for ours, theirs in zip(batch.context, batches[4].context, strict=True):
        assert torch.equal(ours, theirs) if isinstance(theirs, torch.Tensor) else True
    assert (said["step"], said["loss"], said["recipe"]) == (3, "nan", "small")
    assert set(said["documents"].values()) <= {f"train#{number}" for number in range(4)}
    loss, _ = Objective(Decoder(SMALL, 320), 0)(batch.ids, batch.context, batch.targets, torch.tensor(2))
    assert not loss.isfinite()
    assert int((batch.targets != NO_TARGET).sum()) > 0


def test_speed_is_written_beside_the_curve(whole: Path) -> None:
    lines = [json.loads(line) for line in (whole / "speed.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [line["step"] for line in read_curve(whole)]
    assert all(line["pieces_per_second"] > 0 and line["peak_memory_mib"] > 10 for line in lines)
    assert not any("mfu" in line for line in lines)  # nobody knows this CPU's peak
    assert peak_of(torch.device("cpu"), "32-true") is None


def test_operations_a_piece_follow_the_formula() -> None:
    decoder = Decoder(replace(SMALL, tags=True), 50)
    weights = sum(weight.numel() for weight in decoder.parameters()) - 18 * 16
    assert flops_a_piece(decoder, 32) == 6 * weights + 12 * 2 * 4 * 4 * 32


def test_a_logger_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.loggers.find_spec", lambda name: None)
    for name in ("mlflow", "wandb"):
        with pytest.raises(ValueError, match=f"logger is '{name}' and it is not installed; `pip install {name}`"):
            make_logger(name, tmp_path)
    with pytest.raises(ValueError, match="logger is 'mlflw'; did you mean 'mlflow'"):
        TrainConfig(logger="mlflw")


# Scaffolds


def test_views_open_between_two_parts_of_a_job() -> None:
    assert [opened(gone, (0.5, 0.7)) for gone in (0, 0.5, 0.6, 0.7, 1)] == pytest.approx([0, 0, 0.5, 1, 1])
    assert [opened(gone, (0.5, 0.5)) for gone in (0.4, 0.5)] == [0, 1]
    assert opened(1.0, ()) == 0


def test_a_scaffold_is_removed_and_the_model_needs_no_annotator(cache: Path, tmp_path: Path) -> None:
    """Trained under views and tags, served without: the same logits, with attributes that say nothing."""
    model = {"tags": True, "views": ("sentence", "pos & window(3)"), "positions": "alibi"}
    run = resumed(cache, tmp_path / "run", 5, model=model, scaffold=(0.3, 0.6), steps=9)
    how_far = [line["opened"] for line in read_curve(run)]
    assert how_far[0] == 0
    assert how_far[-1] == 1
    assert how_far == sorted(how_far)
    assert any(0 < each < 1 for each in how_far)
    plain, recipe = load_run(run)
    assert [str(view) for view in recipe.model.head_views()] == ["dense"] * 4
    assert (recipe.model.tags, recipe.name) == (False, "small")
    assert "tags = true" in (run / "recipe.toml").read_text()
    taught = Decoder(replace(SMALL, **model), 320).eval()
    taught.load_state_dict(load_file(run / "checkpoint" / "step-000009" / "model.safetensors"))
    batch = TrainingRows(read_layer(cache).splits["test"], rows=2, length=16, seed=0).next()
    nothing = torch.zeros_like(batch.ids)
    unread = batch.context._replace(
        sentence_start=nothing, first_word=nothing - 1, last_word=nothing - 1, closed_word=nothing,
        input_tag=nothing, key_tag=nothing,
    )  # fmt: skip
    with torch.no_grad():
        under = taught(batch.ids, batch.context._replace(opened=torch.tensor(1.0)))
        assert torch.equal(plain(batch.ids, unread), under)
        assert not torch.allclose(taught(batch.ids, batch.context), under)
    result = load_result(run)
    assert result is not None
    assert result.served.startswith("plain")
    score = evaluate(plain, read_layer(cache).splits["test"], rows=2, length=16)
    assert score is not None
    assert score.bits_per_byte == pytest.approx(result.bits_per_byte["test"], rel=1e-5)
    undisturbed = trained(cache, tmp_path / "other", model=model, scaffold=(0.3, 0.6), steps=9)
    assert (run / "model.safetensors").read_bytes() == (undisturbed / "model.safetensors").read_bytes()


@pytest.mark.parametrize("scaffold", [(0.5,), (0.8, 0.5), (-0.1, 1.0), (0.0, float("nan"))])
def test_a_scaffold_that_cannot_be_is_refused(scaffold: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"scaffold is .*give two parts of the job, as \[0\.5, 0\.8\]"):
        TrainConfig(scaffold=scaffold)


# Sizes and modes


@pytest.mark.parametrize("name", [name for name in SIZES if name.endswith("M")])
def test_sizes_are_what_they_are_called(name: str) -> None:
    model = spoken(Recipe(name="x"), size=name).model
    shared = model.key_heads() / model.heads
    layer = model.dim**2 * (2 + 2 * shared) + 3 * model.dim * model.hidden() + 2 * model.dim
    weights = model.layers * layer + model.dim + 8192 * model.dim
    assert weights == pytest.approx(float(name[:-1]) * 1e6, rel=0.02)
    assert model.dim / model.heads == 64


def test_words_of_a_command_make_a_recipe_whose_name_says_them() -> None:
    recipe = spoken(Recipe(name="train"), mode="pos_only", size="seed-tiny", leaky=True, budget={"epochs": 10.0})
    assert recipe.name == "train,mode=pos_only,size=seed-tiny,epochs=10-leaky"
    assert recipe.leaky
    assert (recipe.model.views, recipe.model.layers, recipe.model.heads) == (("pos",), 2, 2)
    assert recipe.train.epochs == 10
    assert spoken(recipe, budget={"steps": 20}).train.epochs == 0
    assert spoken(Recipe(name="x"), budget={"tokens": 123456789}).name == "x,tokens=123456789"
    with pytest.raises(ValueError, match="size is '10m'; did you mean '10M'"):
        spoken(Recipe(name="x"), size="10m")
    with pytest.raises(ValueError, match="there is no mode 'pos_onl'; did you mean 'pos_only'"):
        spoken(Recipe(name="x"), mode="pos_onl")


def test_a_view_of_bonds_asks_for_a_cache_that_has_them(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"know nothing of bonds; .*--piece-bonds causal"):
        trained(cache, tmp_path / "run", model={"views": ("pos & ~blocked",)})
