"""The one error for what fails through no mistake in the call: said in one line, with what to do next."""

import errno
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says where there is no room: on the disk, in the user's share of it, or for a file so large."""


class Failure(RuntimeError):
    """Something outside the program failed (a file, a model, a server); the message says what to do next."""


def no_room(error: BaseException, folder: Path) -> Failure | None:
    """What to say of an error if it means that the folder's disk is full; None if it means something else."""
    if not isinstance(error, OSError) or error.errno not in FULL:
        return None
    return Failure(
        f"there is no room left for {folder}; make room and run the same command again: what is done is kept"
    )
