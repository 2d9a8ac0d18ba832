"""A user's SELECT: what is answered, and the long list of what is not."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
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


ONLY, READ, CALL, NO = "only SELECT", "may not be read", "may not be called", "there is no"

HOSTILE = {
    # writing files
    "COPY words TO '{file}'": ONLY,
    "COPY (SELECT 1) TO '{file}' (FORMAT parquet)": ONLY,
    "COPY (SELECT 1) TO '{cache}/documents/shard-00000.parquet' (USE_TMP_FILE false)": ONLY,
    "COPY words TO '{folder}' (FORMAT parquet, PARTITION_BY (upos))": ONLY,
    "COPY shards FROM '/etc/passwd'": ONLY,
    "EXPLAIN ANALYZE COPY words TO '{file}'": ONLY,
    "EXPLAIN SELECT 1": ONLY,
    "EXPORT DATABASE '{folder}'": ONLY,
    "IMPORT DATABASE '{folder}'": ONLY,
    "WITH t AS (COPY shards TO '{file}') SELECT * FROM t": ONLY,
    "WITH t AS (COPY shards TO '{cache}/documents/shard-00000.parquet') SELECT * FROM t": ONLY,
    "SELECT (WITH t AS (COPY shards TO '{file}') SELECT count(*) FROM t)": ONLY,
    "SELECT write_log('x')": CALL,
    ".read /etc/passwd": "syntax error",
    ".output {file}": "syntax error",
    ".shell touch {file}": "syntax error",
    # changing what is there
    "INSERT INTO shards VALUES ('x', 1, 1, 1)": ONLY,
    "UPDATE shards SET rows = 0": ONLY,
    "DELETE FROM shards": ONLY,
    "MERGE INTO shards USING (SELECT 1 AS n) AS t ON rows = n WHEN MATCHED THEN DELETE": ONLY,
    "DROP VIEW words": ONLY,
    "DROP TABLE shards": ONLY,
    "CREATE TABLE t AS SELECT 1": ONLY,
    "CREATE OR REPLACE VIEW words AS SELECT 1": ONLY,
    "CREATE TEMP VIEW t AS SELECT * FROM read_text('/etc/passwd')": ONLY,
    "CREATE MACRO f(x) AS x": ONLY,
    "CREATE MACRO f() AS TABLE SELECT * FROM read_text('/etc/passwd')": ONLY,
    "CREATE SEQUENCE s": ONLY,
    "CREATE TYPE t AS ENUM ('a')": ONLY,
    "CREATE FUNCTION f(x) AS getenv(x)": ONLY,
    "ALTER TABLE shards ADD COLUMN x INTEGER": ONLY,
    "COMMENT ON TABLE shards IS 'x'": ONLY,
    "TRUNCATE shards": ONLY,
    "WITH t AS (DELETE FROM shards RETURNING *) SELECT * FROM t": ONLY,
    "WITH t AS (INSERT INTO shards VALUES ('x', 1, 1, 1) RETURNING *) SELECT * FROM t": ONLY,
    "WITH t AS (UPDATE shards SET rows = 0 RETURNING *) SELECT * FROM t": ONLY,
    "VACUUM": ONLY,
    "ANALYZE": ONLY,
    "CHECKPOINT": ONLY,
    "FORCE CHECKPOINT": ONLY,
    # extensions, settings, secrets, other databases
    "INSTALL httpfs": ONLY,
    "INSTALL httpfs FROM 'http://example.org'": ONLY,
    "LOAD httpfs": ONLY,
    "LOAD '{file}'": ONLY,
    "UPDATE EXTENSIONS": ONLY,
    "SET memory_limit = '100GB'": ONLY,
    "SET GLOBAL enable_external_access = true": ONLY,
    "SET lock_configuration = false": ONLY,
    "SET VARIABLE x = 1": ONLY,
    "SELECT set_config('enable_external_access', 'true', false)": CALL,
    "RESET lock_configuration": ONLY,
    "PRAGMA enable_profiling": ONLY,
    "PRAGMA database_list": ONLY,
    "PRAGMA memory_limit = '100GB'": ONLY,
    "CALL pragma_version()": ONLY,
    "CALL enable_logging()": ONLY,
    "FROM pragma_user_agent()": READ,
    "ATTACH '{file}' AS other": ONLY,
    "ATTACH ':memory:' AS other": ONLY,
    "DETACH memory": ONLY,
    "USE information_schema": ONLY,
    "CREATE SECRET (TYPE s3, KEY_ID 'a', SECRET 'b')": ONLY,
    "CREATE PERSISTENT SECRET s (TYPE http, BEARER_TOKEN 'x')": ONLY,
    "DROP SECRET s": ONLY,
    "FROM duckdb_secrets()": READ,
    "FROM which_secret('s3://x', 's3')": READ,
    # statements in disguise
    "PREPARE p AS SELECT 1": ONLY,
    "EXECUTE p": ONLY,
    "DEALLOCATE p": ONLY,
    "SELECT $1": "parameter",
    "SELECT * FROM words WHERE text = ?": "parameter",
    "BEGIN TRANSACTION": ONLY,
    "COMMIT": ONLY,
    "/* SELECT 1 */ COPY words TO '{file}'": ONLY,
    "-- SELECT 1\nCOPY words TO '{file}'": ONLY,
    "SELECT 1 /* ; */ ; COPY words TO '{file}' --": "one SELECT, not 2",
    "SELECT 1; SELECT 2": "one SELECT, not 2",
    "SELECT 1; DROP VIEW words": "one SELECT, not 2",
    ";;;": "one SELECT, not 0",
    "": "one SELECT, not 0",
    "-- nothing": "one SELECT, not 0",
    "SELEC 1": "syntax error",
    "SELECT '": "syntax error|unterminated",
    "SELECT nothing FROM words": "nothing",
    # other files, by name, function, pattern, link or address
    "SELECT * FROM read_csv('/etc/passwd')": READ,
    "SELECT * FROM read_csv_auto(['/etc/passwd'])": READ,
    "SELECT * FROM READ_TEXT('/etc/passwd')": READ,
    "SELECT * FROM \"read_text\"('/etc/passwd')": READ,
    "SELECT * FROM main.read_text('/etc/passwd')": READ,
    "SELECT * FROM system.main.read_text('/etc/passwd')": READ,
    "SELECT * FROM read_blob('{cache}/cache.json')": READ,
    "SELECT * FROM read_json('{cache}/cache.json')": READ,
    "SELECT * FROM read_ndjson_objects('{cache}/cache.json')": READ,
    "SELECT * FROM read_parquet('{cache}/words/*/*.parquet')": READ,
    "SELECT * FROM parquet_scan('{cache}/documents/shard-00000.parquet')": READ,
    "SELECT * FROM '/etc/passwd'": NO,
    'SELECT * FROM "/etc/passwd"': NO,
    "SELECT * FROM '{cache}/documents/shard-00000.parquet'": NO,
    "SELECT * FROM '{link}'": NO,
    "SELECT * FROM read_text('{link}')": READ,
    "SELECT * FROM '{cache}/../link.csv'": NO,
    "SELECT * FROM '/proc/self/environ'": NO,
    "SELECT * FROM glob('/*')": READ,
    "SELECT * FROM '/**/*.parquet'": NO,
    "SELECT * FROM sniff_csv('/etc/passwd')": READ,
    "SELECT * FROM parquet_metadata('{cache}/documents/shard-00000.parquet')": READ,
    "SELECT * FROM parquet_file_metadata('{cache}/documents/shard-00000.parquet')": READ,
    "SELECT (SELECT count(*) FROM read_text('/etc/passwd'))": READ,
    "SELECT * FROM words WHERE text IN (SELECT content FROM read_text('/etc/passwd'))": READ,
    "SELECT * FROM words, LATERAL (SELECT * FROM read_text('/etc/passwd'))": READ,
    "SELECT 1 UNION ALL SELECT content FROM read_text('/etc/passwd')": READ,
    "SELECT 1 ORDER BY (SELECT content FROM read_text('/etc/passwd'))": READ,
    "SELECT list_transform([1], lambda x: (SELECT content FROM read_text('/etc/passwd')))": READ,
    "PIVOT (SELECT * FROM read_text('/etc/passwd')) ON filename USING count(*)": ONLY,
    "SELECT * FROM (PIVOT (SELECT * FROM read_text('/etc/passwd')) ON filename IN ('x') USING count(*))": READ,
    "DESCRIBE SELECT * FROM read_csv('/etc/passwd')": READ,
    "SUMMARIZE '/etc/passwd'": NO,
    "WITH t AS (SELECT * FROM read_text('/etc/passwd')) SELECT * FROM t": READ,
    "WITH RECURSIVE t AS (SELECT content FROM read_text('/etc/passwd') UNION SELECT * FROM t) SELECT * FROM t": READ,
    "SELECT * FROM 'https://example.org/x.csv'": NO,
    "SELECT * FROM read_csv('https://example.org/x.csv')": READ,
    "SELECT * FROM 's3://bucket/x.parquet'": NO,
    # the database's insides, its environment and the process around it
    "SELECT * FROM duckdb_settings()": READ,
    "SELECT * FROM duckdb_views()": READ,
    "SELECT * FROM duckdb_extensions()": READ,
    "SELECT * FROM information_schema.tables": NO,
    "SELECT * FROM pg_catalog.pg_views": NO,
    "SELECT * FROM sqlite_master": NO,
    "SELECT * FROM query('SELECT 1')": READ,
    "SELECT * FROM query_table('words')": READ,
    "SELECT * FROM json_execute_serialized_sql('x')": READ,
    "SELECT getenv('HOME')": CALL,
    "SELECT GetEnv('HOME')": CALL,
    "SELECT text.getenv() FROM words": CALL,
    "SELECT 'HOME'.getenv()": CALL,
    "SELECT list_transform(['HOME'], lambda x: getenv(x))": CALL,
    "SELECT current_setting('allowed_paths')": CALL,
    "SELECT getvariable('x')": CALL,
    "SELECT nextval('s')": CALL,
    "SELECT * FROM sys": NO,  # variables of the process
    "SELECT * FROM asked": NO,
    "SELECT * FROM connection": NO,
}
"""What is tried, and (as a pattern) the reason that it gets. {file}, {folder}: where it would write; {link}: a symbolic
link in that folder to a file outside the cache."""


def test_there_are_enough_attempts() -> None:
    assert len(HOSTILE) + len(GREEDY) >= 40


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


@pytest.fixture
def places(cache: Cache, tmp_path: Path) -> dict[str, Path]:
    """What the attempts name; `folder` is empty, and has to stay so."""
    link = cache.folder.parent / "link.csv"
    if not link.is_symlink():
        link.symlink_to("/etc/passwd")
    return {"file": tmp_path / "out", "folder": tmp_path, "cache": cache.folder, "link": link}


@pytest.mark.parametrize("query", HOSTILE)
def test_hostile_queries_are_refused(
    connection: "duckdb.DuckDBPyConnection", places: dict[str, Path], query: str
) -> None:
    said = outcome(connection, query.format(**places))
    assert re.search(HOSTILE[query], said, re.IGNORECASE), said
    assert said != "answered"
    assert list(places["folder"].iterdir()) == []


@pytest.mark.slow
def test_hostile_queries_change_nothing_in_the_child_either(cache: Cache, places: dict[str, Path]) -> None:
    """Each in a process of its own, as users' queries run: no file is made or changed, and no process is left."""
    before, there = digests(cache.folder), sorted(cache.folder.parent.rglob("*"))
    for query, said in HOSTILE.items():
        with pytest.raises(RefusedError, match=f"(?i){said}"):
            run_select(cache.folder, query.format(**places))
    assert digests(cache.folder) == before
    assert sorted(cache.folder.parent.rglob("*")) == there
    assert list(places["folder"].iterdir()) == []
    assert children_of(os.getpid()) == []


def children_of(parent: int) -> list[str]:
    """Command lines of the processes below a process that run what we start for a query."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(status.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(status.with_name("cmdline").read_bytes().decode(errors="replace"))
    return [command for command in found if "sql_child" in command]


SAID = ["SELECT 1; SELECT 2", "FROM read_text('/etc/passwd')", "SELEC 1", "FROM nothing", "SELECT '\ud800'"]


@pytest.mark.parametrize("query", SAID, ids=ascii)
def test_the_child_says_why_not(cache: Cache, query: str) -> None:
    with pytest.raises(RefusedError, match=r"one SELECT|may not be read|syntax error|no 'nothing'|no UTF-8"):
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
    "SELECT length(repeat(repeat('x', 100000), 100000))",
    "SELECT list(n) FROM range(1000000000) AS t(n)",
    "SELECT string_agg(n::VARCHAR, repeat('x', 1000)) FROM range(100000000) AS t(n)",
    "SELECT sum(a.n * b.n) FROM range(1000000) AS a(n), range(1000000) AS b(n)",
    "SELECT count(*) FROM words a, words b, words c, words d, words e, words f, words g WHERE a.text || g.text < 'x'",
    "SELECT * FROM range(1000000000000) ORDER BY 1 DESC",
    "WITH RECURSIVE t AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM t) SELECT count(*) FROM t",
    "WITH RECURSIVE t AS (SELECT 'x' AS a UNION ALL SELECT a || a FROM t) SELECT max(length(a)) FROM t",
    "SELECT regexp_matches(repeat('a', 30000000), '(a|aa)+$')",
    "SELECT list_sum(list_transform(range(100000000), lambda x: list_sum(range(x))))",
    "SELECT levenshtein(repeat('a', 300000), repeat('b', 300000))",
    "SELECT " + "(" * 20_000 + "1" + ")" * 20_000,
    "SELECT 1" + " + 1" * 200_000,
]
"""What takes more memory or time than there is, in one scalar call or in many rows; and what is too deep to read."""


@pytest.mark.parametrize("query", GREEDY, ids=lambda query: query[:60])
def test_greedy_queries_are_stopped_in_time(cache: Cache, query: str) -> None:
    begun = time.monotonic()
    with pytest.raises(RefusedError, match=r"ran longer|memory|broke|Error"):
        run_select(cache.folder, query, Limits(seconds=4, megabytes=1024))
    assert time.monotonic() - begun < 8
    assert children_of(os.getpid()) == []


def test_too_many_rows_are_refused_with_advice(cache: Cache) -> None:
    with pytest.raises(RefusedError, match="more than 10 rows; add LIMIT"):
        run_select(cache.folder, "SELECT * FROM words", Limits(rows=10))
    assert run_select(cache.folder, "SELECT * FROM words LIMIT 10", Limits(rows=10)).num_rows == 10


def test_limits_that_cannot_be_are_said(cache: Cache) -> None:
    with pytest.raises(ValueError, match="512 at least"):
        Limits(megabytes=10)
    with pytest.raises(ValueError, match="is no cache"):
        run_select(cache.folder / "documents", "SELECT 1")
