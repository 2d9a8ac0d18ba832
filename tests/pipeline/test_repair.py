"""Repair makes again exactly what is damaged, to the same bytes, and says what it cannot do."""

import json
from pathlib import Path

import pytest

import pipeline.repair
from pipeline.bonds import BondConfig
from pipeline.cache.layout import DOCUMENTS, STATS_TABLES, Cache
from pipeline.cache.lock import writing
from pipeline.cache.verify import verify
from pipeline.errors import Failure
from pipeline.ingest import ingest
from pipeline.plan import Plan, Tools, annotator_of, bond_layers, keep_tools, tokenizer_of, words_made_by
from pipeline.repair import repair
from pipeline.stages import bond_shard, parse_shard, piece_shard
from tests.flows.test_cli import valency
from tests.pipeline.fakes import FakeParser, digests, write_stories


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """All layers of the stories, named as preprocessing names them, by a parser that repair finds."""
    monkeypatch.setattr(pipeline.repair, "load_parser", lambda name, model: FakeParser())
    opened, config, tools = Cache.create(tmp_path / "cache", shards=2), BondConfig(), Tools()
    ingest([write_stories(tmp_path / "stories")], opened)
    words, made = words_made_by(FakeParser())
    layers, said = bond_layers(words.rpartition("=")[2], config)
    tokenizer, annotator = tokenizer_of(tools), annotator_of(tools)
    pieces = f"pieces/tokenizer={tokenizer.digest},annotator={annotator.digest}"
    layers |= {"documents": DOCUMENTS, "words": words, "pieces": pieces}
    for shard in range(2):
        parse_shard(opened, shard, layers, FakeParser())
        bond_shard(opened, shard, layers, config)
        piece_shard(opened, shard, layers, tokenizer, annotator)
    keep_tools(opened, tools)
    of_pieces = {"tokenizer": tokenizer.digest, "annotator": annotator.digest}
    told = {"documents": {}, "words": made, "bonds": said, "stats": said, "pieces": of_pieces}
    opened.register(Plan(layers=layers, made=told).entries())
    assert verify(opened) == []
    return opened


def hurt(cache: Cache, layer: str, shard: int, how: str) -> None:
    file = cache.file(layer, shard)
    content = file.read_bytes()
    if how == "flipped":
        place = len(content) // 2
        file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    elif how == "truncated":
        file.write_bytes(content[:-7])
    elif how == "lost":
        file.unlink()
    else:
        file.with_suffix(".json").write_text("{")


@pytest.mark.parametrize("how", ["flipped", "truncated", "lost", "torn sidecar"])
@pytest.mark.parametrize("name", ["words", "bonds", "pieces", *STATS_TABLES])
def test_one_damaged_shard_is_named_and_made_again_alone(name: str, how: str, cache: Cache) -> None:
    current, before = cache.current(), digests(cache.folder)
    layer = f"{current['stats']}/{name}" if name in STATS_TABLES else current[name]
    untouched = {file: file.stat().st_mtime_ns for path in cache.parquet_layers() for file in cache.files(path)}
    hurt(cache, layer, 1, how)
    repairs = repair(cache.folder)
    assert [(each.damage.layer, each.damage.shard, each.mended) for each in repairs] == [(layer, 1, True)]
    assert digests(cache.folder) == before
    assert verify(cache) == []
    mine = {"bonds", *STATS_TABLES} if name in ("bonds", *STATS_TABLES) else {name}
    for file, touched in untouched.items():
        made_again = file.name == "shard-00001.parquet" and any(each in file.parent.as_posix() for each in mine)
        assert made_again or file.stat().st_mtime_ns == touched, file


def test_a_whole_cache_needs_no_repair(cache: Cache) -> None:
    assert repair(cache.folder) == []


def test_damaged_documents_need_the_corpus(cache: Cache) -> None:
    before = digests(cache.folder)
    hurt(cache, DOCUMENTS, 0, "flipped")
    (told,) = repair(cache.folder)
    assert not told.mended
    assert "run `valency preprocess` on the same inputs" in str(told)
    ingest([cache.folder.parent / "stories"], cache)
    assert repair(cache.folder) == []
    assert digests(cache.folder) == before


def test_what_others_made_is_not_made_up(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """A parser, rules or an annotator that would give other bytes under the old name are not used."""
    current = cache.current()
    for name in ("words", "bonds", "pieces"):
        hurt(cache, current[name], 0, "truncated")
    monkeypatch.setattr(FakeParser, "digest", "newer")
    monkeypatch.setattr(pipeline.repair, "bond_layers", lambda words, config: ({"bonds": "bonds/other"}, {}))
    (cache.folder / "annotators").rename(cache.folder / "elsewhere")
    reasons = [str(each) for each in repair(cache.folder)]
    assert len(reasons) == 3
    assert "another model or other code" in reasons[0]
    assert "other rules" in reasons[1] or "missing or damaged" in reasons[1]
    assert "is missing" in reasons[2]
    assert all("run `valency preprocess`" in reason for reason in reasons)


def test_older_layers_are_named_and_left(tmp_path: Path, cache: Cache) -> None:
    said = json.loads((cache.folder / "cache.json").read_text())
    words = said["current"]["words"]
    said["layers"]["words/parser=older"] = {"parser": "fake"}
    (cache.folder / "cache.json").write_text(json.dumps(said))
    older = cache.folder / "words" / "parser=older"
    older.mkdir()
    for file in (cache.folder / words).iterdir():
        (older / file.name).write_bytes(file.read_bytes()[:-1])
    assert {each.advice for each in repair(cache.folder)} == {
        "an older layer, which nothing reads; its folder may be deleted"
    }


def test_a_cache_in_use_is_left_alone(cache: Cache) -> None:
    with writing(cache), pytest.raises(Failure, match="being written by process"):
        repair(cache.folder)
    with pytest.raises(ValueError, match="is no cache"):
        repair(cache.folder.parent)


def test_the_command(cache: Cache, tmp_path: Path) -> None:
    hurt(cache, DOCUMENTS, 1, "truncated")
    done = valency("repair", "cache", "--json", "found.json", cwd=tmp_path)
    assert done.returncode == 1
    assert "documents/shard-00001" in done.stdout
    assert not json.loads((tmp_path / "found.json").read_text())[0]["mended"]
    ingest([tmp_path / "stories"], cache)
    done = valency("repair", "cache", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "cache is whole\n")
