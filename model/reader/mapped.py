"""The pieces layer as uncompressed Arrow files, memory-mapped: a derived copy, made from the Parquet shards once.

    <cache>/mapped/<layer>/shard-00000.arrow     a record batch a row group
    <cache>/mapped/<layer>/shard-00000.json      what it was made from, and the sha256 of its bytes; written last

Parquet is small and slow to enter in the middle; the copy is three times as large, costs a reader no memory of its own
(workers and ranks of a machine share the pages), and finds any block in O(1). A copy of another Parquet file, or one
whose bytes have changed, is made anew. Nothing else in a cache depends on it: it may be deleted at any time.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.cache.digest import sha256_of
from pipeline.cache.layout import Cache, read_json, write_json
from pipeline.cache.lists import backs
from pipeline.cache.read import check_columns, damaged
from pipeline.cache.schema import PIECES, PIECES_WITH_BONDS
from pipeline.cache.verify import sound
from pipeline.errors import Failure

ATTRIBUTES = ("first_word", "last_word", "closed_word", "sentence_start", "input_tag", "key_tag")
HEAD = ("document", "split", "block", "start", "document_pieces", "document_bytes")
SOURCE = b"valency.source"
"""Key of the metadata that names what the copy was made from."""
COPY = "2"
"""Make of the copy: another one means that the code has changed."""


class Segment:
    """One record batch: blocks of whole documents, as columns without a copy. Letters: R blocks, P pieces, L words
    that are listed, E bonds."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self.batch = batch
        self.shard = (batch.schema.metadata or {}).get(SOURCE, b"").decode().rpartition(" ")[2]
        """The sha256 of the shard that it was made from."""
        self.has_bonds = "bond_back" in batch.schema.names
        self.offset = batch.column("pieces").offsets.to_numpy()
        """int32 [R + 1]: where each block's pieces begin."""
        self.columns: dict[str, NDArray[Any]] = {name: self._flat(name) for name in ("pieces", *ATTRIBUTES)}
        """Of each piece [P]."""

    def _flat(self, name: str) -> NDArray[Any]:
        found: NDArray[Any] = self.batch.column(name).flatten().to_numpy()
        return found

    @cached_property
    def bonds(self) -> "SegmentBonds":
        """Only where the layer has bonds."""
        return SegmentBonds(
            first_listed=self.batch.column("first_listed").to_numpy(),
            offset=self.batch.column("bond_begin").offsets.to_numpy(),
            begin=self._flat("bond_begin"),
            back=self._flat("bond_back"),
            kind=self._flat("bond_kind"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentBonds:
    """The lists of a segment's blocks."""

    first_listed: NDArray[np.int32]
    """[R]: the first word that each block lists."""
    offset: NDArray[np.int32]
    """[R + 1]: where each block's words begin in `begin`; a block has one entry more than it lists words."""
    begin: NDArray[np.int64]
    """[L + R]: where each listed word's bonds begin; the entry after a block's last word says where they end."""
    back: NDArray[np.int32]
    """[E]"""
    kind: NDArray[np.uint8]
    """[E]"""


def mapped_files(cache: Cache, layer: str) -> list[Path]:
    """The copies of a layer's shards, made where they are missing or out of date.

    Errors: Failure if a shard is missing or damaged. Several processes may do this at once: all write the same.
    """
    return [_mapped(cache, layer, shard) for shard in range(cache.shards)]


def segments(file: Path) -> Iterator[Segment]:
    """The record batches of a copy, in order; they stay valid while they are held."""
    reader = pa.ipc.open_file(pa.memory_map(str(file)))
    return (Segment(reader.get_batch(number)) for number in range(reader.num_record_batches))


def _mapped(cache: Cache, layer: str, shard: int) -> Path:
    source, sidecar = cache.file(layer, shard), cache.sidecar(layer, shard)
    if sidecar is None or not source.is_file() or source.stat().st_size != sidecar.bytes:
        raise Failure(f"{source} is missing or damaged; run `valency repair {cache.folder}`")
    file = cache.folder / "mapped" / layer / f"shard-{shard:05d}.arrow"
    made_from = f"{COPY} {sidecar.sha256}"
    if not _as_written(file, made_from):
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_name(f".{file.name}.{os.getpid()}.part")
        try:
            _copy(sound(cache, layer, shard), beside, made_from.encode())
            _to_disk(beside)
            noted = {"made_from": made_from, "sha256": sha256_of(beside)}
            beside.replace(file)
            write_json(file.with_suffix(".json"), noted)
        except OSError as error:
            raise Failure(
                f"{source} cannot be read, or {file.parent} not be written: {error}; "
                f"make room or permission there, or run `valency repair {cache.folder}`"
            ) from error
        except (ValueError, pa.ArrowException) as error:
            raise damaged(cache, source, error) from error
        finally:
            beside.unlink(missing_ok=True)
    return file


def _as_written(file: Path, made_from: str) -> bool:
    """Whether the copy is there, of this shard, and byte for byte what was written; hashed once a process and state."""
    noted = read_json(file.with_suffix(".json"))
    if noted is None or noted.get("made_from") != made_from:
        return False
    try:
        seen = file.stat()
        return _hashed(file, seen.st_ino, seen.st_mtime_ns, seen.st_ctime_ns) == noted.get("sha256")
    except OSError:
        return False


@lru_cache(maxsize=4096)
def _hashed(file: Path, inode: int, modified: int, changed: int) -> str:
    return sha256_of(file)


def _to_disk(file: Path) -> None:
    """Before the file gets its name: a name must not outlive a power cut that its bytes do not."""
    with file.open("rb+") as stream:
        os.fsync(stream.fileno())


def _copy(source: Path, file: Path, made_from: bytes) -> None:
    """A row group at a time: memory stays flat. Errors: ValueError for rows that are not those of a pieces layer."""
    with pq.ParquetFile(source) as parquet:
        expected = PIECES_WITH_BONDS if "bond_count" in parquet.schema_arrow.names else PIECES
        schema = copy_schema(expected).with_metadata({SOURCE: made_from})
        with pa.ipc.new_file(str(file), schema) as out:
            for group in range(parquet.num_row_groups):
                rows = parquet.read_row_group(group)
                check_columns(rows, expected, expected.names)
                rows = rows.drop("state").combine_chunks()
                columns = {name: rows[name].combine_chunks() for name in rows.column_names}
                _check_lengths(columns)
                if "bond_count" in columns:
                    columns["bond_begin"] = _begins(columns.pop("bond_count"))
                    step = columns.pop("bond_step")
                    columns["bond_back"] = pa.ListArray.from_arrays(step.offsets, backs(step.flatten().to_numpy()))
                out.write_batch(pa.record_batch([columns[name] for name in schema.names], schema=schema))


def _check_lengths(columns: Mapping[str, pa.Array]) -> None:
    """Columns of a row group. Errors: ValueError if the lists of a block do not go together."""
    sizes = columns["pieces"].value_lengths()
    same = all(columns[name].value_lengths().equals(sizes) for name in ATTRIBUTES)
    if same and "bond_count" in columns:
        counts = columns["bond_count"]
        each = counts.flatten().to_numpy()
        ends = np.concatenate([[0], np.cumsum(each, dtype=np.int64)])
        bonds = np.diff(ends[counts.offsets.to_numpy() - counts.offsets[0].as_py()])
        lists = (columns[name].value_lengths().to_numpy() for name in ("bond_step", "bond_kind"))
        same = bool((each >= 0).all()) and all(np.array_equal(size, bonds) for size in lists)
    if not same:
        raise ValueError("lists of one block differ in length")


def copy_schema(layer: pa.Schema) -> pa.Schema:
    """Without the annotator's states; where a word's bonds begin in place of how many it has, words back for steps."""
    left_out = ("state", "bond_count", "bond_step")
    fields = [field.remove_metadata() for field in layer if field.name not in left_out]
    if "bond_count" in layer.names:
        fields += [pa.field("bond_begin", pa.list_(pa.int64())), pa.field("bond_back", pa.list_(pa.int32()))]
    return pa.schema(fields)


def _begins(counts: pa.ListArray) -> pa.ListArray:
    """Lists of R blocks to R lists with one entry more each: running sums over all of them."""
    sums = np.concatenate([[0], np.cumsum(counts.flatten().to_numpy(), dtype=np.int64)])
    offsets = counts.offsets.to_numpy().astype(np.int64) - counts.offsets[0].as_py()
    sizes = np.diff(offsets) + 1
    ends = np.cumsum(sizes)
    place = np.arange(ends[-1] if len(ends) else 0)
    # A block's last entry is also the next one's first: the same sum stands twice.
    values = sums[place - np.repeat(np.arange(len(sizes)), sizes)]
    return pa.ListArray.from_arrays(pa.array(np.concatenate([[0], ends]).astype(np.int32)), pa.array(values))
