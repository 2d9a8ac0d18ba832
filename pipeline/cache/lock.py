"""One writer at a time: a lock that the operating system drops when its holder dies, however it dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.cache.layout import Cache
from pipeline.errors import Failure


@contextmanager
def writing(cache: Cache) -> Iterator[None]:
    """Hold the cache's writer lock. Errors: Failure, naming the process that holds it, if there is one."""
    with (cache.folder / ".lock").open("a+") as file:  # a+: opening must not wipe the holder's number
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise Failure(
                f"{cache.folder} is being written by process {holder}; wait until it ends, or name another cache"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        sweep(cache)
        yield


def sweep(cache: Cache) -> None:
    """Remove what a killed writer left half-written. Only under the lock."""
    for pattern in (".*.tmp", "*/.*.tmp", "*/*/.*.tmp", "*/*/*/.*.tmp"):
        for file in cache.folder.glob(pattern):
            if ".prefect" not in file.parts:
                file.unlink(missing_ok=True)
