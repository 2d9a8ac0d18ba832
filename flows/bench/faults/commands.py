"""The command line in a process of its own, as a user has it, and what a trial asks of the caches that it leaves."""

import os
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.cache.digest import sha256_of
from pipeline.errors import Failure

ROOT = Path(__file__).resolve().parents[3]
COMMAND = "import sys; sys.path.append(sys.argv.pop(1)); from flows.cli import main; main()"
"""The command line, from the folder that this very file lies in."""

LONGEST = 600
"""Seconds after which a command hangs."""

Row = dict[str, Any]
"""What one case of a trial found, as JSON values; `passed` and `outcome` are always there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What every trial of one bench shares."""

    corpora: tuple[str, ...]
    out: Path
    """Folder of the caches and records."""
    seed: int
    shards: int = 4
    """Of every cache: few, so that a run is short."""
    counts: Mapping[str, int]
    """How much is asked: kills, fuzz, documents."""

    def draw(self, trial: str, number: int) -> random.Random:
        """The chance of one case: the same however often the bench is broken off and begun again."""
        return random.Random(f"{self.seed} {trial} {number}")

    @property
    def undisturbed(self) -> Path:
        """The cache that nothing happened to."""
        return self.out / "undisturbed"

    def case_folder(self, trial: str, number: int) -> Path:
        return self.out / f"{trial}-{number:03d}"

    def preprocess(self, cache: Path, *, workers: int = 1, corpora: Sequence[str] | None = None) -> list[str]:
        """The words of the command."""
        told = ["--cache", str(cache), "--shards", str(self.shards), "--workers", str(workers)]
        return ["preprocess", *(corpora or self.corpora), *told]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    said: str

    @property
    def clear(self) -> bool:
        """Whether it was refused as a mistake or failure should be: its code, and one line that begins with us."""
        last = self.said.strip().splitlines()[-1:] or [""]
        return self.code in (1, 2) and "Traceback" not in self.said and last[0].startswith("valency: ")


def start(words: Sequence[str], *, own_server: bool = False, group: bool = False) -> "subprocess.Popen[str]":
    """Start `valency WORDS`. own_server: without the bench's Prefect server. group: as the head of a process group."""
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    if own_server:
        environment = {name: value for name, value in environment.items() if not name.startswith("PREFECT_")}
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(ROOT), *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
        start_new_session=group,
    )


def end(running: "subprocess.Popen[str]") -> Ended:
    """Let a command end. Errors: Failure if it hangs."""
    try:
        said, _ = running.communicate(timeout=LONGEST)
    except subprocess.TimeoutExpired:
        running.kill()
        raise Failure(f"a command did not end within {LONGEST} s: {running.args!r}") from None
    return Ended(running.returncode, said)


def valency(words: Sequence[str], *, own_server: bool = False) -> Ended:
    return end(start(words, own_server=own_server))


def finish(words: Sequence[str], *, own_server: bool = False) -> None:
    """Run a command that must succeed. Errors: Failure, with what it said, if it does not."""
    ended = valency(words, own_server=own_server)
    if ended.code:
        raise Failure(f"valency {words[0]} ended with {ended.code}: {ended.said[-2000:]}")


def digests(cache: Path) -> dict[str, str]:
    """SHA-256 by path of every file that preprocessing leaves, Prefect's own home and locks apart."""
    files = (file for file in cache.rglob("*") if file.is_file() and ".prefect" not in file.parts)
    return {str(file.relative_to(cache)): sha256_of(file) for file in sorted(files) if file.name != ".lock"}


def current_layers(cache: Path) -> list[str]:
    """Every folder of shards, sorted."""
    folders = {file.parent for file in cache.rglob("shard-*.parquet")}
    return sorted(folder.relative_to(cache).as_posix() for folder in folders)


def same(passed: bool) -> str:
    return "same bytes" if passed else "OTHER BYTES"
