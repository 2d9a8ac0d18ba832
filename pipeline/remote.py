"""Inputs by URL: any scheme that fsspec knows (`s3://`, `gs://`, `https://`, `hf://`, `memory://` …).

A `RemoteFile` offers what the readers ask of a `Path`: its name, and its bytes as a stream. Nothing is copied to disk.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, BinaryIO, cast

import fsspec
from fsspec.core import url_to_fs

GLOB_SIGNS = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a remote filesystem."""

    path: str
    """As the filesystem calls it, without its scheme."""
    filesystem: Any = field(repr=False)

    @property
    def name(self) -> str:
        return self.path.rstrip("/").rpartition("/")[2]

    def open(self, mode: str = "rb") -> BinaryIO:
        """A stream of its bytes. Errors: OSError, whatever the filesystem raises."""
        try:
            return cast(BinaryIO, self.filesystem.open(self.path, mode))
        except OSError:
            raise
        except Exception as error:  # every filesystem has errors of its own
            raise OSError(f"{type(error).__name__}: {error}") from error

    def read_bytes(self) -> bytes:
        with self.open() as file:
            return file.read()

    def sign(self) -> str:
        """A cheap sign that the file is the same as before: what its filesystem tells of it (size, time, ETag)."""
        return blake2b(str(self.filesystem.ukey(self.path)).encode(), digest_size=16).hexdigest()


def is_url(given: object) -> bool:
    """`C:\\books` is none."""
    return isinstance(given, str) and "://" in given


def remote_files(url: str) -> Iterator[tuple[str, RemoteFile]]:
    """(path from the parent of what was given, file) of a file, of all files under a folder, or of a glob, sorted.

    Errors: ValueError for a scheme that is unknown or not installed, and for what is not there or out of reach.
    """
    try:
        filesystem, path = url_to_fs(url)
        if GLOB_SIGNS & set(path) and not filesystem.exists(path):
            found = [each for each in sorted(filesystem.glob(path)) if filesystem.isfile(each)]
            fixed = path[: min(path.index(sign) for sign in GLOB_SIGNS & set(path))].rpartition("/")[0]
        elif filesystem.isdir(path):
            found, fixed = sorted(filesystem.find(path)), path.rstrip("/")
        elif filesystem.exists(path):
            found, fixed = [path], path
        else:
            raise ValueError(f"there is no file or folder {url!r}")
    except ImportError as error:
        raise ValueError(f"cannot read {url!r}: {error}") from error
    except ValueError as error:
        known = ", ".join(sorted(fsspec.available_protocols())[:40])
        raise (
            error
            if "there is no file" in str(error)
            else ValueError(f"cannot read {url!r}: {error}; give a path, or a URL of one of: {known}")
        ) from error
    except Exception as error:  # no network, no rights: every filesystem says it in its own way
        raise ValueError(
            f"cannot read {url!r}: {type(error).__name__}: {error}; make it reachable, or leave it out"
        ) from error
    start = len(fixed.rpartition("/")[0]) + 1 if "/" in fixed else 0
    yield from ((each[start:].lstrip("/"), RemoteFile(each, filesystem)) for each in found)
