"""Runs in fewer bits: saved as plain tensors, loaded with the same numbers, and as good as they were."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from flows.evaluate import evaluate_run
from flows.quantize import compare, quantize_run
from model.config import ModelConfig, Recipe, TrainConfig
from model.quantize import CASTS, QUANTIZED, SCALE, TO, quantize
from model.run import WEIGHTS, load_result, load_run
from model.train import train
from model.transformer import Decoder
from pipeline.errors import Failure
from tests.model.tiny_cache import write_cache

NEEDS = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


def needs(to: str) -> None:
    if to not in CASTS:
        pytest.importorskip("torchao", reason="torchao is not installed: pip install 'valency[quantize]'")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run beside its cache; nothing in the tests changes it."""
    folder = tmp_path_factory.mktemp("quantize")
    write_cache(folder / "cache")
    model = ModelConfig(layers=2, dim=32, heads=4, views=("dense", "sentence"))
    recipe = Recipe(name="quick", model=model, train=TrainConfig(steps=2, rows=2, length=32, warmup=1))
    train(folder / "cache", recipe, folder / "runs" / "quick")
    return folder / "runs" / "quick"


@NEEDS
@pytest.mark.parametrize("to", TO)
def test_a_quantized_run_is_a_run_and_costs_less_than_one_percent(run: Path, tmp_path: Path, to: str) -> None:
    needs(to)
    result = quantize_run(run, to, tmp_path / "out")
    assert result["bytes"] < result["bytes_before"]
    said = load_result(tmp_path / "out")
    assert said is not None
    assert said.served == to
    assert set(said.perplexity.values()) == {None}  # nobody has measured any yet
    cost = compare(run, tmp_path / "out", "validation", tmp_path, run.parents[1] / "cache")
    assert abs(cost["percent"]) < 1
    again = evaluate_run(tmp_path / "out", "validation", data=tmp_path, cache=run.parents[1] / "cache")
    assert again["perplexity_per_piece"] == cost["perplexity"]
    held, saved = load_run(tmp_path / "out")[0], quantize(load_run(run)[0], to)
    for name, weight in saved.state_dict().items():
        assert torch.equal(
            *(each.dequantize() if hasattr(each, "qdata") else each for each in (weight, held.state_dict()[name]))
        )


@NEEDS
@pytest.mark.parametrize("to", ["int8", "int8-dynamic"])
def test_the_file_holds_whole_numbers_and_scales(run: Path, tmp_path: Path, to: str) -> None:
    needs(to)
    quantize_run(run, to, tmp_path)
    weights, name = load_file(tmp_path / WEIGHTS), "layers.0.attention.qkv.weight"
    true = load_run(run)[0].layers[0].attention.qkv.weight  # type: ignore[attr-defined]
    assert weights[name].dtype == torch.int8
    # A scale is the row's largest weight in 127.5 parts: what rounding moves is half of one, and one at the very end.
    apart = (weights[name] * weights[name + SCALE] - true).abs()
    assert (apart <= weights[name + SCALE]).all()
    assert weights["embedding.weight"].dtype == torch.float32
    assert sum(each.dtype == torch.int8 for each in weights.values()) == 2 * 4
    assert json.loads((tmp_path / QUANTIZED).read_text())["to"] == to


@NEEDS
def test_an_int8_model_says_the_same_of_a_row_in_every_batch(run: Path) -> None:
    needs("int8-dynamic")
    from tests.model.toy import toy_context

    model = quantize(load_run(run)[0].double().float(), "int8-dynamic")
    ids, context = toy_context([[9], [7]], seed=0)
    with torch.no_grad():
        together = model(ids, context)
        alone = model(
            ids[:1], type(context)(*(part[:1] if isinstance(part, torch.Tensor) else part for part in context))
        )
    torch.testing.assert_close(together[:1], alone, rtol=0, atol=1e-5)


def test_what_does_not_fit_is_refused(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="did you mean 'int8'"):
        quantize_run(run, "int", tmp_path / "a")
    quantize_run(run, "bf16", tmp_path / "b")
    with pytest.raises(ValueError, match="quantized already"):
        quantize_run(tmp_path / "b", "fp16", tmp_path / "c")
    with pytest.raises(ValueError, match="is not empty"):
        quantize_run(run, "fp16", tmp_path / "b")
    (tmp_path / "b" / QUANTIZED).write_text("{")
    with pytest.raises(Failure, match="damaged"):
        load_run(tmp_path / "b")
    monkeypatch.setitem(__import__("sys").modules, "torchao.quantization", None)
    with pytest.raises(ImportError, match=r"valency\[quantize\]"):
        quantize(Decoder(ModelConfig(layers=1, dim=16, heads=2), vocabulary=9), "int8")
