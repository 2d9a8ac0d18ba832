"""A whole model beside its dense twin: what is told adds up, and what cannot be measured is refused."""

import pytest

from flows.bench.model import bench_model
from model.config import ModelConfig, Recipe


def recipe(**model: object) -> Recipe:
    return Recipe(name="small", model=ModelConfig(layers=1, dim=16, heads=2, **model))  # type: ignore[arg-type]


def test_rows_tell_both_models_at_every_length() -> None:
    heard: list[dict[str, object]] = []
    result = bench_model([recipe(views=("sentence", "window(8)"))], [16, 48], on_row=heard.append)
    assert [(row["recipe"], row["tokens"]) for row in result["rows"]] == [("small", 16), ("small", 48)]
    assert len(heard) == 2
    for row in result["rows"]:
        assert row["ratio"] == pytest.approx(row["dense_ms"] / row["ms"])
        assert row["pieces_per_second"] == pytest.approx(row["tokens"] / row["ms"] * 1e3)
        assert 0 < row["peak_mib"] < 100
    assert result["time_exponent"]["small"] is not None


def test_what_plain_text_does_not_say_is_refused() -> None:
    with pytest.raises(ValueError, match="a cache of its own"):
        bench_model([recipe(views=("open",))], [16])
    with pytest.raises(ValueError, match="8 learned positions"):
        bench_model([recipe(positions="learned", context=8)], [16])
