"""`valency generate`: text as it comes, the numbers beside it, and what cannot be said well says why."""

import json
from pathlib import Path

import pytest

from flows.generate import GenerateSettings, generate_run
from model.config import ModelConfig, Recipe, TrainConfig
from model.generate import Sampling, load_trained
from model.train import train
from tests.flows.test_cli import valency
from tests.model.tiny_cache import write_cache


def run_of(folder: Path, name: str = "near", **settings: object) -> Path:
    """A run of two steps."""
    model = ModelConfig(layers=1, dim=32, heads=2, views=("window(4)", "pos & window(8)"))
    steps = TrainConfig(steps=2, rows=2, length=16, warmup=1)
    recipe = Recipe(name=name, model=model, train=steps, **settings)  # type: ignore[arg-type]
    if not (folder / "cache").exists():
        write_cache(folder / "cache")
    train(folder / "cache", recipe, folder / name)
    return folder / name


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_of(tmp_path_factory.mktemp("generate"))


def test_text_comes_by_one_command(run: Path, tmp_path: Path) -> None:
    words = ("--prompt", "The cat", "--pieces", "80", "--seed", "2", "--check", "50", "--json", "g.json")
    done = valency("generate", str(run), *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "g.json").read_text())
    assert done.stdout == f"The cat{result['text_begins']}\n"
    assert "50 pieces compared with a full cache: the same to the bit" in done.stderr
    assert (result["pieces"], result["ended"], result["seed"]) == (80, False, 2)
    assert (result["compared_pieces"], result["max_logit_difference"], result["logits_identical"]) == (50, 0.0, True)
    assert list(result["peak_memory_mib"]) == ["10%", "50%", "100%"]
    assert result["largest_cache_pieces"] <= 4 + 17
    for name in ("recipe", "views", "seconds", "pieces_per_second", "command", "commit", "versions", "device"):
        assert name in result


def test_the_same_seed_says_the_same_and_the_cache_changes_nothing(run: Path) -> None:
    said = []
    for evict in (None, False):
        parts: list[str] = []
        settings = GenerateSettings(pieces=60, sampling=Sampling(seed=5), evict=evict)
        result = generate_run(run, settings, parts.append)
        said.append(("".join(parts), result["pieces_sha256"]))
    assert said[0] == said[1]
    assert (result["drops_closed_sentences"], result["max_logit_difference"]) == (False, None)


def test_without_a_number_it_ends_with_the_document_or_at_256(run: Path) -> None:
    result = generate_run(run, GenerateSettings(), lambda _: None)
    assert result["ended"] or result["pieces"] == 256


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--top-p", "0"], "top_p is 0"),
        (["--precision", "bf16"], "precision is 'bf16'; give one of float32, float64"),
        (["--check", "-1"], "check is -1"),
    ],
)
def test_a_mistake_ends_with_one_line(run: Path, tmp_path: Path, words: list[str], said: str) -> None:
    done = valency("generate", str(run), *words, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("valency: ")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr


def test_what_growing_text_cannot_give_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no trained model yet"):
        load_trained(tmp_path)
    leaky = run_of(run.parent, "leaky", leaky=True)
    with pytest.raises(ValueError, match="there is nothing ahead of a growing text"):
        load_trained(leaky)
    control = run_of(run.parent, "control", control="permuted-tags")
    with pytest.raises(ValueError, match="generate with its honest twin"):
        load_trained(control)
