"""The comparison of mechanisms: its rows and what follows from them, its training runs, and the dial of exactness."""

from pathlib import Path

import pytest

from flows.bench import turns
from flows.bench.exactness import bench_exactness
from flows.bench.mechanisms import Limits, _summary, bench_mechanisms
from flows.bench.quality import bench_quality, recipes
from model.attention import MECHANISMS
from model.config import Recipe, changed
from tests.model.tiny_cache import write_cache


def test_every_mechanism_is_measured_beside_torchs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MOST", 3)
    heard = []
    result = bench_mechanisms(tokens=[64], heads=4, width=4, seconds=0.0, on_row=heard.append)
    assert heard == result["rows"]
    assert {row["mechanism"] for row in heard} >= set(MECHANISMS)
    assert {row["tokens"] for row in heard} == {64}
    for row in heard:
        assert row["turns"] == 3
        assert row["causal"] == (True in MECHANISMS[row["mechanism"]].orders)
        assert row["ratio_with_plan"] <= row["ratio"]
        assert row["peak_mib"] > 0
    assert [line["name"] for line in result["summary"]] == list(dict.fromkeys(row["name"] for row in heard))


def test_the_mixing_alone_is_measured_of_those_that_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MOST", 3)
    rows = bench_mechanisms(["linear"], [128, 64], part="mix", heads=2, width=8, seconds=0.0, clock="process")["rows"]
    names = ["sdpa", "linear: standard", "linear: extreme", "linear: favor"]
    assert [(row["name"], row["tokens"]) for row in rows] == [(name, N) for N in (64, 128) for name in names]
    for said, unfit in (
        ("no mechanism", {"only": ["linaer"]}),
        ("part is", {"part": "a"}),
        ("clock is", {"clock": "a"}),
    ):
        with pytest.raises(ValueError, match=said):
            bench_mechanisms(**unfit)  # type: ignore[arg-type]


def test_what_would_take_too_long_is_left_out_and_says_why() -> None:
    limits = Limits(seconds=1.0, mib=100.0)
    rows = [{"name": "a", "tokens": N, "ms": N**2 / 1e4, "peak_mib": N / 100} for N in (1000, 2000)]
    assert limits.left_out("a", 3000, rows) == ""
    assert limits.left_out("a", 4000, rows) == "about 1,600 ms expected at 4,000 pieces, limit 1,000"
    assert limits.left_out("a", 8000, [*rows, {"name": "a", "tokens": 4000, "left_out": "so"}]) == "so"
    assert limits.left_out("b", 8000, rows) == ""
    assert "MiB expected" in limits.left_out("a", 20_000, [row | {"ms": 1.0} for row in rows])


def test_the_summary_says_how_time_grows_and_from_where_it_is_faster() -> None:
    rows = [
        {"name": "a", "tokens": N, "causal": True, "ms": float(N), "peak_mib": N**1.5, "ratio": ratio}
        for N, ratio in ((512, 1.2), (2048, 0.9), (4096, 1.1), (8192, 2.0))
    ]
    (line,) = _summary([*rows, {"name": "a", "tokens": 16384, "left_out": "so"}])
    assert line["time_exponent"] == pytest.approx(1.0)
    assert line["memory_exponent"] == pytest.approx(1.5)
    assert (line["from"], line["to"], line["faster_from"]) == (2048, 8192, 4096)


def test_recipes_differ_in_the_mechanism_alone_and_their_names_can_be_folders() -> None:
    found = dict(recipes(list(MECHANISMS)))
    assert list(found)[:2] == ["dense", "dense, masked"]
    assert {recipe.model.pattern[0] for recipe in found.values()} == set(MECHANISMS)
    assert {name for name, recipe in found.items() if recipe.model.objective == "masked"} == {
        "dense, masked",
        *(f"{name}, masked" for name, entry in MECHANISMS.items() if True not in entry.orders),
    }
    from model.config.recipe import NAME

    for recipe in found.values():
        assert NAME.fullmatch(changed(recipe, 2, 300).name)
        assert recipe.train == found["dense"].train
    assert "dense, masked" not in dict(recipes(["linear"]))


@pytest.mark.slow
def test_quality_trains_both_objectives_and_compares_like_with_like(tmp_path: Path) -> None:
    cache = write_cache(tmp_path / "cache")
    heard: list[dict[str, object]] = []
    result = bench_quality(
        cache, tmp_path / "runs", ["window", "linformer"], steps=2, seeds=1, length=16, on_row=heard.append
    )
    table = {line["name"]: line for line in result["table"]}
    assert list(table) == ["dense", "dense, masked", "window", "linformer, masked"]
    assert table["dense"]["minus_dense"] == table["dense, masked"]["minus_dense"] == 0
    bits = {row["name"]: row["bits_per_byte"]["validation"] for row in result["rows"]}
    assert table["linformer, masked"]["minus_dense"] == bits["linformer, masked"] - bits["dense, masked"]
    assert all(row["leak_free"] for row in heard)


def test_the_dial_reads_random_numbers_and_a_run(tmp_path: Path) -> None:
    settings = {"lengths": [16, 32], "dimensions": [4, 64], "features": ["elu", "favor"], "width": 8, "heads": 2}
    result = bench_exactness(target=1e9, spread=0.3, seeds=2, **settings)  # type: ignore[arg-type]
    assert result["chosen"] == {"elu": 4, "favor": 4}
    errors = {(row["features"], row["dimension"]): row["error"] for row in result["rows"]}
    assert errors["favor", 64][32] < errors["favor", 4][32]
    assert bench_exactness(target=0.0, seeds=1, **settings)["chosen"] == {"elu": None, "favor": None}  # type: ignore[arg-type]


def test_recipes_of_an_order_that_a_mechanism_does_not_know_are_refused() -> None:
    model = dict(recipes(["linformer"]))["linformer, masked"].model
    assert Recipe(name="fine", model=model)
