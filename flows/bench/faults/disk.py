"""The disk runs full in the middle: a clear error, and, with room again, the same bytes.

The room that a case gives the cache is drawn, from a fiftieth to three fifths of what it needs. It is a tmpfs of its
own where it may be mounted (`method` says tmpfs); elsewhere the kernel's limit on the size of a file stands in for it
(RLIMIT_FSIZE), which fails the same writes, one file at a time, with another error.
"""

import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flows.bench.faults.commands import COMMAND, ROOT, Bench, Ended, Row, digests, finish, same, valency

ENOUGH = "256m"


def disk_case(bench: Bench, number: int) -> Row:
    cache = bench.case_folder("disk", number)
    shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir(parents=True)
    needed = sum(file.stat().st_size for file in bench.undisturbed.rglob("*") if file.is_file())
    share = bench.draw("disk", number).uniform(0.02, 0.6)
    room = max(8 << 10, int(needed * share)) // 4096 * 4096
    with _room(cache, room) as mounted:
        place = cache / "cache"
        if mounted:
            full = valency(bench.preprocess(place))
            subprocess.run(["mount", "-o", f"remount,size={ENOUGH}", str(cache)], check=True)
        else:
            full = _with_small_files(bench.preprocess(place), bench.draw("disk", number).choice([0, 1, 4, 12]) << 10)
        finish(bench.preprocess(place))
        is_same = digests(place) == digests(bench.undisturbed)
    if is_same:
        shutil.rmtree(cache)
    clear = full.clear and "there is no room left for" in full.said
    passed = is_same and clear
    return {
        "passed": passed,
        "outcome": f"{'refused clearly' if clear else 'UNCLEAR'}, {same(is_same)}",
        "method": "tmpfs" if mounted else "RLIMIT_FSIZE",
        "room": room,
        "code": full.code,
        "said": full.said.strip()[-300:],
    }


@contextmanager
def _room(folder: Path, size: int) -> Iterator[bool]:
    """Mount so much room at the folder, if that is allowed; yields whether it was."""
    try:
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "valency-faults", str(folder)]
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def _with_small_files(words: list[str], largest: int) -> Ended:
    """The command, in which no file may grow beyond so many bytes."""

    def limit() -> None:
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write then fails with EFBIG, as one on a full disk does
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

    command = [sys.executable, "-c", COMMAND, str(ROOT), *words]
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, preexec_fn=limit
    )
    return Ended(done.returncode, done.stdout + done.stderr)
