"""The headline experiments in small: what they say, what they refuse, and that ratios are of equal precision."""

import json
from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="transformers is not installed: pip install 'valency[hf]'")

from flows.bench.turns import peak_mib, taking_turns
from flows.reproduce.asam import CLAIM, reproduce_asam
from flows.reproduce.asi import reproduce_asi
from flows.reproduce.variants import ratios, told
from model.attention import MECHANISMS
from tests.flows.test_cli import valency

TINY = {
    "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 48, "vocab_size": 99,
    "attention_window": 32, "max_position_embeddings": 300,
}  # fmt: skip


def test_a_swapped_longformer_says_what_was_routed_and_how_fast_it_is() -> None:
    seen = []
    result = reproduce_asi(
        "cpu", [64, 96], ["views"], ["float32", "bfloat16"], 2, shape=TINY, memory=True, on_row=seen.append
    )
    assert [row["tokens"] for row in result["rows"]] == [64, 96]
    for row in result["rows"]:
        assert (row["layers_routed"], row["layers"], row["coverage"]) == (3, 3, 1.0)
        assert set(row["same_precision"]) == {"float32", "bfloat16"}
        assert set(row["other_pairs"]) == {"float32 over bfloat16", "bfloat16 over float32"}
        for precision, ratio in row["same_precision"].items():
            assert ratio == row["own"][precision]["ms"] / row["ours"][precision]["ms"]
            assert len(row["ours"][precision]["quartiles"]) == 2
            assert all(peak > 0 for peak in row["peak_mib"][precision].values())
    assert seen == result["rows"]
    json.dumps(result)


def test_a_sparse_layer_is_held_against_both_dense_ones() -> None:
    result = reproduce_asam("cpu", [32, 1024], ["views"], repeats=1, dim=32, heads=2)
    short, long = result["rows"]
    for row in (short, long):
        for dense in ("naive", "sdpa"):
            forward, training = (row[what][dense]["same_precision"]["float32"] for what in ("forward", "training"))
            assert row["combined"][dense]["float32"] == forward * training
        assert set(row["measured"]["float32"]) == {"forward", "training", "peak_mib"}
    peaks = long["measured"]["float32"]["peak_mib"]
    assert peaks["naive"] > peaks["sdpa"]
    assert CLAIM["combined"][1024] == round(CLAIM["forward"][1024] * CLAIM["training"][1024], 2)  # type: ignore[index]
    json.dumps(result)


def test_textbook_attention_is_left_out_where_its_scores_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.reproduce.asam.MOST_SCORES", {"cpu": 1000})
    (row,) = reproduce_asam("cpu", [32], ["views"], repeats=1, dim=32, heads=2)["rows"]
    assert set(row["forward"]) == {"sdpa"}


def test_turns_and_ratios() -> None:
    order: list[str] = []
    works = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    times = taking_turns(works, "cpu", warm=1, fewest=2, seconds=0.0)
    assert order == ["a", "b"] * 3
    assert told(times)["a"]["repeats"] == 2
    assert ratios({"x": 4.0, "y": 2.0}, {"x": 2.0, "y": 4.0}) == {
        "same_precision": {"x": 2.0, "y": 0.5},
        "other_pairs": {"x over y": 1.0, "y over x": 1.0},
    }
    import torch

    peak = peak_mib(lambda: torch.ones(2**18, dtype=torch.float32) + 1, "cpu")
    assert peak == pytest.approx(2.0, abs=0.1)


def test_what_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delitem(MECHANISMS, "local", raising=False)
    with pytest.raises(ValueError, match="mechanisms local, gone cannot"):
        reproduce_asam("cpu", [32], ["local", "gone"])
    with pytest.raises(ValueError, match="did you mean 'cpu'"):
        reproduce_asi("cpi", [32])
    done = valency("reproduce", "asam", "--lengths", "12,x", cwd=tmp_path)
    assert done.returncode == 2
    assert "numbers with commas" in done.stderr
