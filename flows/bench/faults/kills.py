"""Kill -9 at a random moment, run again with another number of workers, compare every byte.

The moment is drawn uniformly from the time that an undisturbed run takes; a run that was done by then is killed again
sooner, so that every case is a kill. Odd cases kill the command alone, whose workers have to notice by themselves; even
ones kill it with its workers. Every tenth case starts a Prefect server of its own, as a user's command does; the others
share one.
"""

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from flows.bench.faults.commands import Bench, Row, digests, finish, same, start

OWN_SERVER = 15.0
"""Seconds that a server of its own adds to a run."""


def kill_case(bench: Bench, number: int, whole: float) -> Row:
    """whole: seconds of an undisturbed run."""
    draw, cache = bench.draw("kills", number), bench.case_folder("kills", number)
    own_server, group = number % 10 == 0, number % 2 == 0
    before, after = draw.randint(1, 3), draw.randint(1, 3)
    moment = draw.uniform(0, whole + OWN_SERVER * own_server)
    shutil.rmtree(cache, ignore_errors=True)
    while not killed(bench.preprocess(cache, workers=before), moment, own_server=own_server, group=group):
        shutil.rmtree(cache)
        moment *= 0.7
    shards = sum(1 for _ in cache.rglob("shard-*.json"))
    left = sum(1 for _ in cache.rglob(".*.tmp"))
    finish(bench.preprocess(cache, workers=after), own_server=own_server)
    passed = digests(cache) == digests(bench.undisturbed)
    if passed:
        shutil.rmtree(cache)  # what differs stays to be looked at
    return {
        "passed": passed,
        "outcome": same(passed),
        "killed_after": round(moment, 3),
        "killed": "command and workers" if group else "command",
        "own_server": own_server,
        "workers": [before, after],
        "shards_when_killed": shards,
        "half_written_when_killed": left,
    }


def killed(words: list[str], after: float, *, own_server: bool, group: bool) -> bool:
    """Start, and kill after so many seconds; False if the command was done before."""
    running = start(words, own_server=own_server, group=True)
    with suppress(subprocess.TimeoutExpired):
        running.wait(after)
    was_running = running.poll() is None
    if was_running:
        (os.killpg if group else os.kill)(running.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        running.communicate(timeout=10)
    return was_running


def workers_case(bench: Bench, number: int) -> Row:
    """Fresh caches on one worker, and on three."""
    cache, workers = bench.case_folder("workers", number), (1, 3)[number % 2]
    shutil.rmtree(cache, ignore_errors=True)
    finish(bench.preprocess(cache, workers=workers))
    passed = digests(cache) == digests(bench.undisturbed)
    if passed:
        shutil.rmtree(cache)
    return {"passed": passed, "outcome": same(passed), "workers": workers}


def copy_of(cache: Path, to: Path) -> Path:
    """A cache of the same bytes and times, without Prefect's memory of it."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(cache, to, ignore=shutil.ignore_patterns(".prefect", ".lock"))
    return to
