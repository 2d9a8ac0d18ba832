"""The benchmark of the cache measures what it says, on a cache of the sample."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from flows.bench import cache as bench
from pipeline.cache.digest import source_digest
from pipeline.corpus import Document, sample_corpus
from tests.pipeline.bonded_cache import ALL, make


def test_a_small_cache_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = make(tmp_path / "cache", "whole", ALL, 4096, monkeypatch)
    monkeypatch.setattr(bench, "LENGTHS", (64, 256))
    monkeypatch.setattr(bench, "PIECES_READ", 2_000)
    monkeypatch.setattr(bench, "JOINS", {"kinds by source": bench.JOINS["kinds by source"], "none": "SELECT nothing"})
    corpora = [tmp_path / "here" / "text"]
    with pytest.raises(ValueError, match="was not made to its end"):
        bench.bench_cache(corpora, cache=cache.folder)
    made: dict[str, Any] = {"words": 1, "settings": asdict(bench.BenchCache()), "corpora": ["text"], "code": "older"}
    made["places"] = [str(tmp_path / "here" / "text")]
    (cache.folder / bench.NOTE).write_text(json.dumps(made), encoding="utf-8")
    with pytest.raises(ValueError, match="older"):
        bench.bench_cache(corpora, cache=cache.folder)
    made["code"] = source_digest("pipeline", "lexicons", "flows")
    (cache.folder / bench.NOTE).write_text(json.dumps(made), encoding="utf-8")  # kept, and not made again
    result = bench.bench_cache(corpora, cache=cache.folder)
    assert result["corpora"] == ["text"]
    assert str(tmp_path) not in json.dumps(result)
    with pytest.raises(ValueError, match="there/text"):  # another text of the same name
        bench.bench_cache([tmp_path / "there" / "text"], cache=cache.folder)
    layers = result["bytes_per_word"]
    assert set(layers) == {"documents", "words", "bonds", "stats", "pieces", "text"}
    total = sum(size for name, size in layers.items() if name != "text")
    assert result["bytes_per_word_without_text"] == pytest.approx(total, abs=0.01)
    assert layers["documents"] < layers["text"]
    assert 0 < max(result["query_seconds"].values()) == result["slowest_query_seconds"]
    assert result["slowest_join_seconds"] is None
    assert "nothing" in result["joins_stopped"]["none"]
    assert result["join_seconds"]["kinds by source"] > 0
    assert result["reader_pieces_per_second"] == min(each["with_blocks"] for each in result["reader"].values())


def test_corpora_have_the_names_of_their_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    given = ("a/imdb", "a/imdb/", Path("a/x.jsonl"), ".", "a/*.txt", "https://host/b/y.jsonl.zst")
    names = ["imdb", "imdb", "x.jsonl", tmp_path.name, "*.txt", "y.jsonl.zst"]
    assert [bench.name_of(each) for each in given] == names


def test_corpora_are_mixed_by_words() -> None:
    corpora = [sample_corpus() / "story", sample_corpus() / "report"]
    documents = list(bench.mixed(corpora, 1_000))
    words = dict.fromkeys(("story", "report"), 0)
    for each in documents:
        assert isinstance(each, Document)
        words[each.id.split("/")[0]] += each.text.count(" ")
    assert min(words.values()) > 300
    assert sum(words.values()) < 2_500
    assert len(list(bench.mixed(corpora, 10**9))) > len(documents)


def test_long_documents_are_cut_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {each.id: each.text for each in bench.mixed([sample_corpus() / "story"], 10**9)}
    monkeypatch.setattr(bench, "LONGEST", 300)
    parts = list(bench.mixed([sample_corpus() / "story"], 10**9))
    assert max(len(each.text) for each in parts) <= 300
    assert len({each.id for each in parts}) == len(parts) > len(whole)
    assert "".join(each.text for each in parts) == "".join(whole.values())


@pytest.mark.slow
@pytest.mark.usefixtures("server")
def test_a_cache_is_made_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "LENGTHS", (64,))
    monkeypatch.setattr(bench, "PIECES_READ", 2_000)
    monkeypatch.setattr(bench, "JOINS", {"kinds by source": bench.JOINS["kinds by source"]})
    settings = bench.BenchCache(words=4_000, shards=2)
    first = bench.bench_cache([sample_corpus()], settings, tmp_path / "cache")
    assert 3_000 < first["words"] < 6_000
    assert first["peak_memory_mb"]["eighth"]["words"] < first["words"]
    assert (
        bench.bench_cache([sample_corpus()], settings, tmp_path / "cache")["bytes_per_word"] == first["bytes_per_word"]
    )


def test_settings_that_cannot_be_are_said() -> None:
    with pytest.raises(ValueError, match="give none, causal, whole"):
        bench.BenchCache(piece_bonds="both")
