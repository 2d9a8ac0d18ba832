"""The benchmark of leaks measures both arms of a cache, and says each as it comes."""

from pathlib import Path

from flows.bench.leak import bench_leak
from model.evaluate.given import GIVEN
from model.evaluate.leak_meter import MeterConfig
from tests.model.tiny_cache import write_cache


def test_all_attributes_and_the_whole_word_arm(tmp_path: Path) -> None:
    cache, seen = write_cache(tmp_path / "cache-tiny"), []
    config = MeterConfig(cuts=20)
    result = bench_leak([cache], fit_pieces=[50, 200], config=config, on_leak=lambda *said: seen.append(said))
    assert len(result["rows"]) == len(seen) == 2 * (len(GIVEN) + 1)
    rows = [row for row in result["rows"] if row["fit_pieces"] == 200]
    assert [row["attribute"] for row in rows] == [*GIVEN, "input_tag"]
    assert {(row["corpus"], row["arm"], row["leak"]) for row in rows[:-1]} == {("tiny", "piece-causal", 0.0)}
    assert rows[-1]["arm"] == "whole-word"
    assert rows[-1]["differing"] > 0
    assert [str(said[-1]) for said in seen] == [row["said"] for row in result["rows"]]
