"""Writing one shard: row group after row group into a temporary file, synced, renamed, and noted in its sidecar.

The bytes depend on the rows alone: the caller cuts row groups by fixed rules, and nothing here knows the time, the
machine or the number of workers.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.cache.digest import sha256_of
from pipeline.cache.layout import Cache, Sidecar, temporary, write_sidecar

ZSTD_LEVEL = 3
"""zstd's own default; level 9 saves 3% and costs four times as long."""

CLIMBING = {"sentence", "index", "start", "end", "first", "block", "first_word", "last_word", "closed_word"}
"""Integer columns, or lists of integers, that climb: their differences pack into a few bits each."""

SPREAD = {"sentence_start", "pieces", "input_tag", "key_tag", "query", "key", "bond_step", "bond_kind"}
"""Integers of many values, or of few that follow no pattern: with their first bytes put together, then their second
ones and so on, zstd can tell frequent bytes from rare ones. The codes of a dictionary are bits, which it cannot read.
"""


class ShardWriter:
    """Writes a shard of a layer. A context manager: left in order it commits, left by an exception it leaves nothing.

    counts and quarantined may be filled at any time before the end; they go into the sidecar.
    """

    def __init__(self, cache: Cache, layer: str, shard: int, schema: pa.Schema, made_from: Mapping[str, str]) -> None:
        self.counts: dict[str, int] = {}
        self.quarantined: dict[str, str] = {}
        self.sidecar: Sidecar | None = None
        self._cache, self._place = cache, (layer, shard)
        self._file = cache.file(layer, shard)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._beside = temporary(self._file)
        self._schema, self._made_from, self._rows = schema, dict(made_from), 0

    def __enter__(self) -> "ShardWriter":
        encoding = encodings(self._schema)
        self._writer = pq.ParquetWriter(
            self._beside,
            self._schema,
            compression="zstd",
            compression_level=ZSTD_LEVEL,
            use_dictionary=[name for name, said in encoding.items() if said is None],
            column_encoding={name: said for name, said in encoding.items() if said},
        )
        return self

    def write(self, rows: pa.Table) -> None:
        """Add one row group; an empty table adds none."""
        if rows.num_rows:
            self._writer.write_table(rows.cast(self._schema), row_group_size=rows.num_rows)
            self._rows += rows.num_rows

    def count(self, **more: int) -> None:
        """Add to the counts."""
        for name, number in more.items():
            self.counts[name] = self.counts.get(name, 0) + number

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._writer.close()
            if error is None:
                self._commit()
        finally:
            self._beside.unlink(missing_ok=True)

    def _commit(self) -> None:
        _sync(self._beside)
        sidecar = Sidecar(
            rows=self._rows,
            bytes=self._beside.stat().st_size,
            sha256=sha256_of(self._beside),
            made_from=self._made_from,
            counts=dict(sorted(self.counts.items())),
            quarantined=dict(sorted(self.quarantined.items())),
        )
        self.sidecar = sidecar
        if self._cache.sidecar(*self._place) == sidecar and _holds(self._file, sidecar.sha256):
            return  # the same bytes are there: another shard of the layer was to be made again
        # Without its old sidecar first: a kill between the two renames must not leave new rows under old digests.
        self._file.with_suffix(".json").unlink(missing_ok=True)
        self._beside.replace(self._file)
        write_sidecar(self._file, sidecar)


def _holds(file: Path, sha256: str) -> bool:
    return file.is_file() and sha256_of(file) == sha256


def encodings(schema: pa.Schema) -> dict[str, str | None]:
    """How each column is written, by its path in the file; None: by a dictionary."""
    found: dict[str, str | None] = {}
    for field in schema:
        is_list = pa.types.is_list(field.type)
        integers = pa.types.is_integer(field.type.value_type if is_list else field.type)
        # Parquet knows a list by the path to its values; it takes no notice of a path that it does not know.
        path = f"{field.name}.list.element" if is_list else field.name
        climbs = "DELTA_BINARY_PACKED" if field.name in CLIMBING else None
        spread = "BYTE_STREAM_SPLIT" if field.name in SPREAD else None
        found[path] = (climbs or spread) if integers else None
    return found


def _sync(file: Path) -> None:
    """Rows reach the disk before the sidecar that vouches for them; the sidecar itself may be lost, never be early."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
