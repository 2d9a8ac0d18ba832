"""One SELECT of a user's over a cache: it reads this cache's views and nothing else, and it ends.

Four walls, each enough for most of what may come:
1. The query's own syntax tree (`refusal`): one SELECT, over the cache's views, with table functions from a short list.
   This wall explains; the others only hold.
2. DuckDB, locked: no files but the cache's, no Python variables, no extensions, no settings, no temporary files.
3. A child process that may take no more memory, open no file for writing, and start no other process (sql_walls).
4. A clock in the parent: when the time is up, the child is killed. DuckDB's own interrupt and memory limit do not bind
   inside one call of a scalar function.
"""

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa

from pipeline.cache.layout import Cache
from pipeline.errors import Failure
from pipeline.stats import integers, shard_rows, view_files

CHILD = "import sys; sys.path.append(sys.argv[1]); from pipeline.sql_child import main; main()"


class RefusedError(ValueError):
    """A query that was not run, or not to its end; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one query may take."""

    seconds: float = 30.0
    megabytes: int = 2048
    """Memory of the child process, DuckDB and Arrow included."""
    rows: int = 100_000
    """Rows of the answer; a query that gives more is refused, and should say LIMIT."""

    def __post_init__(self) -> None:
        if self.seconds <= 0 or self.rows < 1:
            raise ValueError(f"{self}: seconds and rows must be positive")
        if self.megabytes < 512:
            raise ValueError(f"megabytes is {self.megabytes}; the child process alone takes 300: give 512 at least")


def run_select(cache: str | Path, query: str, limits: Limits | None = None) -> pa.Table:
    """The answer of one SELECT over the views of `pipeline.stats`.

    Errors: RefusedError for what the query says or takes; ValueError without a cache; Failure if the child breaks.
    """
    limits, opened = limits or Limits(), Cache.open(cache)
    try:
        query.encode()
    except UnicodeEncodeError as error:
        raise RefusedError(f"the query is no UTF-8: half of a surrogate pair at offset {error.start}") from error
    asked = {
        "query": query,
        "files": view_files(opened),
        "shards": shard_rows(opened),
        "limits": asdict(limits),
    }
    with subprocess.Popen(
        [sys.executable, "-P", "-c", CHILD, str(Path(__file__).resolve().parents[1])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=opened.folder,
        env={"OMP_NUM_THREADS": "1"},  # the query must not see the environment
    ) as child:
        try:
            answer, errors = child.communicate(json.dumps(asked).encode(), timeout=limits.seconds)
        except subprocess.TimeoutExpired:
            raise RefusedError(
                f"the query ran longer than {limits.seconds:g} s and was stopped; ask for less, or use the views of "
                "the statistics (document_stats, sentences, counts)"
            ) from None
        finally:
            child.kill()
    return _answer(child.returncode, answer, errors, limits)


def _answer(code: int, answer: bytes, errors: bytes, limits: Limits) -> pa.Table:
    """What the child wrote: a first line, `ok` or why not, and after `ok` an Arrow stream."""
    said, _, stream = answer.partition(b"\n")
    if said == b"ok":
        with pa.ipc.open_stream(stream) as reader:
            return integers(reader.read_all())
    if said:
        raise RefusedError(said.decode("utf-8", "replace"))
    if (
        code < 0 or b"MemoryError" in errors or b"bad_alloc" in errors
    ):  # killed, or out of memory where none can be caught
        raise RefusedError(
            f"the query needed more than {limits.megabytes} MB of memory, or broke the database; ask for less"
        )
    last = errors.decode("utf-8", "replace").strip().splitlines()[-1:]
    raise Failure(f"the process for the query ended with code {code} ({' '.join(last)}); is duckdb installed?")
