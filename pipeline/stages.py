"""The stages of preprocessing as plain functions, one call a shard and layer; each works without Prefect.

    ingest        inputs → documents/                 (pipeline/ingest.py)
    parse_shard   documents → words/                  parsed and annotated with features
    bond_shard    words → bonds/ and stats/
    piece_shard   documents → pieces/                 (with words and bonds, if asked for)

A stage first asks whether its shard is there and made from the same inputs; then it costs nothing. What it does
otherwise ends in one rename, so it may be killed at any moment and run again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import process_time, time

import pyarrow as pa

from pipeline.annotate import annotate
from pipeline.bonds import BondConfig
from pipeline.cache.blocks import Annotator, RowsOf, blocks_table, causal_rows
from pipeline.cache.digest import source_digest
from pipeline.cache.layout import DOCUMENTS, STATS_TABLES, Cache, Sidecar
from pipeline.cache.lists import ParsedInOrder
from pipeline.cache.read import read_documents_of, read_row_groups, read_words
from pipeline.cache.schema import BONDS, PIECES, PIECES_WITH_BONDS, STATS, WORDS
from pipeline.cache.tables import bonds_table, sentences, words_table
from pipeline.cache.whole import whole_rows
from pipeline.cache.write import ShardWriter
from pipeline.controls import controlled_bonds
from pipeline.corpus import Document
from pipeline.counts import ShardCounts
from pipeline.errors import Failure
from pipeline.ingest import documents_made_from
from pipeline.parsers import Parser
from pipeline.pieces import Tokenizer
from pipeline.records import KINDS, Words, concatenate_words, no_words

STAGES = ("words", "bonds", "pieces")
"""Stages that work on one shard at a time."""

PARSE_CHARACTERS = 400_000
"""Text parsed at once: about 80,000 words, which is also a row group of the words layer. It bounds memory."""

BLOCKS = ("pipeline/cache/blocks.py", "pipeline/cache/lists.py", "pipeline/cache/whole.py", "pipeline/pieces.py")
"""What makes pieces, but for the tools that have digests of their own."""

PIECE_CHARACTERS = 1_000_000
"""Text in a row group of the pieces layer: about a quarter of a million pieces, which take 140 MB on the way."""

BLAMELESS = (MemoryError, OSError, ImportError, Failure)
"""Errors that no document is to blame for: a missing table must not quarantine a corpus."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What one call of a stage did."""

    stage: str
    shard: int
    reused: bool
    begun: float
    """Seconds since 1970."""
    ended: float
    processor: float
    """Seconds of processor time that the call took: the same on a busy machine."""
    counts: dict[str, int] = field(default_factory=dict)
    """As in the sidecar."""


class _Clock:
    """Runs from its making; `done` writes the report."""

    def __init__(self, stage: str, shard: int) -> None:
        self.stage, self.shard, self.begun, self.processor = stage, shard, time(), process_time()

    def done(self, counts: dict[str, int], *, reused: bool = False) -> Done:
        processor = process_time() - self.processor
        times = {"begun": self.begun, "ended": time(), "processor": processor}
        return Done(stage=self.stage, shard=self.shard, reused=reused, counts=counts, **times)


def made_from(cache: Cache, shard: int, stage: str, layers: Mapping[str, str]) -> dict[str, str]:
    """Digests of what a shard is made from; layers: path of each layer by name.

    Errors: ValueError if the input is not there, or damaged.
    """
    documents = cache.valid(DOCUMENTS, shard, documents_made_from())
    if documents is None:
        raise ValueError(f"shard {shard} of the documents in {cache.folder} is missing or damaged; ingest them first")
    inputs = {"documents": documents.sha256}
    if stage == "bonds":
        words = cache.valid(layers["words"], shard, inputs)
        if words is None:
            raise ValueError(f"shard {shard} of {layers['words']} is missing or damaged; parse it first")
        inputs |= {"words": words.sha256, "counts": source_digest("pipeline/counts.py")}
    if stage == "pieces":
        inputs |= {"blocks": source_digest(*BLOCKS)}
        if bonded := bonded_layers(layers["pieces"]):
            bonds = cache.valid(bonded["bonds"], shard, made_from(cache, shard, "bonds", bonded))
            if bonds is None:
                raise ValueError(f"shard {shard} of {bonded['bonds']} is missing or damaged; make the bonds first")
            inputs |= {"bonds": bonds.sha256}
    return inputs


def bonded_layers(pieces: str) -> dict[str, str]:
    """Paths of the words and bonds that a layer of pieces has lists of, as its name says; nothing where it has none."""
    digests = dict(part.split("=", 1) for part in pieces.rpartition("/")[2].split(","))
    if "bonds" not in digests:
        return {}
    words, rules = digests["words"], digests["bonds"]
    return {"words": f"words/parser={words}", "bonds": f"bonds/words={words},rules={rules}"}


def made(cache: Cache, shard: int, stage: str, layers: Mapping[str, str]) -> Sidecar | None:
    """The sidecar of a stage's shard if it is there, whole and made from the present inputs; else None."""
    try:
        inputs = made_from(cache, shard, stage, layers)
    except ValueError:
        return None
    there = [cache.valid(path, shard, inputs) for path in outputs(stage, layers)]
    return there[0] if all(there) else None


def outputs(stage: str, layers: Mapping[str, str]) -> list[str]:
    """Paths of the layers that a stage writes, its own first."""
    tables = [f"{layers['stats']}/{table}" for table in STATS_TABLES] if stage == "bonds" else []
    return [layers[stage], *tables]


def parse_shard(cache: Cache, shard: int, layers: Mapping[str, str], parser: Parser) -> Done:
    """Parse the documents of a shard into words with features."""
    clock = _Clock("words", shard)
    if there := made(cache, shard, "words", layers):
        return clock.done(there.counts, reused=True)
    inputs = made_from(cache, shard, "words", layers)
    with ShardWriter(cache, layers["words"], shard, WORDS, inputs) as out:
        out.counts = {"documents": 0, "sentences": 0, "words": 0}
        for batch in batches(read_documents_of(cache, shard), PARSE_CHARACTERS):
            words, failed = parse_batch(parser, batch)
            out.write(words_table(annotate(words)))
            out.quarantined.update(failed)
            out.count(documents=len(batch) - len(failed), sentences=len(sentences(words)[0]), words=len(words))
    return clock.done(out.counts)


def bond_shard(cache: Cache, shard: int, layers: Mapping[str, str], config: BondConfig) -> Done:
    """Bonds of a shard of words, and what is counted of them while they are at hand."""
    clock = _Clock("bonds", shard)
    if there := made(cache, shard, "bonds", layers):
        return clock.done(there.counts, reused=True)
    inputs = made_from(cache, shard, "bonds", layers)
    counts = ShardCounts()
    with ShardWriter(cache, layers["bonds"], shard, BONDS, inputs) as out:
        for words in read_words(cache, shard, layers["words"]):
            bonds = controlled_bonds(words, config)
            out.write(bonds_table(words, bonds))
            counts.add(words, bonds)
        out.count(bonds=int(counts.kinds.sum()), **dict(zip(KINDS, counts.kinds.tolist(), strict=True)))
    parsed = cache.sidecar(layers["words"], shard)
    rows = (row for group in read_row_groups(cache, DOCUMENTS, shard) for row in group.drop("text").to_pylist())
    for name, table in counts.tables(rows, parsed.quarantined if parsed else {}).items():
        with ShardWriter(cache, f"{layers['stats']}/{name}", shard, STATS[name], inputs) as stats:
            stats.write(table)
    return clock.done(out.counts)


def piece_shard(
    cache: Cache, shard: int, layers: Mapping[str, str], tokenizer: Tokenizer, annotator: Annotator
) -> Done:
    """Cut the documents of a shard into pieces with attributes, and bonds if the layer's name says so; a row a block.

    With an annotator in its name the layer is for causal models: attributes and bonds are what law 1 allows.
    """
    clock = _Clock("pieces", shard)
    if there := made(cache, shard, "pieces", layers):
        return clock.done(there.counts, reused=True)
    inputs = made_from(cache, shard, "pieces", layers)
    rows_of, schema = _rows_of(cache, shard, layers["pieces"], tokenizer, annotator)
    with ShardWriter(cache, layers["pieces"], shard, schema, inputs) as out:
        out.counts = {"documents": 0, "pieces": 0}
        for batch in batches(read_documents_of(cache, shard), PIECE_CHARACTERS):
            table, failed = blocks_table(batch, rows_of, schema)
            out.write(table)
            out.quarantined.update(failed)
            pieces = len(table["pieces"].combine_chunks().flatten())
            out.count(documents=len(batch) - len(failed), pieces=pieces)
    return clock.done(out.counts)


def _rows_of(
    cache: Cache, shard: int, layer: str, tokenizer: Tokenizer, annotator: Annotator
) -> tuple[RowsOf, pa.Schema]:
    """How a document of the shard becomes rows of the layer, for documents in their order, and the rows' schema."""
    bonded, causal = bonded_layers(layer), "annotator=" in layer
    if not bonded:
        return lambda document: causal_rows(document, tokenizer, annotator), PIECES
    parsed = ParsedInOrder(cache, shard, bonded["words"], bonded["bonds"], causal=causal)
    if causal:
        return lambda each: causal_rows(each, tokenizer, annotator, parsed.of(each.id).lists), PIECES_WITH_BONDS
    return lambda each: whole_rows(each, tokenizer, parsed.of(each.id)), PIECES_WITH_BONDS


def parse_batch(parser: Parser, batch: Sequence[Document]) -> tuple[Words, dict[str, str]]:
    """Words of the documents, and reason by id for those that failed.

    Where the parser fails as a whole, each document is tried alone, so that none takes others with it.
    Errors: Failure if the parser does not account for every document.
    """
    try:
        words, failed = parser.parse(batch)
    except BLAMELESS:
        raise
    except Exception as error:
        if len(batch) == 1:
            return no_words(), {batch[0].id: f"{type(error).__name__}: {error}"}
        alone = [parse_batch(parser, [document]) for document in batch]
        reasons = {name: reason for _, told in alone for name, reason in told.items()}
        return concatenate_words([each for each, _ in alone]), reasons
    if sorted([*words.documents, *failed]) != sorted(document.id for document in batch):
        lost = sorted({document.id for document in batch} - {*words.documents, *failed})
        raise Failure(f"parser {parser.name} gave neither words nor a reason for {lost[:3]}; do not trust it")
    return words, failed


def batches(documents: Iterator[Document], characters: int) -> Iterator[list[Document]]:
    """Documents in their order, a batch closed by the one that fills it: the cuts depend on the documents alone."""
    batch: list[Document] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document.text)
        if size >= characters:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
