"""The benchmark of preprocessing measures what it says, on a little of the sample."""

from pathlib import Path

import pytest

from flows.bench.preprocess import bench_preprocess, steady_rate
from pipeline.corpus import sample_corpus


@pytest.mark.slow
@pytest.mark.usefixtures("server")
def test_all_rates_are_of_the_same_words() -> None:
    # so many shards that two workers have a steady state, whichever of them is the quicker
    result = bench_preprocess([sample_corpus()], limit_words=5_000, shards=12)
    words, rate, bare = (result[name] for name in ("words", "words_per_second", "bare_words_per_second"))
    assert 5_000 <= words < 12_000
    assert rate > 0 < bare
    assert result["overhead"] == pytest.approx(bare / rate, rel=0.02)
    assert result["speedup_2_workers"] == pytest.approx(result["words_per_second_2_workers"] / rate, rel=0.02)
    assert result["features_and_bonds_words_per_second"] > 0


def test_start_up_and_idle_workers_are_left_out() -> None:
    one = [(10.0, 100), (11.0, 200), (12.0, 300), (13.0, 400)]
    assert steady_rate(one, workers=1) == 100
    two = [(10.0, 100), (10.5, 200), (11.0, 300), (14.0, 400)]
    assert steady_rate(two, workers=2) == 200
    with pytest.raises(ValueError, match="more text or more shards"):
        steady_rate(two[:2], workers=2)


def test_nothing_to_measure_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text(" ")
    with pytest.raises(ValueError, match="no readable document"):
        bench_preprocess([tmp_path])
