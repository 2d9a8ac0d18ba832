"""The benchmark of attention: its rows and what is fitted to them, on the sample."""

import pytest

from flows.bench import turns
from flows.bench.attention import bench_attention


def test_rows_say_what_was_measured_and_by_which_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MOST", 3)
    heard = []
    result = bench_attention(["window(16)", "pos"], [512, 1024], heads=2, width=8, on_row=heard.append)
    assert heard == result["rows"]
    said = [(row["mechanism"], row["view"], row["tokens"], row["path"]) for row in heard]
    paths = [("window(16)", 512, "sparse"), ("window(16)", 1024, "sparse"), ("pos", 512, "twin"), ("pos", 1024, "twin")]
    assert said == [("views", *rest) for rest in paths]
    for row in heard:
        assert row["ratio"] == row["dense_ms"] / row["ms"]
        assert row["ratio_with_plan"] < row["ratio"]
    # Twice the pieces take twice the memory near by at most, and four times where all pairs are looked at.
    assert result["memory_exponent"]["window(16)"] < 1.1
    assert result["memory_exponent"]["pos"] > 1.5
    assert result["time_exponent"].keys() == {"window(16)", "pos"}


def test_one_length_has_no_exponent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MOST", 3)
    assert bench_attention(["window(16)"], [512], heads=2, width=8)["time_exponent"] == {"window(16)": None}
