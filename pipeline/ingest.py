"""The first stage: documents from any input into the shards of the documents layer.

Documents flow past once. Each waits in the buffer of its shard; full buffers are spilled beside the cache, and at the
end each shard is sorted by id and written: memory is bounded by SPILL_BYTES and by the largest shard, and the bytes
depend on the documents alone, in whatever order and from whatever files they came.
"""

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.cache.digest import digest, shard_of, source_digest
from pipeline.cache.layout import DOCUMENTS, Cache, read_json, write_json
from pipeline.cache.schema import DOCUMENTS as SCHEMA
from pipeline.cache.write import ShardWriter
from pipeline.corpus import Document, Rejected, find_files, read_documents
from pipeline.readers import File
from pipeline.remote import RemoteFile

SPILL_BYTES = 64 << 20
"""Text kept in memory over all shards before it is spilled."""

GROUP_BYTES = 8 << 20
"""Text in a row group of the documents layer."""

Row = dict[str, object]


def ingest(inputs: Sequence[str | Path], cache: Cache) -> bool:
    """Bring the documents layer up to date with the inputs. Returns whether it was so already: nothing was read.

    Errors: ValueError if two documents have one id; what the reader raises for inputs that are not there.
    """
    made_from, seen = documents_made_from(), fingerprint(inputs, cache.shards)
    note = cache.folder / "inputs.json"
    if read_json(note) == seen and all(cache.valid(DOCUMENTS, shard, made_from) for shard in range(cache.shards)):
        return True
    note.unlink(missing_ok=True)
    write_documents(read_documents(inputs), cache, made_from)
    write_json(note, seen)
    return False


def documents_made_from() -> dict[str, str]:
    """What decides how a document of given bytes reads: the readers' code."""
    names = ("corpus", "readers", "remote", "conllu", "ingest")
    return {"readers": source_digest(*(f"pipeline/{name}.py" for name in names))}


def fingerprint(inputs: Sequence[str | Path], shards: int) -> dict[str, object]:
    """A cheap sign that the inputs are the same as before: name, size and time of every file, and the shards."""
    signs = [f"{source} {_sign(file)}" for source, file in find_files(inputs)]
    return {"files": len(signs), "digest": digest({"files": sorted(signs), "shards": shards})}


def _sign(file: File) -> str:
    try:
        if isinstance(file, RemoteFile):
            return file.sign()
        state = file.stat()
    except OSError:  # a dead link: it will be rejected, with its reason
        return "unreadable"
    return f"{state.st_size} {state.st_mtime_ns}"


def write_documents(documents: Iterable[Document | Rejected], cache: Cache, made_from: Mapping[str, str]) -> None:
    """Write all shards of the documents layer from a stream of documents."""
    spilled = cache.folder / ".ingest"
    shutil.rmtree(spilled, ignore_errors=True)  # of a run that was killed
    spilled.mkdir()
    try:
        runs = _spill(documents, cache.shards, spilled)
        for shard in range(cache.shards):
            _write_shard(cache, shard, runs[shard], made_from)
    finally:
        shutil.rmtree(spilled, ignore_errors=True)


def _spill(documents: Iterable[Document | Rejected], shards: int, folder: Path) -> list[list[Path]]:
    """Part the stream by shard into runs on disk; a run's file is an Arrow stream in the schema of the layer."""
    runs: list[list[Path]] = [[] for _ in range(shards)]
    waiting: list[list[Row]] = [[] for _ in range(shards)]
    size = 0
    for document in documents:
        row = _row(document)
        waiting[shard_of(document.id, shards)].append(row)
        size += int(str(row["bytes"])) + 1_000  # the row itself
        if size > SPILL_BYTES:
            size = _flush(waiting, runs, folder)
    _flush(waiting, runs, folder)
    return runs


def _flush(waiting: list[list[Row]], runs: list[list[Path]], folder: Path) -> int:
    for shard, rows in enumerate(waiting):
        if rows:
            file = folder / f"{shard:05d}-{len(runs[shard]):05d}.arrow"
            with pa.ipc.new_stream(file, SCHEMA) as stream:
                stream.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
            runs[shard].append(file)
            rows.clear()
    return 0


def _row(document: Document | Rejected) -> Row:
    about = {name: getattr(document, name) for name in ("id", "source", "split", "language")}
    if isinstance(document, Rejected):
        nothing = {"sha256": "", "characters": 0, "bytes": 0, "text": ""}
        return {**about, **nothing, "status": "quarantined", "reason": document.reason}
    content = document.text.encode()
    told = {"sha256": hashlib.sha256(content).hexdigest(), "characters": len(document.text), "bytes": len(content)}
    return {**about, **told, "text": document.text, "status": "ok", "reason": ""}


def _write_shard(cache: Cache, shard: int, runs: Sequence[Path], made_from: Mapping[str, str]) -> None:
    rows = _sorted(runs)
    with ShardWriter(cache, DOCUMENTS, shard, SCHEMA, made_from) as out:
        for begin, end in _groups(rows["bytes"].to_pylist()):
            out.write(rows.slice(begin, end - begin))
        ok = pc.equal(rows["status"], "ok")
        out.counts = {
            "documents": rows.num_rows,
            "ok": pc.sum(ok).as_py() or 0,
            "characters": pc.sum(rows["characters"]).as_py() or 0,
        }


def _sorted(runs: Sequence[Path]) -> pa.Table:
    """The runs of a shard as one table, sorted by id."""
    if not runs:
        return SCHEMA.empty_table()
    tables = []
    for run in runs:
        with pa.OSFile(str(run)) as file, pa.ipc.open_stream(file) as stream:
            tables.append(stream.read_all())
    rows = pa.concat_tables(tables).sort_by("id")
    ids = rows["id"].to_pylist()
    for one, other in pairwise(ids):
        if one == other:
            raise ValueError(f"two documents are called {one!r}; give each input once, under its own name")
    return rows


def _groups(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Row groups as (begin, end): closed by the document that fills GROUP_BYTES."""
    begin = total = 0
    for row, size in enumerate(sizes, start=1):
        total += size
        if total >= GROUP_BYTES or row == len(sizes):
            yield begin, row
            begin, total = row, 0
