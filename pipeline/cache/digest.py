"""Names for contents: short digests of settings and code, long ones of files.

A layer's name carries the digest of all that decides its content, the code that makes it included, so that a cached
shard is never taken for what newer code would give.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds the packages: a checkout, or site-packages."""

SOURCES = {".py", ".toml", ".tsv", ".json", ".npy", ".safetensors"}
"""Endings of files that decide what code gives: the code itself and the tables that it reads."""


def digest(said: Mapping[str, object]) -> str:
    """Twelve hex digits that change whenever a value does; said: JSON values by name, their order is of no account."""
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:12]


@cache
def source_digest(*names: str) -> str:
    """Twelve hex digits over files and folders of our own, named from the packages' folder (`pipeline/annotate.py`)."""
    total = hashlib.sha256()
    for file in sorted({file for name in names for file in _sources(ROOT / name)}):
        content = file.read_bytes()
        total.update(f"{file.relative_to(ROOT).as_posix()} {len(content)}\n".encode())
        total.update(content)
    return total.hexdigest()[:12]


def _sources(place: Path) -> list[Path]:
    if place.is_dir():
        return [file for file in place.rglob("*") if file.suffix in SOURCES and "__pycache__" not in file.parts]
    if not place.is_file():
        raise ValueError(f"no source {place.name} in {place.parent.name}; name files as they lie in the packages")
    return [place]


def sha256_of(file: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def shard_of(document: str, shards: int) -> int:
    """The shard of a document: by its id alone, so that adding documents moves none."""
    return int.from_bytes(hashlib.blake2b(document.encode(), digest_size=8).digest()) % shards
