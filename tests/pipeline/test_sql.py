"""A user's SELECT: what is answered, and the long list of what is not."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from pipeline.cache.layout import Cache
from pipeline.sql import Limits, RefusedError, run_select
from pipeline.sql_child import locked, refusal
from pipeline.stats import shard_rows, view_files
from tests.pipeline.fakes import cache_of, digests


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return cache_of(tmp_path_factory.mktemp("sql"))


VIEWS = {"documents", "words", "bonds", "bond", "document_stats", "sentences", "counts", "shards"}

ANSWERED = {
    "SELECT count(*) AS n FROM words": [{"n": 34}],
    "SELECT sum(words) AS n FROM document_stats": [{"n": 34}],
    "FROM words SELECT text WHERE relation = 'root' AND text < 'g'": [{"text": "fell"}],
    "WITH verbs AS (SELECT text FROM words WHERE upos = 'VERB') SELECT count(*) AS n FROM verbs": [{"n": 7}],
    "SELECT n FROM range(3) AS t(n) WHERE n > 1": [{"n": 2}],
    "SELECT count(*) = 7 AS same FROM sentences": [{"same": True}],
    "SELECT w.text FROM bond b JOIN words w ON w.document = b.document AND w.index = b.query "
    "WHERE b.document = 'stories/river.txt' AND b.kind = 'dependency' ORDER BY ALL LIMIT 1": [{"text": "."}],
    "SELECT max(len(query)) > 0 AS some FROM bonds": [{"some": True}],
}


@pytest.mark.parametrize("query", ANSWERED)
def test_a_select_is_answered(cache: Cache, query: str) -> None:
    assert run_select(cache.folder, query).to_pylist() == ANSWERED[query]


def test_tables_can_be_described(cache: Cache) -> None:
    assert run_select(cache.folder, "DESCRIBE words")["column_name"].to_pylist()[:2] == ["document", "sentence"]
    assert {"words", "bond", "document_stats"} <= {*run_select(cache.folder, "SHOW TABLES")["name"].to_pylist()}


HOSTILE = {
    # writing
    "COPY words TO '{file}'": "only SELECT",
    "COPY (SELECT 1) TO '{file}' (FORMAT parquet)": "only SELECT",
    "EXPLAIN ANALYZE COPY words TO '{file}'": "only SELECT",
    "EXPLAIN SELECT 1": "only SELECT",
    "EXPORT DATABASE '{folder}'": "only SELECT",
    "INSERT INTO shards VALUES ('x', 1, 1, 1)": "only SELECT",
    "UPDATE shards SET rows = 0": "only SELECT",
    "DELETE FROM shards": "only SELECT",
    "DROP VIEW words": "only SELECT",
    "DROP TABLE shards": "only SELECT",
    "CREATE TABLE t AS SELECT 1": "only SELECT",
    "CREATE OR REPLACE VIEW words AS SELECT 1": "only SELECT",
    "CREATE MACRO f(x) AS x": "only SELECT",
    "ALTER TABLE shards ADD COLUMN x INTEGER": "only SELECT",
    "TRUNCATE shards": "only SELECT",
    "WITH t AS (DELETE FROM shards RETURNING *) SELECT * FROM t": "only SELECT",
    "WITH t AS (INSERT INTO shards VALUES ('x', 1, 1, 1) RETURNING *) SELECT * FROM t": "only SELECT",
    "WITH t AS (COPY shards TO '{file}') SELECT * FROM t": "only SELECT",
    "WITH t AS (COPY shards TO '{cache}/documents/shard-00000.parquet') SELECT * FROM t": "only SELECT",
    "SELECT (WITH t AS (COPY shards TO '{file}') SELECT count(*) FROM t)": "only SELECT",
    "SELECT write_log('x')": "may not be called",
    "VACUUM": "only SELECT",
    "CHECKPOINT": "only SELECT",
    # extensions, settings, other databases
    "INSTALL httpfs": "only SELECT",
    "LOAD httpfs": "only SELECT",
    "SET memory_limit = '100GB'": "only SELECT",
    "RESET lock_configuration": "only SELECT",
    "PRAGMA enable_profiling": "only SELECT",
    "PRAGMA database_list": "only SELECT",
    "CALL pragma_version()": "only SELECT",
    "ATTACH '{file}' AS other": "only SELECT",
    "USE information_schema": "only SELECT",
    "CREATE SECRET (TYPE s3, KEY_ID 'a', SECRET 'b')": "only SELECT",
    "PREPARE p AS SELECT 1": "only SELECT",
    "EXECUTE p": "only SELECT",
    "BEGIN TRANSACTION": "only SELECT",
    # other files
    "SELECT * FROM read_csv('/etc/passwd')": "may not be read",
    "SELECT * FROM read_text('/etc/passwd')": "may not be read",
    "SELECT * FROM read_blob('{cache}/cache.json')": "may not be read",
    "SELECT * FROM read_json('{cache}/cache.json')": "may not be read",
    "SELECT * FROM read_parquet('{cache}/words/*/*.parquet')": "may not be read",
    "SELECT * FROM '/etc/passwd'": "there is no",
    "SELECT * FROM '{cache}/documents/shard-00000.parquet'": "there is no",
    "SELECT * FROM glob('/*')": "may not be read",
    "SELECT * FROM sniff_csv('/etc/passwd')": "may not be read",
    "SELECT * FROM parquet_metadata('{cache}/documents/shard-00000.parquet')": "may not be read",
    "SELECT (SELECT count(*) FROM read_text('/etc/passwd'))": "may not be read",
    "SELECT * FROM words WHERE text IN (SELECT content FROM read_text('/etc/passwd'))": "may not be read",
    "WITH t AS (SELECT * FROM read_text('/etc/passwd')) SELECT * FROM t": "may not be read",
    "SELECT * FROM 'https://example.org/x.csv'": "there is no",
    # the database's insides and its environment
    "SELECT * FROM duckdb_settings()": "may not be read",
    "SELECT * FROM duckdb_views()": "may not be read",
    "SELECT * FROM information_schema.tables": "there is no",
    "SELECT * FROM pg_catalog.pg_views": "there is no",
    "SELECT * FROM sqlite_master": "there is no",
    "SELECT * FROM query('SELECT 1')": "may not be read",
    "SELECT * FROM query_table('words')": "may not be read",
    "SELECT getenv('HOME')": "may not be called",
    "SELECT current_setting('allowed_paths')": "may not be called",
    "SELECT * FROM sys": "there is no",  # a variable of the process
    # more or less than one statement
    "SELECT 1; SELECT 2": "one SELECT, not 2",
    "SELECT 1; DROP VIEW words": "one SELECT, not 2",
    "": "one SELECT, not 0",
    "-- nothing": "one SELECT, not 0",
    "SELEC 1": "syntax error",
    "SELECT nothing FROM words": "nothing",
}


def test_there_are_enough_attempts() -> None:
    assert len(HOSTILE) >= 40


@pytest.fixture(scope="module")
def connection(cache: Cache) -> "Iterator[duckdb.DuckDBPyConnection]":
    """As the child has it, but in this process: starting a child for each attempt takes a minute."""
    with locked(view_files(cache), shard_rows(cache), megabytes=1024) as connection:
        yield connection


def outcome(connection: "duckdb.DuckDBPyConnection", query: str) -> str:
    """What the child would say."""
    try:
        if reason := refusal(connection, query, VIEWS):
            return reason
        connection.execute(query).fetchall()
    except duckdb.Error as error:
        return str(error)
    return "answered"


@pytest.mark.parametrize("query", HOSTILE)
def test_hostile_queries_are_refused(
    cache: Cache, connection: "duckdb.DuckDBPyConnection", tmp_path: Path, query: str
) -> None:
    said = outcome(connection, query.format(file=tmp_path / "out", folder=tmp_path, cache=cache.folder))
    assert HOSTILE[query] in said
    assert said != "answered"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_hostile_queries_change_nothing_in_the_child_either(cache: Cache, tmp_path: Path) -> None:
    before, there = digests(cache.folder), sorted(cache.folder.rglob("*"))
    for query, said in HOSTILE.items():
        with pytest.raises(RefusedError, match=re.escape(said)):
            run_select(cache.folder, query.format(file=tmp_path / "out", folder=tmp_path, cache=cache.folder))
    assert digests(cache.folder) == before
    assert sorted(cache.folder.rglob("*")) == there
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("query", ["SELECT 1; SELECT 2", "FROM read_text('/etc/passwd')", "SELEC 1", "FROM nothing"])
def test_the_child_says_why_not(cache: Cache, query: str) -> None:
    with pytest.raises(RefusedError, match=r"one SELECT|may not be read|syntax error|no 'nothing'"):
        run_select(cache.folder, query)


def test_the_other_walls_hold_without_the_first(cache: Cache, tmp_path: Path) -> None:
    file = cache.file("documents", 0)
    before, program = file.read_bytes(), WITHOUT_REFUSAL.format(cache=str(cache.folder), tmp=str(tmp_path))
    for query in (
        f"COPY (SELECT 1) TO '{file}' (USE_TMP_FILE false)",
        f"COPY (SELECT 1) TO '{tmp_path}/out' (USE_TMP_FILE false)",
        "FROM read_text('/etc/passwd')",
    ):
        done = subprocess.run([sys.executable, "-c", program, query], capture_output=True, text=True, cwd=ROOT)
        assert "ANSWERED" not in done.stdout
        assert done.returncode != 0
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == []


WITHOUT_REFUSAL = """
import sys
from pipeline.cache.layout import Cache
from pipeline.sql_child import locked
from pipeline.sql_walls import wall_in
from pipeline.stats import shard_rows, view_files
cache = Cache.open({cache!r})
wall_in(megabytes=2048, seconds=10)
print(locked(view_files(cache), shard_rows(cache), 2048).execute(sys.argv[1]).fetchall(), "ANSWERED")
"""
ROOT = Path(__file__).resolve().parents[2]

GREEDY = [
    "SELECT repeat('x', 4000000000)",
    "SELECT list(n) FROM range(1000000000) AS t(n)",
    "SELECT sum(a.n * b.n) FROM range(1000000) AS a(n), range(1000000) AS b(n)",
    "WITH RECURSIVE t AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM t) SELECT count(*) FROM t",
    "SELECT regexp_matches(repeat('a', 30000000), '(a|aa)+$')",
]


@pytest.mark.parametrize("query", GREEDY)
def test_greedy_queries_are_stopped_in_time(cache: Cache, query: str) -> None:
    begun = time.monotonic()
    with pytest.raises(RefusedError, match=r"ran longer|memory|broke|Error"):
        run_select(cache.folder, query, Limits(seconds=4, megabytes=1024))
    assert time.monotonic() - begun < 8


def test_too_many_rows_are_refused_with_advice(cache: Cache) -> None:
    with pytest.raises(RefusedError, match="more than 10 rows; add LIMIT"):
        run_select(cache.folder, "SELECT * FROM words", Limits(rows=10))
    assert run_select(cache.folder, "SELECT * FROM words LIMIT 10", Limits(rows=10)).num_rows == 10


def test_limits_that_cannot_be_are_said(cache: Cache) -> None:
    with pytest.raises(ValueError, match="512 at least"):
        Limits(megabytes=10)
    with pytest.raises(ValueError, match="is no cache"):
        run_select(cache.folder / "documents", "SELECT 1")
