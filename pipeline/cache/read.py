"""Reading a cache: documents, words and bonds of a shard, a row group at a time, so that memory stays flat."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.cache.layout import DOCUMENTS, Cache
from pipeline.cache.schema import WORDS
from pipeline.cache.tables import bonds_of_table, words_of_table
from pipeline.corpus import Document
from pipeline.records import Bonds, Words

PARSED = ["id", "source", "split", "language", "text"]
"""Columns of a document as the reader gave it."""


WORD_NAMES = ["document", "text", "lemma", "upos", "feats", "relation", "verb_class"]
"""Columns of words that repeat: read as codes into a dictionary."""


def read_row_groups(
    cache: Cache, layer: str, shard: int, columns: list[str] | None = None, dictionaries: list[str] | None = None
) -> Iterator[pa.Table]:
    """The row groups of a shard, in order; dictionaries: columns to read as codes."""
    with pq.ParquetFile(cache.file(layer, shard), read_dictionary=dictionaries) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns=columns)


def read_documents_of(cache: Cache, shard: int) -> Iterator[Document]:
    """The readable documents of a shard, sorted by id."""
    for table in read_row_groups(cache, DOCUMENTS, shard, [*PARSED, "status"]):
        for row in table.to_pylist():
            if row.pop("status") == "ok":
                yield Document(**row)


def read_words(cache: Cache, shard: int, layer: str | None = None) -> Iterator[Words]:
    """Words of a shard in row groups of whole documents; layer: a path, by default the current layer of words."""
    layer = layer or cache.layer("words")
    return (words_of_table(table) for table in read_row_groups(cache, layer, shard, WORDS.names, WORD_NAMES))


def read_bonds(cache: Cache, shard: int, layer: str | None = None) -> Iterator[Bonds]:
    """Bonds of a shard, group by group as `read_words` gives the words whose rows they name."""
    layer = layer or cache.layer("bonds")
    return (bonds_of_table(table) for table in read_row_groups(cache, layer, shard))
