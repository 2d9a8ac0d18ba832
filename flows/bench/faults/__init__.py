"""What breaks Valency? Every fault that a cache may meet, on purpose, and whether all ends well.

valency bench faults --json data/results/faults.json
valency bench faults --only kills --kills 5

The trials (a file each, with its method in its head):

    kills          kill -9 at random moments; run again, with other workers, in the same bytes
    train-kills    kill -9 a training job at random moments; run again, in the same curve and weights, bit for bit
    workers        fresh caches on one worker, and on three, in the same bytes
    flipped        a flipped bit, layer by layer: found, named, that shard alone made again
    truncated      the same for a file that ends too soon
    disk           the disk runs full: a clear error, then, with room, the same bytes
    second_writer  a second command on a cache that is being written: refused by name
    changed        documents added, removed, rewritten: the bytes of a fresh cache
    fuzz           files of caches and recipes, mutated: each a clear error or well read; no crash, hang or traceback
    documents      hostile documents through preprocessing: nothing breaks, rows reconcile

A trial is a list of cases, each drawn from the seed, the trial's name and its number alone. What a case found is a
line of `<out>/<trial>.jsonl` as soon as it is known; run again with the same settings, the bench goes on after the last
line. Caches that something is wrong with stay in `out`.
"""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from flows.bench.faults.changed import changed_case
from flows.bench.faults.commands import Bench, Row, digests, finish
from flows.bench.faults.damage import damage_cases, flipped_case, truncated_case
from flows.bench.faults.disk import disk_case
from flows.bench.faults.documents import documents_case, documents_cases
from flows.bench.faults.fuzz import fuzz_case, fuzz_cases
from flows.bench.faults.kills import kill_case, workers_case
from flows.bench.faults.train_kills import train_kill_case
from flows.bench.faults.writers import second_writer_case
from flows.server import environment, prefect_server
from pipeline.cache.digest import source_digest
from pipeline.cache.layout import read_json, write_json
from pipeline.corpus import sample_corpus

COUNTS = {"kills": 50, "train-kills": 20, "fuzz": 100_000, "documents": 10_000}


@dataclass(frozen=True, slots=True)
class Trial:
    """case: (bench, number) to what it found. cases: how many there are."""

    case: Callable[[Bench, int], Row]
    cases: Callable[[Bench], int]
    server: bool = True
    """Whether its commands share a Prefect server."""


TRIALS: dict[str, Trial] = {
    "kills": Trial(lambda bench, number: kill_case(bench, number, _whole(bench)), lambda bench: bench.counts["kills"]),
    "train-kills": Trial(train_kill_case, lambda bench: bench.counts["train-kills"], server=False),
    "workers": Trial(workers_case, lambda bench: 2),
    "flipped": Trial(flipped_case, damage_cases),
    "truncated": Trial(truncated_case, damage_cases),
    "disk": Trial(disk_case, lambda bench: 6),
    "second_writer": Trial(second_writer_case, lambda bench: 3),
    "changed": Trial(changed_case, lambda bench: 3),
    "fuzz": Trial(fuzz_case, fuzz_cases, server=False),
    "documents": Trial(documents_case, documents_cases),
}

OnCase = Callable[[str, int, Row], None]


def bench_faults(
    out: Path,
    *,
    corpora: Sequence[str] = (),
    only: Sequence[str] = (),
    counts: Mapping[str, int] | None = None,
    cases: int | None = None,
    seed: int = 0,
    at_once: int = 2,
    on_case: OnCase = lambda trial, number, row: None,
) -> dict[str, Any]:
    """Do the trials (`only`: some of them), so many cases at once; cases: at most so many of each, for a sample.

    Errors: ValueError for a trial that is none, or a folder with the records of other settings; Failure if a command
    fails that nothing was done to.
    """
    unknown = [name for name in only if name not in TRIALS]
    if unknown:
        raise ValueError(f"there is no trial {unknown[0]!r}; there are: {', '.join(TRIALS)}")
    bench = Bench(
        corpora=tuple(corpora) or (str(sample_corpus() / "letter"),),
        out=out.absolute(),
        seed=seed,
        counts={**COUNTS, **(counts or {})},
    )
    began = perf_counter()
    _settle(bench)
    with _server(bench, [*(only or TRIALS)]):
        found = {name: _trial(bench, name, cases, at_once, on_case) for name in (only or TRIALS)}
    return {
        "corpora": [Path(corpus).name for corpus in bench.corpora],
        "seed": seed,
        "shards": bench.shards,
        "files": len(digests(bench.undisturbed)),
        "undisturbed_seconds": round(_whole(bench), 3),
        "trials": found,
        "passed": all(trial["passed"] == trial["cases"] for trial in found.values()),
        "seconds": perf_counter() - began,
    }


def _settle(bench: Bench) -> None:
    """The folder is this bench's: new, or with records under the same settings."""
    bench.out.mkdir(parents=True, exist_ok=True)
    code = source_digest("pipeline", "lexicons", "model", "flows")
    settings = {"seed": bench.seed, "corpora": [*bench.corpora], "counts": dict(bench.counts), "code": code}
    said = read_json(bench.out / "settings.json")
    if said is not None and said != settings:
        raise ValueError(f"{bench.out} holds the records of other settings ({said}); name another --out, or remove it")
    write_json(bench.out / "settings.json", settings)


@contextmanager
def _server(bench: Bench, names: Sequence[str]) -> Iterator[None]:
    """One Prefect server for all commands, and the cache that all others are compared with."""
    temporary = bench.out / "tmp"
    temporary.mkdir(exist_ok=True)
    made = (bench.out / "undisturbed.json").is_file()
    with ExitStack() as stack:
        # A killed command leaves temporary files of its libraries: they stay in our folder.
        stack.enter_context(environment({"TMPDIR": str(temporary)}))
        if not made or any(TRIALS[name].server for name in names):
            stack.enter_context(prefect_server(bench.out / "prefect"))()
        if not made:
            for _ in range(2):  # the second is timed: the first fills the page cache, and Python's cache of bytecode
                shutil.rmtree(bench.undisturbed, ignore_errors=True)
                began = perf_counter()
                finish(bench.preprocess(bench.undisturbed, workers=2))
            write_json(bench.out / "undisturbed.json", {"seconds": perf_counter() - began})
        yield


def _whole(bench: Bench) -> float:
    """Seconds of an undisturbed run."""
    said = read_json(bench.out / "undisturbed.json") or {}
    return float(str(said["seconds"]))


def _trial(bench: Bench, name: str, most: int | None, at_once: int, on_case: OnCase) -> dict[str, Any]:
    """The cases that are not yet recorded, side by side, and a summary of all."""
    trial, record = TRIALS[name], bench.out / f"{name}.jsonl"
    total = min(trial.cases(bench), most or trial.cases(bench))
    rows = {row["case"]: row for row in _recorded(record) if row["case"] < total}
    with ThreadPoolExecutor(at_once) as pool, record.open("a", encoding="utf-8") as lines:
        waiting = {pool.submit(_timed, trial, bench, number): number for number in range(total) if number not in rows}
        try:
            for done in as_completed(waiting):
                row = {"case": waiting[done], **done.result()}
                rows[row["case"]] = row
                lines.write(json.dumps(row) + "\n")
                lines.flush()
                on_case(name, row["case"], row)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return summary([rows[number] for number in sorted(rows)])


def _timed(trial: Trial, bench: Bench, number: int) -> Row:
    began = perf_counter()
    return {**trial.case(bench, number), "seconds": round(perf_counter() - began, 3)}


def _recorded(record: Path) -> list[Row]:
    """The lines of earlier runs; the last may be torn."""
    rows = []
    for line in record.read_text("utf-8").splitlines() if record.is_file() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Cases and outcomes counted, seconds added up; the cases themselves after them.

    A case with `counts` (outcome: how often) stands for as many things that were tried.
    """
    outcomes: Counter[str] = Counter()
    for row in rows:
        outcomes.update(row.get("counts") or {row["outcome"]: 1})
    return {
        "cases": len(rows),
        "passed": sum(row["passed"] for row in rows),
        "outcomes": dict(outcomes.most_common()),
        "tried": outcomes.total(),
        "seconds": round(sum(row["seconds"] for row in rows), 3),
        "each": [*rows],
    }
