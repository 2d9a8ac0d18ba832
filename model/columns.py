"""The pieces of a cache as columns in memory, one set a split, documents in the order of their ids.

The order does not depend on how many shards the cache has or who wrote it, so neither does training.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from model.bonds import SplitBonds, read_split_bonds
from model.facts import SplitFacts, read_facts
from pipeline.bonds.config import BondConfig
from pipeline.cache.layout import Cache
from pipeline.cache.made import config_of
from pipeline.cache.read import check_columns, damaged
from pipeline.cache.schema import PIECES
from pipeline.cache.verify import sound
from pipeline.errors import Failure

if TYPE_CHECKING:
    from model.bond_reader import Known
    from pipeline.prefix import Attributes

ATTRIBUTES = ("first_word", "last_word", "closed_word", "sentence_start", "input_tag", "key_tag")
COLUMNS = ("pieces", *ATTRIBUTES)
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Documents of one split, one after another; a document's pieces are begin, its text's, end."""

    documents: tuple[str, ...]
    """Ids."""
    offset: NDArray[np.int64]
    """[D + 1]: where each document's pieces begin in the columns, and where the last ends."""
    bytes: NDArray[np.int64]
    """[D]: UTF-8 bytes of each document's text."""
    columns: Mapping[str, NDArray[Any]]
    """An array a name of COLUMNS, one entry a piece; positions and word indices count within the document."""
    bonds: SplitBonds | None = None
    """Of the documents' words; None where nobody asked for them."""
    facts: SplitFacts | None = None
    """What scores ask of the words; None where nobody asked for them."""
    causal: bool = True
    """Whether the attributes are those of a causal model (law 1); else they know the whole text."""

    def pieces(self) -> NDArray[np.int64]:
        """[D]: number of pieces of each document."""
        return np.diff(self.offset)

    def document(self, number: int, pieces: int | None = None) -> "Split":
        """One document alone; pieces: no more than its first ones."""
        first, stop = int(self.offset[number]), int(self.offset[number + 1])
        stop = stop if pieces is None else min(stop, first + pieces)
        return replace(
            self,
            documents=self.documents[number : number + 1],
            offset=np.array([0, stop - first], np.int64),
            bytes=self.bytes[number : number + 1],
            columns={name: column[first:stop] for name, column in self.columns.items()},
            bonds=self.bonds and self.bonds.document(number),
            facts=self.facts and self.facts.document(number),
        )

    def with_whole_word_tags(self) -> "Split":
        """Leaky on purpose: every piece is told the tag of its whole word, also while the word is still open."""
        return replace(self, columns={**self.columns, "input_tag": self.columns["key_tag"]})

    def update(self, digest: "hashlib._Hash") -> None:
        """Add all that training reads to a digest."""
        digest.update("\n".join(self.documents).encode())
        for array in (self.offset, self.bytes, *(self.columns[name] for name in COLUMNS)):
            digest.update(np.ascontiguousarray(array).data)
        for known in (self.bonds, self.facts):
            if known:
                known.update(digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class PiecesLayer:
    """The current pieces of a cache, and the copies of what made them."""

    name: str
    """Path of the layer in the cache; it carries the digests of tokenizer and annotator."""
    tokenizer: Path
    annotator: Path
    splits: Mapping[str, Split]
    bonds: BondConfig | None = None
    """Settings of the bonds, where the pieces have some."""

    def digest(self) -> str:
        """Twelve hex digits over everything that training reads."""
        digest = hashlib.sha256(self.name.encode())
        for name in SPLITS:
            self.splits[name].update(digest)
        return digest.hexdigest()[:12]


def read_layer(folder: Path, *, bonds: bool = False, facts: bool = False) -> PiecesLayer:
    """The current pieces layer of a cache; bonds, facts: those of its words, too.

    Errors: ValueError if the folder is no cache, has no pieces yet, or not what is asked for; Failure if a shard is
    missing or damaged.
    """
    cache = Cache.open(folder)
    name = cache.layer("pieces")
    digests = dict(part.partition("=")[::2] for part in name.rpartition("/")[2].split(","))
    if "tokenizer" not in digests:
        raise Failure(f"{folder} has pieces of no tokenizer ({name}); run `valency preprocess` on the cache again")
    if "annotator" not in digests:
        raise ValueError(
            f"the pieces of {folder} know the whole text; preprocess with --piece-bonds causal or none to train on them"
        )
    if (bonds or facts) and "words" not in digests:
        raise ValueError(
            f"the pieces of {folder} know nothing of bonds; preprocess with `--parser prefix --mode causal "
            "--piece-bonds causal`"
        )
    read = (block for shard in range(cache.shards) for block in _blocks(cache, name, shard))
    blocks = sorted(read, key=lambda block: block.order)
    splits = {split: _joined([block for block in blocks if block.split == split]) for split in SPLITS}
    if bonds:
        splits = {split: replace(each, bonds=read_split_bonds(folder, split)) for split, each in splits.items()}
    if facts:
        known = read_facts(folder, digests["words"], [splits[split].documents for split in SPLITS])
        splits = {split: replace(splits[split], facts=of) for split, of in zip(SPLITS, known, strict=True)}
    return PiecesLayer(
        name=name,
        tokenizer=cache.folder / "tokenizers" / f"{digests['tokenizer']}.json",
        annotator=cache.folder / "annotators" / f"{digests['annotator']}.safetensors",
        splits=splits,
        bonds=config_of(folder, f"bonds/words={digests['words']},rules={digests['bonds']}")
        if "bonds" in digests
        else None,
    )


def split_of(
    documents: Mapping[str, tuple[NDArray[np.int32], "Attributes"]],
    known: "Sequence[Known] | None" = None,
    causal: bool = True,
) -> Split:
    """A split of documents at hand: piece ids and attributes by document id; known: of each document's words.

    Bytes are not known and stand as 0.
    """
    lengths = [len(ids) for ids, _ in documents.values()]
    columns = {"pieces": [ids for ids, _ in documents.values()]}
    columns |= {name: [getattr(attributes, name) for _, attributes in documents.values()] for name in ATTRIBUTES}
    return Split(
        documents=tuple(documents),
        offset=np.cumsum([0, *lengths], dtype=np.int64),
        bytes=np.zeros(len(lengths), np.int64),
        columns={name: _concatenated(parts, name) for name, parts in columns.items()},
        bonds=SplitBonds.of([each.lists for each in known]) if known else None,
        facts=SplitFacts.of([each.facts for each in known]) if known else None,
        causal=causal,
    )


@dataclass(frozen=True, slots=True)
class _Block:
    """One row of the layer: a stretch of at most 4,096 pieces of a document."""

    order: tuple[str, int]
    split: str
    document_pieces: int
    document_bytes: int
    columns: Mapping[str, NDArray[Any]]


def _blocks(cache: Cache, layer: str, shard: int) -> Iterator[_Block]:
    file, columns = sound(cache, layer, shard), [*HEAD, *COLUMNS]
    try:
        with pq.ParquetFile(file) as opened:
            table = opened.read(columns)
        table.validate(full=True)
        check_columns(table, PIECES, columns)
        lists = {name: table[name].combine_chunks() for name in COLUMNS}
        sizes = [lists[name].value_lengths() for name in COLUMNS]
        if not all(each.equals(sizes[0]) for each in sizes):
            raise ValueError("lists of one block differ in length")
    except (OSError, ValueError, pa.ArrowException) as error:
        raise damaged(cache, file, error) from error
    if not len(table):
        return
    ends = np.cumsum(lists["pieces"].value_lengths().to_numpy())
    values = {name: column.flatten().to_numpy() for name, column in lists.items()}
    heads = zip(*(table[name].to_pylist() for name in HEAD), strict=True)
    for end, begin, (document, split, block, pieces, bytes_) in zip(ends, [0, *ends[:-1]], heads, strict=True):
        yield _Block((document, block), split, pieces, bytes_, {name: v[begin:end] for name, v in values.items()})


HEAD = ("document", "split", "block", "document_pieces", "document_bytes")


def _joined(blocks: Sequence[_Block]) -> Split:
    """Blocks in order, put together; a document that lacks one is an error."""
    documents = list(dict.fromkeys(block.order[0] for block in blocks))
    firsts = {block.order[0]: block for block in blocks if block.order[1] == 0}
    found: dict[str, int] = dict.fromkeys(documents, 0)
    for block in blocks:
        found[block.order[0]] += len(block.columns["pieces"])
    for document, pieces in found.items():
        if document not in firsts or firsts[document].document_pieces != pieces:
            raise Failure(f"the pieces of {document} are incomplete; run `valency preprocess` on the cache again")
    return Split(
        documents=tuple(documents),
        offset=np.cumsum([0, *found.values()], dtype=np.int64),
        bytes=np.array([firsts[document].document_bytes for document in documents], np.int64),
        columns={name: _concatenated([block.columns[name] for block in blocks], name) for name in COLUMNS},
    )


def _concatenated(parts: Sequence[NDArray[Any]], name: str) -> NDArray[Any]:
    dtype = np.uint8 if name.endswith("_tag") else np.int32
    return np.concatenate(parts).astype(dtype) if parts else np.empty(0, dtype)
