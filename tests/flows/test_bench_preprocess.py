"""The benchmark of preprocessing measures what it says, on a little of the sample."""

from pathlib import Path

import pytest

from flows.bench.preprocess import bench_preprocess
from pipeline.corpus import sample_corpus


@pytest.mark.slow
@pytest.mark.usefixtures("server")
def test_all_rates_are_of_the_same_words() -> None:
    result = bench_preprocess([sample_corpus() / "story"], workers=1, limit_words=1_500)
    words, rate, bare = (result[name] for name in ("words", "words_per_second", "bare_words_per_second"))
    assert 1_500 <= words < 6_000
    assert rate > 0 < bare
    assert result["overhead"] == pytest.approx(bare / rate - 1, abs=0.02)
    assert result["features_and_bonds_words_per_second"] > 0


def test_nothing_to_measure_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text(" ")
    with pytest.raises(ValueError, match="no readable document"):
        bench_preprocess([tmp_path])
