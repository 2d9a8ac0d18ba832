"""Reading a cache: documents, words and bonds of a shard, a row group at a time, so that memory stays flat.

A shard's bytes are compared with its sidecar before they are decoded, and its columns with their schema and with one
another after it: what is damaged, or made by somebody else, is a Failure that names the file, never a wrong word.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.cache.layout import DOCUMENTS, Cache
from pipeline.cache.schema import BONDS, WORDS
from pipeline.cache.schema import DOCUMENTS as DOCUMENT_ROWS
from pipeline.cache.tables import bonds_of_table, words_of_table
from pipeline.cache.verify import MEND, sound
from pipeline.corpus import Document
from pipeline.errors import Failure
from pipeline.records import Bonds, Words

Rows = TypeVar("Rows")

PARSED = ["id", "source", "split", "language", "text"]
"""Columns of a document as the reader gave it."""


WORD_NAMES = ["document", "text", "lemma", "upos", "feats", "relation", "verb_class"]
"""Columns of words that repeat: read as codes into a dictionary."""

BROKEN = (OSError, KeyError, UnicodeDecodeError, pa.ArrowException)
"""What pyarrow raises for a file that it cannot decode; KeyError: a column to read as codes is missing."""


def read_row_groups(
    cache: Cache, layer: str, shard: int, columns: list[str] | None = None, dictionaries: list[str] | None = None
) -> Iterator[pa.Table]:
    """The row groups of a shard, in order; dictionaries: columns to read as codes. Errors: Failure if it is damaged."""
    file = sound(cache, layer, shard)
    try:
        opened = pq.ParquetFile(file, read_dictionary=dictionaries)
    except BROKEN as error:
        raise damaged(cache, file, error) from error
    with opened:
        for group in range(opened.num_row_groups):
            try:
                rows = opened.read_row_group(group, columns=columns)
                rows.validate(full=True)  # strings too: what is no UTF-8 would break whoever looks at it
            except BROKEN as error:
                raise damaged(cache, file, error) from error
            yield rows


def read_documents_of(cache: Cache, shard: int) -> Iterator[Document]:
    """The readable documents of a shard, sorted by id."""
    columns = [*PARSED, "status"]
    for table in _fitting(cache, DOCUMENTS, shard, DOCUMENT_ROWS, columns, None, lambda rows: rows):
        for row in table.to_pylist():
            if row.pop("status") == "ok":
                yield Document(**row)


def read_words(cache: Cache, shard: int, layer: str | None = None) -> Iterator[Words]:
    """Words of a shard in row groups of whole documents; layer: a path, by default the current layer of words."""
    layer = layer or cache.layer("words")
    return _fitting(cache, layer, shard, WORDS, WORDS.names, WORD_NAMES, words_of_table)


def read_bonds(cache: Cache, shard: int, layer: str | None = None) -> Iterator[Bonds]:
    """Bonds of a shard, group by group as `read_words` gives the words whose rows they name."""
    layer = layer or cache.layer("bonds")
    return _fitting(cache, layer, shard, BONDS, BONDS.names, None, bonds_of_table)


def _fitting(
    cache: Cache,
    layer: str,
    shard: int,
    schema: pa.Schema,
    columns: list[str],
    dictionaries: list[str] | None,
    convert: Callable[[pa.Table], Rows],
) -> Iterator[Rows]:
    """The row groups, converted, if they are rows of the schema. Errors: Failure for what does not fit it."""
    for table in read_row_groups(cache, layer, shard, columns, dictionaries):
        try:
            check_columns(table, schema, columns)
            rows = convert(table)
        except ValueError as error:
            raise damaged(cache, cache.file(layer, shard), error) from error
        yield rows


def check_columns(table: pa.Table, schema: pa.Schema, columns: list[str]) -> None:
    """Errors: ValueError if a column is missing, of another type, or holds nothing at some place."""
    for name in columns:
        if table.schema.get_all_field_indices(name) == [] or table.schema.names.count(name) > 1:
            raise ValueError(f"column {name} is not there, or there twice")
        column, wanted = table[name], schema.field(name).type
        found = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if found != wanted and not (
            pa.types.is_list(wanted) and pa.types.is_list(found) and found.value_type == wanted.value_type
        ):
            raise ValueError(f"column {name} is of {found}, not {wanted}")
        within = column.combine_chunks().flatten() if pa.types.is_list(wanted) else column
        if column.null_count or within.null_count:
            raise ValueError(f"column {name} has places without a value")


def damaged(cache: Cache, file: Path, error: Exception) -> Failure:
    """What to say of a shard that cannot be read."""
    return Failure(f"{file} is damaged ({' '.join(str(error).split())[:300]}); {MEND.format(cache.folder)}")
