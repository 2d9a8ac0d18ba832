"""A cache as DuckDB views, and the named queries over it.

Views: `documents`, `words`, `bonds` (a row a sentence, with lists), `bond` (a row a bond), `pieces`; of the stats layer
`document_stats`, `sentences`, `counts`; and the table `shards` (layer, shard, rows, bytes) from the sidecars.
"""

import difflib
from collections.abc import Collection, Iterator
from pathlib import Path

import duckdb
import pyarrow as pa

from lexicons.upos import UPOS
from pipeline.cache.layout import STATS_TABLES, Cache
from pipeline.cache.verify import MEND, sound
from pipeline.errors import Failure
from pipeline.queries import QUERIES

__all__ = ["QUERIES", "named_query", "open_cache", "view_files"]

STATS_VIEWS = {"documents": "document_stats", "sentences": "sentences", "counts": "counts"}
"""View of each table of the stats layer."""

LAYERS = ("documents", "words", "bonds", "stats", "pieces")
NUMBERED = {
    "words": "document::document_id AS document, upos::tag AS upos",
    "bonds": "document::document_id AS document",
}
"""Views with columns that are enumerations: they read as the strings that they are, but a join keeps two bytes of them
for a row where the string and its hash took a hundred. 3.0M words, tags at both ends of 5.9M bonds, two threads on a
busy machine, documents alone: 8.6 s and 1,456 MB by strings, 3.1 s and 795 MB so. Tags: a tenth to a quarter less."""
ENUMERATED = 200_000
"""Most documents that are enumerated: it costs a second a million."""

BOND = """
    CREATE VIEW bond AS
    SELECT document, sentence, first + unnest(query) AS query, first + unnest(key) AS key,
           unnest(kind) AS kind, unnest(rule) AS rule
    FROM bonds
"""
"""A row a bond; query and key are positions in the document, as the column `index` of words."""


def named_query(cache: str | Path, name: str) -> pa.Table:
    """The answer of a named query. Errors: ValueError for a name not in QUERIES, or if the cache has no statistics."""
    if name not in QUERIES:
        near = difflib.get_close_matches(name, QUERIES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known queries: {', '.join(QUERIES)}"
        raise ValueError(f"unknown query {name!r}; {hint}")
    opened = Cache.open(cache)
    opened.layer("stats")  # says what is missing, better than SQL would
    try:
        with open_cache(opened, ("stats",)) as connection:  # a view costs a look at all of its files
            return integers(connection.sql(QUERIES[name]).to_arrow_table())
    except (duckdb.Error, UnicodeDecodeError) as error:  # the latter: bytes in a forged file that are no text
        raise _broken(opened, error) from error


def integers(table: pa.Table) -> pa.Table:
    """The table with sums of integers as int64: DuckDB gives them 128 bits, which JSON and Python take for decimals."""
    for place, field in enumerate(table.schema):
        if pa.types.is_decimal(field.type) and field.type.scale == 0:
            table = table.set_column(place, field.name, table.column(place).cast(pa.int64()))
    return table


def open_cache(cache: Cache | str | Path, layers: Collection[str] = LAYERS) -> duckdb.DuckDBPyConnection:
    """A connection in memory with the current layers as views, all or some. Reads the cache and is as powerful as any:
    for our own queries only; `pipeline.sql` runs those of others."""
    opened = cache if isinstance(cache, Cache) else Cache.open(cache)
    files, connection = view_files(opened, layers), duckdb.connect()
    try:
        connection.execute("SET threads = 2")
        create_views(connection, files, shard_rows(opened))
    except (duckdb.Error, UnicodeDecodeError) as error:  # the latter: bytes in a forged file that are no text
        connection.close()
        raise _broken(opened, error) from error
    return connection


def _broken(cache: Cache, error: Exception) -> Failure:
    said = " ".join(str(error).split())[:300]
    return Failure(f"{cache.folder} has a layer that DuckDB cannot read ({said}); {MEND.format(cache.folder)}")


def view_files(cache: Cache, layers: Collection[str] = LAYERS) -> dict[str, list[str]]:
    """The Parquet files of every view. Errors: Failure if one is not what its sidecar says."""
    files: dict[str, list[str]] = {}
    for name, path in cache.current().items():
        if name not in layers:
            continue
        if name == "stats":
            files |= {STATS_VIEWS[table]: _there(cache, f"{path}/{table}") for table in STATS_TABLES}
        else:
            files[name] = _there(cache, path)
    return {view: there for view, there in files.items() if there}


def _there(cache: Cache, layer: str) -> list[str]:
    return [str(sound(cache, layer, shard)) for shard in range(cache.shards)]


def shard_rows(cache: Cache) -> list[tuple[str, int, int, int]]:
    """Rows of the table `shards`: layer, shard, rows, bytes of the current layers."""
    return [row for name, path in cache.current().items() for row in _sizes(cache, name, path)]


def _sizes(cache: Cache, name: str, path: str) -> Iterator[tuple[str, int, int, int]]:
    for layer in [f"{path}/{table}" for table in STATS_TABLES] if name == "stats" else [path]:
        for shard, sidecar in cache.sidecars(layer):
            if sidecar is not None:
                yield name, shard, sidecar.rows, sidecar.bytes


def create_views(
    connection: duckdb.DuckDBPyConnection, files: dict[str, list[str]], shards: list[tuple[str, int, int, int]]
) -> None:
    """Views over explicit lists of files, and the table `shards`."""
    few = 0 < sum(rows for layer, _, rows, _ in shards if layer == "documents") <= ENUMERATED
    numbered = tuple(NUMBERED) if few and "documents" in files else ()
    for view, there in files.items():
        if view not in numbered:
            connection.read_parquet(there).create_view(view)
    if numbered:
        connection.execute("CREATE TYPE document_id AS ENUM (SELECT id FROM documents ORDER BY id)")
        connection.execute(f"CREATE TYPE tag AS ENUM {tuple(UPOS)}")
    for view in numbered:
        if view in files:
            rows_ = connection.read_parquet(files[view])
            rows_.project(f"* REPLACE ({NUMBERED[view]})").create_view(view)
    if "bonds" in files:
        connection.execute(BOND)
    connection.execute("CREATE TABLE shards (layer VARCHAR, shard INTEGER, rows BIGINT, bytes BIGINT)")
    if shards:
        connection.executemany("INSERT INTO shards VALUES (?, ?, ?, ?)", shards)
