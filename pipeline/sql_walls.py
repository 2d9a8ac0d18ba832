"""What the operating system forbids a process that runs a stranger's query; nothing in the query can lift it.

Call it early: threads that run already keep their freedom to write.
"""

import ctypes
import resource
import sys

LANDLOCK_CREATE_RULESET, LANDLOCK_RESTRICT_SELF = 444, 446
"""System calls of Linux 5.13 and later, by the same numbers on all processors."""
PR_SET_NO_NEW_PRIVS = 38

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, MAKE_SYMLINK = 0, 1, 2, 3, 12
"""Bits of Landlock's rights (linux/landlock.h); those between READ_DIR and MAKE_SYMLINK remove and make files."""
FORBIDDEN = sum(1 << bit for bit in range(MAKE_SYMLINK + 1) if bit not in (READ_FILE, READ_DIR))


def wall_in(*, megabytes: int, seconds: float) -> None:
    """Limit memory and processor time; forbid writing, making, removing and executing any file."""
    limits = {
        resource.RLIMIT_AS: megabytes << 20,
        resource.RLIMIT_CPU: int(seconds) * 4 + 5,  # of all threads; the parent's clock comes first
        resource.RLIMIT_FSIZE: 0,  # not one byte into any file; the answer goes through a pipe
        resource.RLIMIT_CORE: 0,
    }
    for limit, value in limits.items():
        _, hard = resource.getrlimit(limit)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (value, value))
    forbid_writing()


def forbid_writing() -> bool:
    """From here on this process can open no file for writing. Returns whether the kernel can do that.

    Where it cannot (no Linux, or an old one), RLIMIT_FSIZE still stands, which stops every write but not the emptying
    of a file.
    """
    if not sys.platform.startswith("linux"):
        return False
    system = ctypes.CDLL(None, use_errno=True)
    handled = ctypes.c_uint64(FORBIDDEN)  # handled, and allowed nowhere
    rules = system.syscall(LANDLOCK_CREATE_RULESET, ctypes.byref(handled), ctypes.c_size_t(8), 0)
    if rules < 0:
        return False
    system.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return bool(system.syscall(LANDLOCK_RESTRICT_SELF, rules, 0) == 0)
