"""Mutated files of a cache, and mutated recipes: does whatever reads them read well, or say clearly what is wrong?

Files are those of a real cache (shards of every layer, sidecars, cache.json, tokenizer, annotator) and the recipes that
ship. Half of the mutations are of bytes, half of JSON values, TOML lines, or rows and columns of a Parquet file that is
whole as a file. Three in five shards get a sidecar that vouches for them, so that readers cannot lean on it.

A case is a stretch of mutations, read in a process of its own with limited memory (flows.bench.faults.fuzz_child). One
that ends it is a crash, one that takes longer than HANG a hang; the next process goes on after it.
"""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from select import select

from flows.bench.faults.commands import ROOT, Bench, Row
from model.config import RECIPES

STRETCH = 5_000
"""Mutations of one case."""
HANG = 30.0
"""Seconds for one mutation, of which most take milliseconds."""

CHILD = "import sys; sys.path.append(sys.argv.pop(1)); from flows.bench.faults.fuzz_child import main; main()"


def fuzz_cases(bench: Bench) -> int:
    return -(-bench.counts["fuzz"] // STRETCH)


def fuzz_case(bench: Bench, number: int) -> Row:
    first = number * STRETCH
    last = min(bench.counts["fuzz"], first + STRETCH)
    counts: Counter[str] = Counter()
    wrong = []
    while first < last:
        for mutation, outcome, told in _child(bench, number, first, last):
            counts[outcome] += 1
            first = mutation + 1
            if outcome not in ("read", "refused"):
                wrong.append({"number": mutation, "outcome": outcome, **told})
    shutil.rmtree(bench.case_folder("fuzz", number), ignore_errors=True)
    return {
        "passed": not wrong,
        "outcome": "well" if not wrong else "WRONG",
        "counts": dict(counts),
        "wrong": wrong[:20],
    }


def _child(bench: Bench, number: int, first: int, last: int) -> Iterator[tuple[int, str, dict[str, str]]]:
    """Mutations from the first on, until all are done or one ends the process; then it is the last."""
    asked = {
        "cache": str(bench.undisturbed),
        "recipes": str(RECIPES),
        "scratch": str(bench.case_folder("fuzz", number)),
        "seed": bench.seed,
        "first": first,
        "last": last,
    }
    with subprocess.Popen(
        [sys.executable, "-P", "-c", CHILD, str(ROOT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(json.dumps(asked).encode() + b"\n")
        child.stdin.close()
        done, silent = first, False
        for line in _lines(child.stdout.fileno()):
            if line is None:
                silent = True
                break
            mutation, outcome, told = line.split(" ", 2)
            yield int(mutation), outcome, json.loads(told) if told.strip() else {}
            done = int(mutation) + 1
        if done < last:
            child.kill()
            yield done, "hang" if silent else "crash", {"code": str(child.wait())}


def _lines(descriptor: int) -> Iterator[str | None]:
    """Lines as they come; None, and no more, where none comes for HANG seconds (the first may take four times that)."""
    wait, left = 4 * HANG, b""
    while select([descriptor], [], [], wait)[0]:
        read = os.read(descriptor, 65536)
        if not read:
            return
        *whole, left = (left + read).split(b"\n")
        for line in whole:
            yield line.decode()
        wait = HANG
    yield None
