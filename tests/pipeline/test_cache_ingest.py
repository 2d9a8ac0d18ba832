"""Documents into shards: the bytes depend on the documents alone, and what has not changed is not read."""

import os
from pathlib import Path

import pytest

from pipeline import ingest as stage
from pipeline.cache.layout import Cache
from pipeline.corpus import Document, Rejected
from pipeline.ingest import documents_made_from, ingest, write_documents
from tests.pipeline.fakes import STORIES, digests, rows, write_stories


def document(name: str, text: str) -> Document:
    return Document(id=name, source=name, split="train", language="en", text=text)


DOCUMENTS = [document(f"d{number}", f"text {number} " * number) for number in range(1, 40)]


def written(folder: Path, documents: list[Document | Rejected]) -> dict[str, str]:
    cache = Cache.create(folder, shards=4)
    write_documents(documents, cache, documents_made_from())
    return digests(folder)


def test_a_document_is_a_row_in_its_shard_sorted_by_id(tmp_path: Path) -> None:
    cache = Cache.create(tmp_path / "cache", shards=1)
    ingest([write_stories(tmp_path / "stories")], cache)
    made = rows(cache, "documents")
    assert [row["id"] for row in made] == [f"stories/{name}" for name in sorted(STORIES)]
    assert made[0]["text"] == STORIES["bench.txt"]
    assert (made[0]["characters"], made[0]["bytes"], made[0]["status"]) == (40, 40, "ok")


def test_order_and_spilling_do_not_change_a_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    straight = written(tmp_path / "a", [*DOCUMENTS])
    monkeypatch.setattr(stage, "SPILL_BYTES", 3_000)  # spills every second document
    folder = tmp_path / "runs"
    folder.mkdir()
    assert sum(map(len, stage._spill(DOCUMENTS, 4, folder))) > 8
    assert written(tmp_path / "b", [*reversed(DOCUMENTS)]) == straight
    assert not (tmp_path / "b" / ".ingest").exists()


def test_what_cannot_be_read_is_a_row_with_its_reason(tmp_path: Path) -> None:
    folder = write_stories(tmp_path / "stories")
    (folder / "broken.txt").write_bytes(b"caf\xe9 \xff\xfe")
    cache = Cache.create(tmp_path / "cache", shards=1)
    ingest([folder], cache)
    broken = rows(cache, "documents")[1]
    assert broken["id"] == "stories/broken.txt"
    assert (broken["status"], broken["text"], broken["sha256"]) == ("quarantined", "", "")
    assert broken["reason"]
    assert cache.sidecar("documents", 0).counts == {"characters": 140, "documents": 5, "ok": 4}  # type: ignore[union-attr]


def test_unchanged_inputs_are_not_read_again(tmp_path: Path) -> None:
    folder, cache = write_stories(tmp_path / "stories"), Cache.create(tmp_path / "cache", shards=2)
    assert ingest([folder], cache) is False
    assert ingest([folder], cache) is True
    os.utime(folder / "river.txt", ns=(0, 0))
    assert ingest([folder], cache) is False
    cache.file("documents", 1).write_bytes(b"PAR1")
    assert ingest([folder], cache) is False
    assert ingest([folder], cache) is True


def test_added_and_removed_documents_touch_only_their_shards_and_equal_a_fresh_cache(tmp_path: Path) -> None:
    folder, cache = write_stories(tmp_path / "stories"), Cache.create(tmp_path / "cache", shards=16)
    ingest([folder], cache)
    before = digests(cache.folder)
    (folder / "storm.txt").unlink()
    (folder / "night.txt").write_text("The night was long .")
    ingest([folder], cache)
    after = digests(cache.folder)
    assert 1 <= sum(before[name] != after[name] for name in before) <= 2
    fresh = Cache.create(tmp_path / "fresh", shards=16)
    ingest([folder], fresh)
    assert after == digests(fresh.folder)


def test_two_documents_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two documents are called 'd1'"):
        written(tmp_path / "a", [document("d1", "one"), document("d1", "two")])


def test_nothing_to_read_is_said_before_anything_is_written(tmp_path: Path) -> None:
    cache = Cache.create(tmp_path / "cache", shards=1)
    with pytest.raises(ValueError, match="nowhere"):
        ingest([tmp_path / "nowhere.txt"], cache)
    assert digests(cache.folder) == {}
