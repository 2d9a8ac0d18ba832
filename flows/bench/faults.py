"""Does a killed preprocessing end in the same bytes? `valency preprocess` is killed at random moments and run again.

valency bench faults CORPUS --kills 50 --json data/results/faults.json

Each trial starts a fresh cache, kills the command and all its children with SIGKILL at a moment drawn uniformly from
the time that an undisturbed run takes, runs it again to the end, and compares the digest of every shard of every layer
with the undisturbed cache's. Counted: trials, kills that found the command still running, trials whose bytes differ.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Any

from pipeline.cache.digest import sha256_of
from pipeline.errors import Failure

COMMAND = "import sys; sys.path.append(sys.argv.pop(1)); from flows.cli import main; main()"
"""The command line, from the folder that this very file lies in."""


def bench_faults(
    corpora: Sequence[str], out: Path, *, kills: int, seed: int, on_trial: Callable[[int, dict[str, Any]], None]
) -> dict[str, Any]:
    """Kill and resume `kills` times. Errors: Failure if a run that is not killed fails."""
    draw = random.Random(seed)
    out.mkdir(parents=True, exist_ok=True)
    began = perf_counter()
    _finish(_start(corpora, out / "undisturbed"))
    whole = perf_counter() - began
    expected = digests(out / "undisturbed")
    trials = []
    for number in range(kills):
        cache = out / f"trial-{number:03d}"
        trial = kill_and_resume(corpora, cache, draw.uniform(0, whole))
        trial["same_bytes"] = digests(cache) == expected
        if trial["same_bytes"]:
            shutil.rmtree(cache)  # what differs stays to be looked at
        trials.append(trial)
        on_trial(number, trial)
    return {
        "corpora": [Path(corpus).name for corpus in corpora],
        "seed": seed,
        "files": len(expected),
        "undisturbed_seconds": whole,
        "trials": trials,
        "killed_while_running": sum(trial["was_running"] for trial in trials),
        "different_bytes": sum(not trial["same_bytes"] for trial in trials),
    }


def kill_and_resume(corpora: Sequence[str], cache: Path, after: float) -> dict[str, Any]:
    """Start, kill -9 after so many seconds, start again and let it end."""
    running = _start(corpora, cache)
    with suppress(subprocess.TimeoutExpired):
        running.wait(after)
    was_running = running.poll() is None
    if was_running:
        # The command alone: its server and workers have to notice by themselves, or be found at the next start.
        os.kill(running.pid, signal.SIGKILL)
        running.communicate()
    shards = sum(1 for _ in cache.rglob("shard-*.json"))
    _finish(_start(corpora, cache))
    return {"killed_after": after, "was_running": was_running, "shards_when_killed": shards}


def digests(cache: Path) -> dict[str, str]:
    """SHA-256 by path of every file that preprocessing leaves, Prefect's own home and locks apart."""
    files = (file for file in cache.rglob("*") if file.is_file() and ".prefect" not in file.parts)
    return {str(file.relative_to(cache)): sha256_of(file) for file in sorted(files) if file.name != ".lock"}


def _start(corpora: Sequence[str], cache: Path) -> subprocess.Popen[str]:
    root = str(Path(__file__).resolve().parents[2])
    words = [sys.executable, "-c", COMMAND, root, "preprocess", *corpora, "--cache", str(cache)]
    return subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONSAFEPATH": "1"},
    )


def _finish(running: subprocess.Popen[str]) -> None:
    said, _ = running.communicate()
    if running.returncode:
        raise Failure(f"valency preprocess ended with {running.returncode}: {said[-2000:]}")
