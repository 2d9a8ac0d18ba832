"""Inputs by URL, packed with zstd, and as Hugging Face datasets on disk."""

import os
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest

from pipeline.cache.layout import Cache
from pipeline.corpus import Document, find_files, read_documents
from pipeline.ingest import fingerprint, ingest
from pipeline.parsers import load_parser


def told(*inputs: str | Path) -> dict[str, str]:
    """Text by id, or `! reason`."""
    return {each.id: each.text if isinstance(each, Document) else f"! {each.reason}" for each in read_documents(inputs)}


def zstd(content: bytes) -> bytes:
    return bytes(pa.compress(content, codec="zstd", asbytes=True))


@pytest.fixture
def memory() -> fsspec.AbstractFileSystem:
    files = fsspec.filesystem("memory")
    files.store.clear()
    return files


def test_urls_read_as_paths_do(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    contents = {
        "a.txt": b"One.",
        "sub/b.jsonl.zst": zstd(b'{"text": "Two.", "id": "b"}\n{"text": "Three."}\n'),
        "README.md": b"About.",
        "README.txt": b"About.",
        ".hidden/c.txt": b"Hidden.",
        "x-ud-dev.conllu": b"1\tGo\tgo\tVERB\t_\t_\t0\troot\t_\t_\n\n",
    }
    for name, content in contents.items():
        memory.pipe(f"/lib/books/{name}", content)
        (tmp_path / "books" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "books" / name).write_bytes(content)
    there, here = told("memory://lib/books"), told(tmp_path / "books")
    assert there == here == told(f"file://{tmp_path / 'books'}")
    assert there == {
        "books/a.txt": "One.",
        "books/sub/b.jsonl.zst#b": "Two.",
        "books/sub/b.jsonl.zst#1": "Three.",
        "books/x-ud-dev.conllu#0": "Go",
    }
    assert told("memory://lib/books/a.txt") == {"a.txt": "One."}
    assert told("memory://lib/books/README.txt") == {"README.txt": "About."}, "asked for by name"
    assert told("memory://lib/books/*.txt", "memory://lib/books/a.txt") == {"books/a.txt": "One."}


def test_a_remote_file_that_changes_is_seen(memory: fsspec.AbstractFileSystem) -> None:
    memory.pipe("/lib/a.txt", b"One.")
    before = fingerprint(["memory://lib"], 4)
    assert fingerprint(["memory://lib"], 4) == before
    memory.pipe("/lib/a.txt", b"Another.")
    assert fingerprint(["memory://lib"], 4) != before


def test_a_remote_treebank_is_a_parser(memory: fsspec.AbstractFileSystem) -> None:
    memory.pipe("/lib/x.conllu", b"# newdoc id = one\n1\tGo\tgo\tVERB\t_\t_\t0\troot\t_\t_\n\n")
    documents = [each for each in read_documents(["memory://lib/x.conllu"]) if isinstance(each, Document)]
    words, failed = load_parser("conllu", "memory://lib/x.conllu").parse(documents)
    assert (words.text.to_list(), failed) == (["Go"], {})


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("memory://lib/none.txt", "there is no file or folder"),
        ("memory://lib/*.txt", "nothing to read"),
        ("nosuch://lib/a.txt", "give a path, or a URL of one of"),
        ("memory://lib/a.pdf", "nothing to read"),
    ],
)
def test_urls_that_lead_nowhere_say_so(memory: fsspec.AbstractFileSystem, url: str, said: str) -> None:
    memory.pipe("/lib/a.pdf", b"%PDF")
    with pytest.raises(ValueError, match=said):
        find_files([url])


def test_zstd_is_unpacked_and_damage_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.txt.zst").write_bytes(zstd("Três.".encode()))
    (tmp_path / "b.jsonl.zst").write_bytes(zstd(b"".join(b'{"text": "line %d"}\n' % n for n in range(3_000))))
    (tmp_path / "c.txt.zst").write_bytes(b"no zstd at all")
    (tmp_path / "d.txt.zst").write_bytes(zstd(os.urandom(5_000))[:2_000])
    shown = {name.partition("/")[2]: text for name, text in told(tmp_path).items()}
    assert shown["a.txt.zst"] == "Três."
    assert shown["b.jsonl.zst#2999"] == "line 2999"
    assert shown["c.txt.zst"].startswith("! cannot be read after 0 documents: ")
    assert shown["d.txt.zst"].startswith("! ")
    assert len(shown) == 3_003


def save_dataset(folder: Path, table: pa.Table) -> None:
    """As `datasets.Dataset.save_to_disk` lays it out."""
    folder.mkdir(parents=True)
    with pa.ipc.new_stream(str(folder / "data-00000-of-00001.arrow"), table.schema) as stream:
        stream.write_table(table, max_chunksize=2)
    (folder / "state.json").write_text("{}")
    (folder / "dataset_info.json").write_text("{}")
    (folder / "cache-0123abcd.arrow").write_bytes(b"what map() left")


def test_datasets_on_disk_are_read(tmp_path: Path) -> None:
    texts = pa.table({"text": pa.array(["One.", None, "Three."], pa.large_string()), "label": [0, 1, 0]})
    save_dataset(tmp_path / "imdb" / "train", texts)
    save_dataset(tmp_path / "imdb" / "test", pa.table({"text": ["Four."], "id": ["four"]}))
    save_dataset(tmp_path / "imdb" / "other", pa.table({"body": ["Five."]}))
    (tmp_path / "imdb" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    file = "data-00000-of-00001.arrow"
    assert told(tmp_path / "imdb") == {
        f"imdb/other/{file}": "! has no column 'text'; its columns: body",
        f"imdb/test/{file}#four": "Four.",
        f"imdb/train/{file}#0": "One.",
        f"imdb/train/{file}#1": "! the field 'text' of row 2 is null; give a string",
        f"imdb/train/{file}#2": "Three.",
    }
    splits = {each.id.split("/")[1]: each.split for each in read_documents([tmp_path / "imdb"])}
    assert (splits["train"], splits["test"]) == ("train", "test")


def test_caches_take_urls(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    memory.pipe("/lib/a.txt", b"One.")
    cache = Cache.create(tmp_path / "cache", shards=2)
    assert not ingest(["memory://lib"], cache)
    assert ingest(["memory://lib"], cache), "nothing is read again"
