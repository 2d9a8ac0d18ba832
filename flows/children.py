"""Child processes that never outlive their parent.

A child watches its parent and ends itself when the parent is gone; a parent that is told to stop ends its children
first; and should a child survive all the same (stopped, or starved), the next start finds it by its note and ends it.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

POLL_SECONDS = 0.5
"""How soon a child notices that its parent is gone."""


def watch_parent(parent: int) -> None:
    """In a child: end this process as soon as `parent` is no longer its parent, however that came about."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_SECONDS)
        os._exit(1)  # no clean-up: what is half-written has a temporary name

    threading.Thread(target=watch, name="watch-parent", daemon=True).start()


def note_child(folder: Path, process: int) -> None:
    """Leave a note of a child, so that a later start can tell it from a stranger with the same number."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / str(process)).write_text(identity(process), encoding="utf-8")


def identity(process: int) -> str:
    """Start time and command line of a process; empty if it is gone, or where there is no /proc to ask."""
    try:
        started = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
        command = Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
    return f"{started} {command}" if command else ""  # a zombie has no command line, and needs no ending


def living_children(folder: Path) -> list[int]:
    """Processes noted in the folder that still run as what they were."""
    notes = [note for note in folder.glob("*") if note.name.isdecimal()]
    return [int(note.name) for note in notes if (said := note.read_text("utf-8")) and said == identity(int(note.name))]


def end_children(folder: Path) -> list[int]:
    """Kill every process noted in the folder that still runs, and forget the notes. Returns those that were killed."""
    killed = living_children(folder)
    for process in killed:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    for note in folder.glob("*"):
        note.unlink(missing_ok=True)
    return killed


class Stopped(SystemExit):
    """SIGTERM came: unwinds like any exception and ends with 143, as a shell expects."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


@contextmanager
def stopping(workers: Path | None = None) -> Iterator[None]:
    """Turn SIGTERM into an exception, so that `finally` clauses run; kill the workers noted in a folder before it, on
    SIGINT too, so that nobody waits for them. Outside the main thread, where signals cannot be had, it does nothing.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        if workers is not None:
            end_children(workers)
        raise Stopped if number == signal.SIGTERM else KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
