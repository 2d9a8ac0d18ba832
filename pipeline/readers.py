"""One reader a file format: from a file to the texts in it, one after another, never a large file in memory.

A reader yields an entry for every document that the file should hold, readable or not. What breaks the file itself
(a cut-off archive, a damaged Parquet page) it raises; `corpus` makes a rejected document of that too.
"""

import gzip
import io
import json
import lzma
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.conllu import cut_documents, lay_out, read_sentences
from pipeline.remote import RemoteFile

File = Path | RemoteFile

LARGEST_DOCUMENT = 256 << 20
"""Bytes of one document; a longer one is a mistake (a line without end, an archive that unpacks to gigabytes)."""
TOO_LARGE = f"is longer than {LARGEST_DOCUMENT >> 20} MiB; cut it into documents"
TITLE = re.compile(rb" = [^=\s].* = \s*")
"""A title line of WikiText: ` = Title = `. Sections have more signs: ` = = Section = = `."""


FIELDS = ("text", "id", "label")
"""Of a record, what is read."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A document as found: its text, or why there is none."""

    key: str
    """Names it inside its file; empty if the file is one document."""
    text: str = ""
    reason: str = ""
    label: str = ""
    """What its record says of its class."""


def read_text(path: File) -> Iterator[Entry]:
    """A plain text file is one document."""
    with open_bytes(path) as file:
        yield _entry("", file.read(LARGEST_DOCUMENT + 1))


def read_tokens(path: File) -> Iterator[Entry]:
    """WikiText: one document an article, from the blank line before its title; joined they give the file back.

    Table keys look like titles (` = Wins ; L = `); but only a title stands between two blank lines.
    """
    index, article, size = 0, list[bytes](), 0
    with open_bytes(path) as file:
        for before, line, after in _with_neighbours(_lines(file)):
            if TITLE.fullmatch(line) and not before.strip() and not after.strip():
                blank = [article.pop()] if article else []
                if any(each.strip() for each in article):
                    yield _entry(str(index), b"".join(article))
                    index, article, size = index + 1, [], 0
                article += blank
            if size <= LARGEST_DOCUMENT:  # what is too large is not kept, only found out
                article.append(line)
                size += len(line)
    yield _entry(str(index), b"".join(article))


def read_jsonl(path: File) -> Iterator[Entry]:
    """One JSON object a line, with the text in `text` and a name in `id` (or it is called by its row, from 0)."""
    with open_bytes(path) as file:
        for row, line in enumerate(_lines(file)):
            if line.strip():
                yield _json_entry(row, line)


def read_parquet(path: File) -> Iterator[Entry]:
    """Columns `text` and, if there is one, `id`; a batch of rows at a time."""
    with path.open("rb") as raw, pq.ParquetFile(raw) as file:
        names = file.schema_arrow.names
        columns = [name for name in FIELDS if name in names]
        yield from _table_entries(names, file.iter_batches(batch_size=256, columns=columns))


def read_arrow(path: File) -> Iterator[Entry]:
    """A file of a Hugging Face dataset as `save_to_disk` leaves it, an Arrow stream: as `read_parquet`."""
    with path.open("rb") as raw, pa.ipc.open_stream(raw) as stream:
        yield from _table_entries(stream.schema.names, stream)


def read_conllu(path: File) -> Iterator[Entry]:
    """A treebank: documents by `# newdoc`, their text rebuilt from the tokens; the `conllu` parser has their trees."""
    with open_bytes(path) as file:
        for row, (name, first_line, lines) in enumerate(cut_documents(_lines(file))):
            try:
                decoded = [line.decode("utf-8-sig") for line in lines]
                text, _ = lay_out(list(read_sentences(decoded, first_line)))
            except UnicodeDecodeError as error:
                yield Entry(name or str(row), reason=_not_utf8(error))
            except ValueError as error:
                yield Entry(name or str(row), reason=str(error))
            else:
                yield Entry(name or str(row), text)


READERS: dict[str, Callable[[File], Iterator[Entry]]] = {
    ".txt": read_text,
    ".txt.gz": read_text,
    ".txt.zst": read_text,
    ".jsonl": read_jsonl,
    ".jsonl.gz": read_jsonl,
    ".jsonl.xz": read_jsonl,
    ".jsonl.zst": read_jsonl,
    ".parquet": read_parquet,
    ".arrow": read_arrow,
    ".conllu": read_conllu,
    ".tokens": read_tokens,
}
"""Reader by the end of a file's name."""

BROKEN_FILE = (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException)
"""What a reader raises for a file that cannot be opened, unpacked or understood."""


@contextmanager
def open_bytes(path: File) -> Iterator[BinaryIO]:
    """The file's bytes, unpacked."""
    with ExitStack() as open_files:
        raw = open_files.enter_context(path.open("rb"))
        match path.name.lower().rpartition(".")[2]:
            case "gz":
                yield cast(BinaryIO, open_files.enter_context(gzip.open(raw)))
            case "xz":
                yield cast(BinaryIO, open_files.enter_context(lzma.open(raw)))
            case "zst":
                stream = open_files.enter_context(pa.CompressedInputStream(pa.PythonFile(raw, "r"), "zstd"))
                yield cast(BinaryIO, io.BufferedReader(stream))
            case _:
                yield raw


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines with their ends; of a line that is too large only the beginning, so that the reader can say so."""
    while line := file.readline(LARGEST_DOCUMENT + 1):
        yield line
        while len(line) > LARGEST_DOCUMENT and not line.endswith(b"\n"):
            line = file.readline(LARGEST_DOCUMENT + 1)


def _with_neighbours(lines: Iterator[bytes]) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Each line with the one before and the one after it; empty ones stand before the first and after the last."""
    before, line = b"", next(lines, b"")
    for after in lines:
        yield before, line, after
        before, line = line, after
    yield before, line, b""


def _table_entries(names: list[str], batches: Iterable[pa.RecordBatch]) -> Iterator[Entry]:
    """Entries of batches that have the columns `names`, `text` and perhaps `id` among them."""
    if "text" not in names:
        yield Entry("", reason=f"has no column 'text'; its columns: {', '.join(names)}")
        return
    row = 0
    for batch in batches:
        for record in batch.select([name for name in FIELDS if name in names]).to_pylist():
            yield _record_entry(row, record)
            row += 1


def _json_entry(row: int, line: bytes) -> Entry:
    if len(line) > LARGEST_DOCUMENT:
        return Entry(str(row), reason=f"line {row + 1} {TOO_LARGE}")
    try:
        record = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return Entry(str(row), reason=f"line {row + 1} {_not_utf8(error)}")
    except (ValueError, RecursionError) as error:
        return Entry(str(row), reason=f"line {row + 1} is not JSON: {error}")
    if not isinstance(record, dict):
        return Entry(str(row), reason=f"line {row + 1} holds {_named(record)}; give an object with the field 'text'")
    return _record_entry(row, record)


def _record_entry(row: int, record: dict[str, object]) -> Entry:
    key, text = record.get("id"), record.get("text")
    name = str(key) if isinstance(key, str | int) and str(key).strip() else str(row)
    if "text" not in record:
        return Entry(name, reason=f"row {row + 1} has no field 'text'; its fields: {', '.join(record) or 'none'}")
    if not isinstance(text, str):
        return Entry(name, reason=f"the field 'text' of row {row + 1} is {_named(text)}; give a string")
    label = record.get("label")
    return Entry(name, text, label=str(label) if isinstance(label, str | int) else "")


def _named(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", bytes: "bytes"}
    return "null" if value is None else names.get(type(value), "a number")


def _entry(key: str, content: bytes) -> Entry:
    if len(content) > LARGEST_DOCUMENT:
        return Entry(key, reason=TOO_LARGE)
    try:
        return Entry(key, content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return Entry(key, reason=_not_utf8(error))


def _not_utf8(error: UnicodeDecodeError) -> str:
    byte = error.object[error.start]
    return f"is not UTF-8: byte 0x{byte:02x} at offset {error.start}; convert it with `iconv -t UTF-8`"
