"""The sheet of sparsity: densities counted pair by pair, and what is refused."""

from pathlib import Path

import pytest
import torch

from flows.bench import turns
from flows.bench.tiles import SIZES, bench_tiles, density_of
from model.parse import parse
from model.views import view_masks
from tests.model.tiny_cache import STORIES, write_cache
from tests.model.toy import toy_context


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its longest training document has some 1,500 pieces."""
    texts = {"train": ["Short.", " ".join(STORIES * 4)], "validation": STORIES[:1], "test": STORIES[1:2]}
    return write_cache(tmp_path_factory.mktemp("tiles") / "cache", texts)


def test_densities_are_those_of_pairs_and_tiles_counted_one_by_one() -> None:
    _, context = toy_context([[150]], seed=3)
    view = parse("sentence")
    found, mask, N = density_of(view, context), view_masks([view], context)[0, 0], 150
    for size in (1, *SIZES):
        held = {(t // size, s // size) for t in range(N) for s in range(t + 1) if mask[t, s]}
        side = -(-N // size)
        share = len(held) / (side * (side + 1) / 2)
        assert found["pairs" if size == 1 else str(size)] == pytest.approx(share)
    assert found["pairs"] < found["16"] < found["64"]


def test_rows_hold_what_was_promised_beside_what_was_measured(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MOST", 3)
    result = bench_tiles(cache, ["window(16)", "dense"], 512)
    near, dense = result["rows"]
    assert dense["density"] == {"pairs": 1.0, **{str(size): 1.0 for size in SIZES}}
    assert (dense["predicted"], dense["path"], near["path"]) == (1.0, "causal", "sparse")
    assert near["predicted"] > 2
    assert near["measured"] > 0


def test_a_cache_of_short_documents_is_told_how_short(cache: Path) -> None:
    with pytest.raises(ValueError, match="give --tokens so many"):
        bench_tiles(cache, ["sentence"], 10**9)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_benches_of_a_gpu_say_that_they_need_one() -> None:
    from flows.bench.headline import bench_headline
    from flows.bench.kernel import bench_kernel

    for bench in (bench_headline, bench_kernel):
        with pytest.raises(ValueError, match=r"on a GPU|of a GPU"):
            bench()
