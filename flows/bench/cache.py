"""What a cache costs on disk, how fast it answers, and how fast it is read to train.

A mix of the corpora, a document from that which has given the fewest words so far, is preprocessed by one worker, first
an eighth of it, then all. Measured are:
    bytes_per_word_without_text   all Parquet files of the cache by its words, but for the column with the documents'
                                  text; `bytes_per_word` says it of every layer
    peak_memory_mb                the largest resident set of any process of preprocessing, for both sizes: flat, if
                                  they are alike
    slowest_query_seconds         the named queries of `valency stats`, with opening the cache and comparing its files
                                  with their sidecars; median of three
    slowest_join_seconds          JOINS, as `valency sql --megabytes 8192` runs a user's query: a locked child process,
                                  with its start
    reader_pieces_per_second      one core, one process: batches as tensors with attributes, lists of keys and block
                                  lists of all kinds, of 16,384 pieces each, in the order of training, by processor
                                  time; the lesser of two lengths. Beside it the rate without block lists

A cache that is kept (--cache) is not made again: then only the last three are measured anew, and what its making took
is read from the note beside it.

    valency bench cache --words 10000000 --cache bench-cache --json data/results/cache.json
"""

import json
import re
import resource
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath
from statistics import median
from time import perf_counter, process_time
from typing import Any

import pyarrow.parquet as pq

from flows.bench.alone import alone
from flows.preprocess import PreprocessSettings, preprocess
from pipeline.bonds import BondConfig
from pipeline.bonds.modes import mode_config
from pipeline.cache.digest import source_digest
from pipeline.cache.layout import DOCUMENTS, Cache
from pipeline.cache.verify import forget_hashes
from pipeline.corpus import Document, read_documents
from pipeline.plan import PIECE_BONDS
from pipeline.sql import Limits, RefusedError, run_select
from pipeline.stats import QUERIES, named_query

CORPORA = ("wikitext-2", "lra/imdb", "gutenberg")
"""Folders under VALENCY_DATA."""
LENGTHS = (1_024, 16_384)
PIECES_READ = 4_000_000
"""Of each length, if the cache has as many."""
WORD = re.compile(r"\w+(?:[-'’]\w+)*|[^\w\s]+")
"""What counts as a word before there is a parse."""
LONGEST = 200_000
"""Characters of a document; a longer one is cut. A document is in memory as a whole, so that else the longest book of
each size would be measured, not the size."""
JOIN_MEGABYTES = 8_192
"""Memory of a join's process (`valency sql --megabytes`): joining all bonds to the words of both ends holds 10,000,000
words twice, which is more than the 2,048 MB that a query has by itself."""
NOTE = "bench.json"
"""Beside a kept cache's layers: what its making took."""
PLACES = "places"
"""In the note alone: where the corpora lay, since others may have the same names."""

ENDS = """FROM bond
          JOIN words q ON q.document = bond.document AND q.index = bond.query
          JOIN words k ON k.document = bond.document AND k.index = bond.key"""
JOINS = {
    "tag pairs": f"""
        SELECT q.upos AS query, k.upos AS key, count(*) AS bonds {ENDS}
        GROUP BY ALL ORDER BY bonds DESC, 1, 2 LIMIT 20""",
    "antecedents": f"""
        SELECT q.lemma AS pronoun, k.lemma AS antecedent, count(*) AS bonds {ENDS}
        WHERE kind = 'binding' GROUP BY ALL ORDER BY bonds DESC, 1, 2 LIMIT 20""",
    "words with most bonds": """
        SELECT words.lemma, words.upos, count(*) AS bonds
        FROM bond JOIN words ON words.document = bond.document AND words.index = bond.query
        GROUP BY ALL ORDER BY bonds DESC, 1, 2 LIMIT 20""",
    "kinds by source": """
        SELECT documents.source, bond.kind, count(*) AS bonds FROM bond JOIN documents ON documents.id = bond.document
        GROUP BY ALL ORDER BY bonds DESC, 1, 2 LIMIT 20""",
}
"""Ad hoc joins over bonds, by what they ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchCache:
    """Settings of the benchmark."""

    words: int = 10_000_000
    """About how much of the corpora to use."""
    parser: str = "prefix"
    piece_bonds: str = "whole"
    """As `valency preprocess --piece-bonds`; causal: then the bonds are of mode causal."""
    shards: int = 16

    def __post_init__(self) -> None:
        if self.piece_bonds not in PIECE_BONDS:
            raise ValueError(f"piece_bonds is {self.piece_bonds!r}; give {', '.join(PIECE_BONDS)}")

    def preprocess(self) -> PreprocessSettings:
        bonds = mode_config("causal") if self.piece_bonds == "causal" else BondConfig()
        return PreprocessSettings(
            parser=self.parser, shards=self.shards, workers=1, bonds=bonds, piece_bonds=self.piece_bonds
        )


def bench_cache(
    corpora: Sequence[str | Path], settings: BenchCache | None = None, cache: str | Path | None = None
) -> dict[str, Any]:
    """All of it. cache: a folder to keep the cache in, or one that was kept; none: it is made and forgotten.

    Errors: ValueError if there is nothing to read; Failure if preprocessing fails.
    """
    settings = settings or BenchCache()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(cache) if cache else Path(scratch) / "cache"
        code = source_digest("pipeline", "lexicons", "flows")
        names, places = [name_of(each) for each in corpora], [_place(each) for each in corpora]
        told = {"settings": asdict(settings), "corpora": names, PLACES: places, "code": code}
        if not (folder / NOTE).is_file():
            if (folder / "cache.json").exists():
                raise ValueError(f"{folder} was not made to its end by this bench; remove it, or name another folder")
            made = told | _make(corpora, settings, Path(scratch), folder)
            (folder / NOTE).write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
        made = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        if (said := {name: made.get(name) for name in told}) != told:
            raise ValueError(f"{folder} was made with {said}, not {told}; remove it, or name another folder")
        del made[PLACES]  # where they lie says nothing to others
        return {**made, **sizes(folder), **answers(folder), **joins(folder), **reading(folder)}


def name_of(corpus: str | Path) -> str:
    """Of a corpus: that of its file or folder, or the last part of its address."""
    return PurePosixPath(_place(corpus)).name


def _place(corpus: str | Path) -> str:
    """Absolute, unless it is an address."""
    return str(corpus) if "://" in str(corpus) else str(Path(corpus).resolve())


def _make(corpora: Sequence[str | Path], settings: BenchCache, scratch: Path, folder: Path) -> dict[str, Any]:
    """Preprocess an eighth, then all; what it took."""
    memory, seconds = {}, 0.0
    for name, words, place in (("eighth", settings.words // 8, scratch / "small"), ("all", settings.words, folder)):
        text = scratch / f"{name}.jsonl"
        _write(mixed(corpora, words), text)
        summary, seconds, largest = alone(preprocess_alone, (text, place, settings.preprocess()))
        memory[name] = {"words": summary["words"], "peak_mb": largest}
    return {
        "parser": settings.parser,
        "piece_bonds": settings.piece_bonds,
        **{name: summary[name] for name in ("documents", "quarantined", "sentences", "words", "bonds", "pieces")},
        "bonds_per_word": round(summary["bonds"] / summary["words"], 3),
        "preprocess_seconds": round(seconds, 1),
        "preprocess_words_per_second": round(summary["words_per_second"]),
        "peak_memory_mb": memory,
    }


def mixed(corpora: Sequence[str | Path], limit: int) -> Iterator[Document]:
    """Documents of all corpora, each from that which has given the fewest words, until there are enough."""
    streams = {str(each): (doc for doc in read_documents([each]) if isinstance(doc, Document)) for each in corpora}
    given = dict.fromkeys(streams, 0)
    while streams and sum(given.values()) < limit:
        name = min(streams, key=lambda name: given[name])
        document = next(streams[name], None)
        if document is None:
            del streams[name]
            continue
        given[name] += len(WORD.findall(document.text))
        yield from _parts(document)


def _parts(document: Document) -> Iterator[Document]:
    """The document, or parts of it that end at a line's end where they can."""
    text, part = document.text, 0
    while len(text) > LONGEST:
        cut = text.rfind("\n", LONGEST // 2, LONGEST) + 1 or LONGEST
        yield replace(document, id=f"{document.id}/{part}", text=text[:cut])
        text, part = text[cut:], part + 1
    if text.strip():
        yield replace(document, id=f"{document.id}/{part}" if part else document.id, text=text)


def _write(documents: Iterator[Document], file: Path) -> None:
    with file.open("w", encoding="utf-8") as out:
        for document in documents:
            out.write(json.dumps({"id": document.id, "text": document.text}) + "\n")


def preprocess_alone(given: tuple[Path, Path, PreprocessSettings]) -> tuple[dict[str, Any], float, int]:
    """Preprocess a text into a cache, in a process of its own: summary, seconds, and the largest process in MB."""
    text, cache, settings = given
    began = perf_counter()
    summary = preprocess([text], cache, settings)
    seconds = perf_counter() - began
    names = ("documents", "quarantined", "sentences", "words", "bonds", "pieces", "words_per_second")
    kilobytes = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {name: getattr(summary, name) for name in names}, seconds, kilobytes // 1024


def sizes(folder: Path) -> dict[str, Any]:
    """Bytes a word of the current layers, the documents' text left out."""
    cache = Cache.open(folder)
    rows = {row["layer"]: row["bytes"] for row in named_query(folder, "bytes").to_pylist()}
    words = sum(sidecar.counts["words"] for _, sidecar in cache.sidecars(cache.layer("words")) if sidecar)
    text = 0
    for file in cache.files(DOCUMENTS):
        about = pq.read_metadata(file)
        for group in map(about.row_group, range(about.num_row_groups)):
            columns = map(group.column, range(group.num_columns))
            text += sum(column.total_compressed_size for column in columns if column.path_in_schema == "text")
    rows["documents"] -= text
    return {
        "bytes_per_word_without_text": round(sum(rows.values()) / words, 3),
        "bytes_per_word": {
            **{name: round(size / words, 3) for name, size in rows.items()},
            "text": round(text / words, 3),
        },
    }


def answers(folder: Path) -> dict[str, Any]:
    """Seconds of every named query."""
    seconds = {}
    for name in QUERIES:
        named_query(folder, name)  # the files are in memory
        seconds[name] = round(median(_seconds(lambda name=name: _first_query(folder, name)) for _ in range(3)), 3)
    return {"slowest_query_seconds": max(seconds.values()), "query_seconds": seconds}


def _first_query(folder: Path, name: str) -> None:
    """As a new process asks: it compares the files with their sidecars first."""
    forget_hashes()
    named_query(folder, name)


def joins(folder: Path) -> dict[str, Any]:
    """Seconds of every join; null, with the reason, where one is stopped."""
    seconds: dict[str, float] = {}
    refused: dict[str, str] = {}
    limits = Limits(seconds=120, megabytes=JOIN_MEGABYTES)
    for name, query in JOINS.items():
        try:
            seconds[name] = round(_seconds(lambda query=query: run_select(folder, query, limits)), 2)
        except RefusedError as error:
            refused[name] = str(error)
    slowest = None if refused else max(seconds.values())
    return {
        "slowest_join_seconds": slowest,
        "join_seconds": seconds,
        "join_megabytes": JOIN_MEGABYTES,
        "joins_stopped": refused,
    }


def _seconds(call: Any) -> float:
    began = perf_counter()
    call()
    return perf_counter() - began


def reading(folder: Path) -> dict[str, Any]:
    """Pieces a second of one core, at each length."""
    import torch

    from model.reader.loader import Loader
    from model.reader.sequences import Sequences
    from pipeline.records import KINDS

    torch.set_num_threads(1)
    began = perf_counter()
    Sequences(folder, length=1)  # makes the mapped copy
    copied = perf_counter() - began
    found = {}
    for length in LENGTHS:
        sequences = Sequences(folder, length=length)
        rows = max(1, LENGTHS[-1] // length)
        rates = {}
        for name, kinds in (("pieces_per_second", ()), ("with_blocks", KINDS)):
            batches = iter(Loader(sequences, rows=rows, block_kinds=kinds))
            next(batches)
            began, pieces, keys = process_time(), 0, 0
            for batch in islice(batches, PIECES_READ // (rows * length)):
                pieces, keys = pieces + batch.ids.numel(), keys + len(batch.key)
            rates[name] = round(pieces / (process_time() - began))
        found[str(length)] = {**rates, "keys_per_piece": round(keys / pieces, 2)}
    return {
        "reader_pieces_per_second": min(each["with_blocks"] for each in found.values()),
        "reader": found,
        "mapped_copy_seconds": round(copied, 2),
    }
