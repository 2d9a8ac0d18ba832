"""A second writer, while a first one holds the cache: refused by name, and the first is not harmed."""

import shutil
import time
from pathlib import Path

from flows.bench.faults.commands import LONGEST, Bench, Row, digests, end, same, start, valency
from pipeline.errors import Failure

SECOND = ("preprocess", "repair", "control")


def second_writer_case(bench: Bench, number: int) -> Row:
    cache, command = bench.case_folder("second_writer", number), SECOND[number % len(SECOND)]
    shutil.rmtree(cache, ignore_errors=True)
    if command == "control":  # wants words that are there: the first writer finds a shard to make again
        shutil.copytree(bench.undisturbed, cache, ignore=shutil.ignore_patterns(".prefect", ".lock"))
        next((cache / "pieces").rglob("shard-*.json")).unlink()
    first = start(bench.preprocess(cache))
    _wait_for(cache / ".lock", first.pid)
    words = {
        "preprocess": bench.preprocess(cache),
        "repair": ["repair", str(cache)],
        "control": ["control", str(cache), "--by", "random-keys", "--like", "dependency"],
    }[command]
    second = valency(words)
    at_once = first.poll() is None
    ended = end(first)
    refused = second.clear and f"being written by process {first.pid}" in second.said
    is_same = digests(cache) == digests(bench.undisturbed)
    passed = refused and at_once and ended.code == 0 and is_same
    if passed:
        shutil.rmtree(cache)
    outcome = f"{'refused' if refused else 'NOT REFUSED'}, {same(is_same)}"
    return {"passed": passed, "outcome": outcome, "command": command, "said": second.said.strip()[-300:]}


def _wait_for(lock: Path, holder: int) -> None:
    """Until the process holds the lock and says so."""
    stop = time.monotonic() + LONGEST
    while not (lock.is_file() and lock.read_text().strip() == str(holder)):
        if time.monotonic() > stop:
            raise Failure(f"process {holder} did not take {lock} within {LONGEST} s")
        time.sleep(0.02)
