"""One digest of all that this floor knows, for the keys of caches."""

import hashlib
from functools import cache
from pathlib import Path


@cache
def digest() -> str:
    """Twelve hex digits that change with any table or line of code of the floor; some 10 ms, once a process.

    The compiler is left out: what it does shows in the tables.
    """
    floor = Path(__file__).resolve().parent
    tables = (path for path in (floor / "tables").iterdir() if path.is_file())
    said = hashlib.sha256()
    for path in sorted([*floor.glob("*.py"), *tables], key=lambda path: path.relative_to(floor).as_posix()):
        said.update(f"{path.relative_to(floor).as_posix()}\0{path.stat().st_size}\0".encode())
        said.update(path.read_bytes())
    return said.hexdigest()[:12]
