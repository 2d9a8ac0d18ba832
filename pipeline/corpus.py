"""From inputs (files, folders, globs, URLs) to documents, one by one: what `pipeline.readers` finds, named, checked.

Nothing that an input holds stops the reading: what cannot become a document comes out as `Rejected`, with its reason,
so that every input is accounted for (law 4). Only a mistake in the call is an error: an input that does not exist.
"""

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Literal

from pipeline.readers import BROKEN_FILE, READERS, Entry, File
from pipeline.remote import RemoteFile, is_url, remote_files

Split = Literal["train", "validation", "test"]

SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "dev": "validation",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
SPLIT_IN_NAME = re.compile(rf"(?:^|[-_.])({'|'.join(SPLIT_NAMES)})(?=[-_.])", re.IGNORECASE)
DASHED_SPLIT = re.compile(rf"-({'|'.join(SPLIT_NAMES)})(?=\.)", re.IGNORECASE)
"""A book may be called `test.txt`; only `-test` says that it belongs to a split."""

LANGUAGE_IN_NAME = re.compile(r"([a-z]{2,3})_[a-z0-9]+-ud-")
"""Treebanks of Universal Dependencies say their language: `de_gsd-ud-train.conllu`."""

GLOB = re.compile(r"[*?\[]")
ABOUT = re.compile(r"(readme|license|licence|copying|notice|manifest)\b", re.IGNORECASE)
"""Files of a folder that speak about the corpus; give them by name to read them all the same."""
LEFT_OVER = re.compile(r"cache-[0-9a-f]+\.arrow")
"""What `datasets` computed from a dataset and keeps beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One text. Ids and sources are independent of where the inputs lie on this machine."""

    id: str
    """Path from the input's parent folder, and `#index` or `#name` inside a file of many; no two are the same."""
    source: str
    """The file, as a path from the input's parent folder."""
    split: Split
    language: str
    text: str
    """Characters as in the file, line ends included; at least one is no space, none is NUL."""
    label: str = ""
    """The field `label` of a record, if it has one; caches do not keep it (`read_labels`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """What an input holds that is no document."""

    id: str
    source: str
    split: Split
    language: str
    reason: str


def sample_corpus() -> Path:
    """The folder of sample documents that comes with the packages."""
    return Path(__file__).resolve().parents[1] / "data" / "sample"


def read_documents(inputs: Sequence[str | Path], language: str = "en") -> Iterator[Document | Rejected]:
    """All documents of the inputs, in their order, folders sorted by name; a file that is met again is read once.

    language: of the documents, but for treebanks whose files name theirs.

    ValueError, at once, for an input that is not there or that nothing can read. Memory: one document, and about 100
    bytes for every id.
    """
    return _read(find_files(inputs), language)


def read_labels(inputs: Sequence[str | Path]) -> dict[str, int]:
    """Class by document id, of the documents that have a label; the classes are the labels in sorted order, from 0.

    Errors: ValueError if there is none, or no such file.
    """
    found = {each.id: each.label for each in read_documents(inputs) if isinstance(each, Document) and each.label}
    if not found:
        raise ValueError("no record has a field 'label'; give JSON lines, or tables, with the fields text and label")
    classes = {label: number for number, label in enumerate(sorted(set(found.values())))}
    return {name: classes[label] for name, label in found.items()}


def find_files(inputs: Sequence[str | Path]) -> list[tuple[str, File]]:
    """(source, file) of everything that the inputs name; errors as `read_documents`."""
    found: dict[str, tuple[str, File]] = {}
    for each in inputs:
        files = list(_files_of(each))
        if not files:
            raise ValueError(f"there is nothing to read in {str(each)!r}; wanted are files that end in {_suffixes()}")
        for source, file in files:
            found.setdefault(str(file) if isinstance(file, RemoteFile) else os.path.realpath(file), (source, file))
    return list(found.values())


def _files_of(given: str | Path) -> Iterator[tuple[str, File]]:
    if isinstance(given, str) and is_url(given):
        yield from ((source, file) for source, file in remote_files(given) if _is_content(source, file.name))
        return
    path = Path(given)
    try:
        if path.is_dir():
            root = path.resolve()
            yield from ((file.relative_to(root.parent).as_posix(), file) for file in _walk(root))
        elif path.exists():
            if _reader_of(path.name) is None or not path.is_file():
                raise ValueError(f"cannot read {str(given)!r}; give files that end in {_suffixes()}, or a folder")
            yield path.name, path
        elif GLOB.search(str(given)):
            yield from _glob(path)
        else:
            raise ValueError(f"there is no file or folder {str(given)!r}{_nearest(path)}")
    except OSError as error:  # a folder that we may not list, a name that is too long
        raise ValueError(
            f"cannot read {str(given)[:200]!r}: {error.strerror}; make it readable, or leave it out"
        ) from error


def _walk(folder: Path) -> Iterator[Path]:
    """Readable files under a folder, sorted, without hidden ones and ABOUT; links to folders may turn in a circle."""
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or ABOUT.match(entry.name) or LEFT_OVER.fullmatch(entry.name):
            continue
        if entry.is_dir() and not entry.is_symlink():
            yield from _walk(entry)
        elif _reader_of(entry.name) and (entry.is_file() or not entry.exists()):  # a dead link is told, not passed over
            yield entry


def _glob(pattern: Path) -> Iterator[tuple[str, Path]]:
    """Matches of a pattern, sorted, called as if the folder before its first wildcard had been given."""
    parts = pattern.parts
    fixed = next(place for place, part in enumerate(parts) if GLOB.search(part))
    root = Path(*parts[:fixed]).resolve()
    for match in sorted(root.glob(str(Path(*parts[fixed:])))):
        for file in _walk(match) if match.is_dir() else [match]:
            if _reader_of(file.name) and file.is_file():
                yield file.relative_to(root.parent).as_posix(), file


def _is_content(source: str, name: str) -> bool:
    """What `_walk` would let through; a file that was given by its own URL is read, whatever its name begins with."""
    parts = source.split("/")
    hidden = any(part.startswith(".") for part in parts) or ABOUT.match(name) or LEFT_OVER.fullmatch(name)
    return _reader_of(name) is not None and (len(parts) == 1 or not hidden)


def _reader_of(name: str) -> str | None:
    """The ending that READERS knows the file by; the longest, so that `.txt.gz` is not taken for `.gz`."""
    return max((suffix for suffix in READERS if name.lower().endswith(suffix)), key=len, default=None)


def _suffixes() -> str:
    return " ".join(READERS)


def _nearest(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return f", nor the folder {str(path.parent)!r}"
    near = difflib.get_close_matches(path.name, names, n=1)
    return (
        f"; did you mean {str(path.parent / near[0])!r}?" if near else f" (the folder has {len(names)} other entries)"
    )


def _read(files: Iterable[tuple[str, File]], language: str) -> Iterator[Document | Rejected]:
    taken: set[int] = set()
    for source, file in files:
        for entry in _entries(file):
            name = _unique(_storable(f"{source}#{entry.key}" if entry.key else source), taken)
            split = split_of(source, name)
            reason = entry.reason or _fault(entry.text)
            told = LANGUAGE_IN_NAME.match(file.name)
            about = {"id": name, "source": _storable(source), "split": split, "language": told[1] if told else language}
            yield Rejected(**about, reason=reason) if reason else Document(**about, text=entry.text, label=entry.label)  # type: ignore[arg-type]


def _entries(file: File) -> Iterator[Entry]:
    """What the reader finds; if the file breaks on the way, a last entry that says so."""
    suffix = _reader_of(file.name)
    assert suffix is not None, "find_files lets only readable files through"
    count = 0
    try:
        for entry in READERS[suffix](file):
            yield entry
            count += 1
    except BROKEN_FILE as error:
        what = getattr(error, "strerror", None) or str(error) or type(error).__name__
        yield Entry("unreadable" if count else "", reason=f"cannot be read after {count} documents: {what}")


def _fault(text: str) -> str:
    """Why a text cannot be a document; empty if it can."""
    if "\0" in text:
        return f"holds a NUL character at offset {text.index(chr(0))}; is it a binary file?"
    if not text.strip():
        return "is empty"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"holds half of a surrogate pair at offset {error.start}"
    return ""


def _unique(name: str, taken: set[int]) -> str:
    """The name, or the first of name~2, name~3 … that no document has; remembered as 8 bytes of a hash."""
    free, count = name, 1
    while _number(free) in taken:
        count += 1
        free = f"{name}~{count}"
    taken.add(_number(free))
    return free


def _storable(name: str) -> str:
    """File names and ids may hold what is no UTF-8; it is written as escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def split_of(source: str, name: str) -> Split:
    """The split that the file's name gives, or one by the document's id: a tenth each for validation and test."""
    folder, _, file = source.rpartition("/")
    if file.endswith(".arrow"):  # of a DatasetDict, whose folders are its splits
        file = f"{folder.rpartition('/')[2]}.{file}"
    found = (DASHED_SPLIT if ".txt" in file.lower() else SPLIT_IN_NAME).search(file)
    if found:
        return SPLIT_NAMES[found[1].lower()]
    match _number(name) % 10:
        case 0:
            return "validation"
        case 1:
            return "test"
    return "train"


def _number(name: str) -> int:
    """64 bits that depend on the name alone, on any machine."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")
