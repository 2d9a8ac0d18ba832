"""The cache on disk: what counts as made, what counts as damaged, and who may write."""

import json
import multiprocessing
import os
import signal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.cache.digest import digest, shard_of, source_digest
from pipeline.cache.layout import Cache
from pipeline.cache.lock import writing
from pipeline.cache.read import check_columns, read_row_groups
from pipeline.cache.schema import BONDS, PIECES, WORDS
from pipeline.cache.verify import verify
from pipeline.cache.write import ShardWriter, encodings
from pipeline.errors import Failure

SCHEMA = pa.schema([("word", pa.string()), ("start", pa.int32())])
ROWS = pa.table({"word": ["a", "b", "a"], "start": [0, 2, 4]}, schema=SCHEMA)
LAYER, MADE_FROM = "words/parser=0123456789ab", {"documents": "d" * 64}


def write(cache: Cache, shard: int, rows: pa.Table = ROWS) -> Path:
    with ShardWriter(cache, LAYER, shard, SCHEMA, MADE_FROM) as out:
        out.write(rows)
    return cache.file(LAYER, shard)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    cache = Cache.create(tmp_path / "cache", shards=2)
    write(cache, 0)
    write(cache, 1)
    cache.register({"words": (LAYER, {"parser": "fake"})})
    return cache


def test_a_document_has_its_shard_by_its_id_alone() -> None:
    assert [shard_of(name, 16) for name in ("a", "b", "sample/story/eel.txt")] == [15, 5, 11]


def test_a_shard_is_valid_if_whole_and_made_from_the_same(cache: Cache) -> None:
    assert cache.valid(LAYER, 0, MADE_FROM) is not None
    assert cache.valid(LAYER, 0, {"documents": "e" * 64}) is None
    assert cache.valid("words/parser=ffffffffffff", 0, MADE_FROM) is None


def test_a_flipped_byte_and_a_cut_file_are_not_valid(cache: Cache) -> None:
    whole = cache.file(LAYER, 0).read_bytes()
    cache.file(LAYER, 0).write_bytes(whole[:20] + bytes([whole[20] ^ 1]) + whole[21:])
    cache.file(LAYER, 1).write_bytes(whole[:-5])
    assert cache.valid(LAYER, 0, MADE_FROM) is None
    assert cache.valid(LAYER, 1, MADE_FROM) is None


def test_verify_names_what_is_damaged_even_if_its_time_does_not_tell(cache: Cache) -> None:
    assert verify(cache) == []
    file = cache.file(LAYER, 1)
    before, whole = file.stat(), file.read_bytes()
    file.write_bytes(whole[:20] + bytes([whole[20] ^ 1]) + whole[21:])
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # as a bad disk would do it
    assert [str(damage) for damage in verify(cache)] == [f"{LAYER}/shard-00001: its bytes have changed"]
    verify(cache, discard=True)
    assert cache.valid(LAYER, 1, MADE_FROM) is None
    assert cache.valid(LAYER, 0, MADE_FROM) is not None


def test_verify_names_missing_and_shortened_shards(cache: Cache) -> None:
    cache.file(LAYER, 0).unlink()
    cache.file(LAYER, 1).write_bytes(b"PAR1")
    reasons = [damage.reason for damage in verify(cache)]
    assert reasons[0] == "the sidecar is there, the rows are missing"
    assert reasons[1].startswith("4 bytes instead of ")


def test_a_writer_that_fails_leaves_nothing_and_harms_nothing(cache: Cache) -> None:
    before = cache.file(LAYER, 0).read_bytes()
    with pytest.raises(pa.ArrowInvalid), ShardWriter(cache, LAYER, 0, SCHEMA, MADE_FROM) as out:
        out.write(pa.table({"word": ["a"], "start": ["not a number"]}))
    assert cache.file(LAYER, 0).read_bytes() == before
    assert len([*(cache.folder / LAYER).iterdir()]) == 4  # two shards, two sidecars


def test_the_same_rows_give_the_same_bytes_however_they_are_held(cache: Cache) -> None:
    before = cache.file(LAYER, 0).read_bytes()
    held = pa.table({"word": ROWS["word"].dictionary_encode(), "start": ROWS["start"]})
    chunked = pa.concat_tables([held.slice(0, 1), held.slice(1)])
    assert write(cache, 0, chunked).read_bytes() == before


def test_a_shard_that_is_there_with_these_bytes_is_left_alone(cache: Cache) -> None:
    file = cache.file(LAYER, 0)
    before = file.stat()
    write(cache, 0)
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    write(cache, 0)
    assert verify(cache) == []


def test_an_empty_shard_is_a_shard(cache: Cache) -> None:
    write(cache, 0, SCHEMA.empty_table())
    sidecar = cache.valid(LAYER, 0, MADE_FROM)
    assert sidecar is not None
    assert sidecar.rows == 0


def test_a_torn_sidecar_counts_as_none(cache: Cache) -> None:
    cache.file(LAYER, 0).with_suffix(".json").write_text('{"rows": 3, "byt')
    assert cache.valid(LAYER, 0, MADE_FROM) is None


def test_create_keeps_the_number_of_shards_and_touches_no_other_folder(cache: Cache, tmp_path: Path) -> None:
    assert Cache.create(cache.folder, shards=2).current() == {"words": LAYER}
    with pytest.raises(ValueError, match="has 2 shards, not 16"):
        Cache.create(cache.folder, shards=16)
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("Dear you")
    with pytest.raises(ValueError, match=r"not empty and holds no cache\.json"):
        Cache.create(tmp_path / "letters")
    with pytest.raises(ValueError, match="is no cache"):
        Cache.open(tmp_path / "letters")


DAMAGED = ["", "[]", "{", '{"format": 2}', '{"format": 2, "shards": "many"}', "\x00\xff", "[" * 100_000,
           '{"format": 2, "shards": true}', '{"format": 2, "shards": 1000000000000}']  # fmt: skip


@pytest.mark.parametrize("said", DAMAGED, ids=lambda said: ascii(said)[:30])
def test_a_damaged_cache_json_is_a_clear_error(cache: Cache, said: str) -> None:
    (cache.folder / "cache.json").write_text(said, encoding="latin-1")
    with pytest.raises(Failure, match="damaged"):
        Cache.open(cache.folder)


def test_a_layer_that_is_not_there_is_named(cache: Cache) -> None:
    assert cache.layer("words") == LAYER
    with pytest.raises(ValueError, match="no layer 'bonds'"):
        cache.layer("bonds")


def test_cache_json_says_what_made_each_layer(cache: Cache) -> None:
    cache.register({"words": ("words/parser=ba9876543210", {"parser": "other"})})
    said = json.loads((cache.folder / "cache.json").read_text())
    assert said["current"] == {"words": "words/parser=ba9876543210"}
    assert said["layers"] == {LAYER: {"parser": "fake"}, "words/parser=ba9876543210": {"parser": "other"}}


def hold(folder: str, ready: object) -> None:
    with writing(Cache.open(folder)):
        ready.set()  # type: ignore[attr-defined]
        signal.pause()


def test_a_second_writer_is_refused_by_name_until_the_first_is_dead(cache: Cache) -> None:
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Event()
    holder = spawn.Process(target=hold, args=(str(cache.folder), ready), daemon=True)
    holder.start()
    assert ready.wait(60)
    with pytest.raises(Failure, match=f"being written by process {holder.pid}"), writing(cache):
        pass
    holder.kill()
    holder.join()
    left = cache.folder / LAYER / ".shard-00000.parquet.4711.tmp"
    left.touch()
    with writing(cache):
        assert not left.exists()


def test_every_column_is_written_as_its_values_ask(tmp_path: Path) -> None:
    """Parquet passes over an encoding for a path that it does not know: what was asked for must be what is there."""
    cache = Cache.create(tmp_path, shards=1)
    for schema in (BONDS, PIECES, WORDS):
        rows = pa.table({name: [_value(schema.field(name).type)] * 64 for name in schema.names}, schema=schema)
        with ShardWriter(cache, "layer", 0, schema, {}) as out:
            out.write(rows)
        group = pq.read_metadata(cache.file("layer", 0)).row_group(0)
        written = {group.column(place).path_in_schema: group.column(place) for place in range(group.num_columns)}
        for path, said in encodings(schema).items():
            assert (said or "RLE_DICTIONARY") in written[path].encodings, path


def _value(type_: pa.DataType) -> object:
    if pa.types.is_list(type_):
        return [_value(type_.value_type)] * 3
    return 1 if pa.types.is_integer(type_) else "a"


def test_digests_change_with_what_they_name() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 2, "b": 2})
    assert source_digest("pipeline/cache") != source_digest("pipeline/cache/layout.py")
    with pytest.raises(ValueError, match=r"no source nothing\.py"):
        source_digest("pipeline/nothing.py")


def test_a_kill_between_rows_and_sidecar_leaves_no_shard_rather_than_a_wrong_one(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.cache.write.write_sidecar", killed)
    with pytest.raises(KeyboardInterrupt):
        write(cache, 0, ROWS.slice(1))
    assert cache.sidecar(LAYER, 0) is None


@pytest.mark.parametrize(
    "path", ["../words", "/etc", "words/../..", "bonds/x", "words", "words/a/b", 3, None, "words/\0"]
)
def test_a_cache_names_places_of_its_own_only(cache: Cache, path: object) -> None:
    said = json.loads((cache.folder / "cache.json").read_text())
    said["current"]["words"] = path
    (cache.folder / "cache.json").write_text(json.dumps(said))
    with pytest.raises(Failure, match="damaged"):
        cache.layer("words")


@pytest.mark.parametrize("path", ["../words", "/etc", "a//b"])
def test_layers_outside_the_cache_are_not_looked_at(cache: Cache, path: str) -> None:
    said = json.loads((cache.folder / "cache.json").read_text())
    said["layers"][path] = {}
    (cache.folder / "cache.json").write_text(json.dumps(said))
    with pytest.raises(Failure, match="damaged"):
        verify(cache, discard=True)


SIDECARS = [
    {"rows": -1},
    {"rows": "3"},
    {"rows": True},
    {"sha256": None},
    {"counts": {"words": "many"}},
    {"made_from": []},
]


@pytest.mark.parametrize("change", SIDECARS, ids=str)
def test_a_sidecar_that_says_something_else_counts_as_none(cache: Cache, change: dict[str, object]) -> None:
    file = cache.file(LAYER, 0).with_suffix(".json")
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    assert cache.sidecar(LAYER, 0) is None
    assert [str(each) for each in verify(cache)] == [f"{LAYER}/shard-00000: no readable sidecar"]


def test_no_damaged_shard_is_read_even_if_its_time_does_not_tell(cache: Cache) -> None:
    assert [table.num_rows for table in read_row_groups(cache, LAYER, 1)] == [3]
    file = cache.file(LAYER, 1)
    before, whole = file.stat(), file.read_bytes()
    file.write_bytes(whole[:20] + bytes([whole[20] ^ 1]) + whole[21:])
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(Failure, match=r"shard-00001\.parquet is damaged.*valency repair"):
        list(read_row_groups(cache, LAYER, 1))
    file.unlink()
    with pytest.raises(Failure, match="is missing"):
        list(read_row_groups(cache, LAYER, 1))
    file.mkdir()
    with pytest.raises(Failure, match=r"cannot be read|is damaged"):
        list(read_row_groups(cache, LAYER, 1))
    assert [str(each) for each in verify(cache)] == [f"{LAYER}/shard-00001: is no file"]


def test_what_a_sidecar_vouches_for_must_still_be_parquet(cache: Cache) -> None:
    file = cache.file(LAYER, 0)
    file.write_bytes(b"PAR1 and no more")
    file.with_suffix(".json").unlink()
    with pytest.raises(Failure, match="is damaged"):
        list(read_row_groups(cache, LAYER, 0))


def test_columns_are_those_of_the_schema() -> None:
    check_columns(ROWS, SCHEMA, SCHEMA.names)
    with pytest.raises(ValueError, match="start is not there"):
        check_columns(ROWS.drop("start"), SCHEMA, SCHEMA.names)
    with pytest.raises(ValueError, match="start is of string, not int32"):
        check_columns(ROWS.set_column(1, "start", pa.array(["a", "b", "c"])), SCHEMA, SCHEMA.names)
    with pytest.raises(ValueError, match="start has places without a value"):
        check_columns(ROWS.set_column(1, "start", pa.array([1, None, 2], pa.int32())), SCHEMA, SCHEMA.names)


@pytest.mark.parametrize(
    "current", [{"bonds": "bonds/x"}, {"bonds": "bonds/x", "stats": "stats/x"}, {"stats": "stats/x"}]
)
def test_bonds_are_current_with_their_words_and_statistics_or_not_at_all(
    tmp_path: Path, current: dict[str, str]
) -> None:
    cache = Cache.create(tmp_path / "cache", shards=1)
    said = {"format": 1, "shards": 1, "layers": {}}
    (cache.folder / "cache.json").write_text(json.dumps({**said, "current": current}))
    with pytest.raises(Failure, match="damaged"):
        cache.current()
    (cache.folder / "cache.json").write_text(json.dumps({**said, "current": {"words": "words/x"}}))
    assert cache.current() == {"words": "words/x"}
