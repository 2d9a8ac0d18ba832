"""The child process of `pipeline.sql`: walls itself in, checks one query, runs it, and writes the answer."""

import json
import os
import re
import sys
from typing import Any, BinaryIO

import duckdb
import pyarrow as pa

from pipeline.sql_walls import wall_in
from pipeline.stats import create_views

TABLE_FUNCTIONS = {"unnest", "range", "generate_series"}
"""What may stand after FROM besides the views; all others read files, settings or the database's insides."""

READING = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
"""Kinds of query; DuckDB lets WITH name others too: `WITH t AS (COPY … TO …) SELECT …` counts as a SELECT."""

PRIVATE = re.compile(
    r"read_|parquet_|sniff_|duckdb_|pragma_|pg_|sqlite_|json_execute|from_|query|glob$|getenv|getvariable|current_setting"
    r"|write_log|nextval|currval|set_config|txid_|enable_|disable_|which_secret|checkpoint|force_checkpoint"
)
"""Beginnings of functions that reach beyond the query's own values."""


def main() -> None:
    """Read {query, files, shards, limits} as JSON; write `ok`, a line end and an Arrow stream, or one line: why not."""
    asked = json.load(sys.stdin.buffer)
    wall_in(megabytes=asked["limits"]["megabytes"], seconds=asked["limits"]["seconds"])
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else is printed must not stand in the answer
    try:
        table = run(asked)
    except RefusalError as error:
        _say(output, str(error))
    except duckdb.OutOfMemoryException:
        _say(output, f"the query needs more memory than it may have ({asked['limits']['megabytes']} MB); ask for less")
    except (duckdb.Error, UnicodeDecodeError) as error:  # the latter: bytes in a forged file that are no text
        _say(output, str(error))
    else:
        output.write(b"ok\n")
        with pa.ipc.new_stream(output, table.schema) as stream:
            stream.write_table(table)
    output.flush()


class RefusalError(Exception):
    """Why a query is not run."""


def run(asked: dict[str, Any]) -> pa.Table:
    """Check and run; the table has at most limits.rows rows."""
    limits, files = asked["limits"], asked["files"]
    connection = locked(files, asked["shards"], int(limits["megabytes"]))
    views = {name for (name,) in connection.execute("SHOW TABLES").fetchall()}
    if reason := refusal(connection, asked["query"], views):
        raise RefusalError(reason)
    reader = connection.sql(asked["query"]).to_arrow_reader(10_000)
    batches, rows = [], 0
    for batch in reader:
        batches.append(batch)
        rows += batch.num_rows
        if rows > limits["rows"]:
            raise RefusalError(f"the answer has more than {int(limits['rows']):,} rows; add LIMIT, or group the rows")
    return pa.Table.from_batches(batches, reader.schema)


def locked(files: dict[str, list[str]], shards: list[Any], megabytes: int) -> duckdb.DuckDBPyConnection:
    """A connection with the views, that can read their files and do nothing else. The order of the settings counts."""
    connection = duckdb.connect()
    connection.execute("SET temp_directory = ''")
    connection.execute("SET enable_progress_bar = false")
    create_views(connection, files, [tuple(row) for row in shards])
    connection.execute(f"SET allowed_paths = {[file for each in files.values() for file in each]!r}")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET python_enable_replacements = false")
    connection.execute(f"SET memory_limit = '{megabytes // 2}MB'")
    connection.execute("SET threads = 2")
    connection.execute("SET lock_configuration = true")
    return connection


def refusal(connection: duckdb.DuckDBPyConnection, query: str, views: set[str]) -> str | None:
    """Why a query must not be run; None if it may."""
    statements = connection.extract_statements(query)
    if len(statements) != 1:
        return f"give one SELECT, not {len(statements)} statements"
    kind = _kind(statements[0])
    if kind != "SELECT":
        return f"only SELECT is allowed here, not {kind}: a cache is read, never changed"
    ((said,),) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [query]).fetchall()
    tree = json.loads(said)
    if tree.get("error"):
        return f"only a plain SELECT is allowed here: {tree.get('error_message', 'this cannot be checked')}"
    nodes = list(_nodes(tree))
    named = {str(entry["key"]) for node in nodes for entry in _entries(node)}
    for node in nodes:
        if reason := _refuse_writing(node) or _refuse_table(node, views | named, views) or _refuse_function(node):
            return reason
    return None


def _kind(statement: duckdb.Statement) -> str:
    """SELECT, COPY, … Some kinds of statement (UPDATE EXTENSIONS) have a number that DuckDB's Python cannot name."""
    try:
        name = statement.type.name
    except ValueError:
        return "a statement of another kind"
    return "a PIVOT without IN" if name == "MULTI" else name  # it makes a type of the values it finds


def _nodes(tree: Any) -> Any:
    """Every object of the syntax tree."""
    if isinstance(tree, dict):
        yield tree
        for child in tree.values():
            yield from _nodes(child)
    elif isinstance(tree, list):
        for child in tree:
            yield from _nodes(child)


def _entries(node: dict[str, Any]) -> list[dict[str, Any]]:
    """The queries that WITH names."""
    named = node.get("cte_map")
    return named.get("map", []) if isinstance(named, dict) else []


def _refuse_writing(node: dict[str, Any]) -> str | None:
    kind = str(node.get("type", ""))
    if kind.endswith("_NODE") and kind not in READING:
        return f"only SELECT is allowed here, not {kind.partition('_')[0]}: a cache is read, never changed"
    return None


def _refuse_table(node: dict[str, Any], known: set[str], views: set[str]) -> str | None:
    if node.get("type") == "BASE_TABLE":
        name = str(node.get("table_name"))
        foreign = node.get("schema_name") not in ("", "main") or node.get("catalog_name") not in ("", "memory")
        if foreign or name.lower() not in {each.lower() for each in known}:
            return f"there is no {name!r} to read here; there are: {', '.join(sorted(views))}"
    if node.get("type") == "TABLE_FUNCTION":
        name = str((node.get("function") or {}).get("function_name"))
        if name.lower() not in TABLE_FUNCTIONS:
            return f"{name}() may not be read from here; after FROM there may be: {', '.join(sorted(views))}"
    return None


def _refuse_function(node: dict[str, Any]) -> str | None:
    name = str(node.get("function_name", ""))
    if node.get("class") == "FUNCTION" and PRIVATE.match(name.lower()):
        return f"{name}() may not be called here: it reaches beyond this cache"
    return None


def _say(output: BinaryIO, text: str) -> None:
    output.write(" ".join(text.split()).encode("utf-8", "replace") + b"\n")
