"""Hostile documents through `valency preprocess`: nothing breaks, and every document is accounted for.

A case is a batch of documents of all kinds (flows.bench.faults.hostile), in files and lines, one of them huge. The
command must end well; the cache must hold each document once, as `ok` or quarantined with a reason, as its kind
demands; words, bonds and pieces must lie within their documents; and every shard must be what its sidecar says.
"""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np

from flows.bench.faults.commands import Bench, Row, valency
from flows.bench.faults.hostile import HUGE, KINDS
from pipeline.cache.layout import Cache
from pipeline.cache.read import read_bonds, read_documents_of, read_row_groups, read_words
from pipeline.cache.verify import verify
from pipeline.errors import Failure

BATCH = 2_500

Expected = dict[str, tuple[str, bool | None]]
"""Kind, and whether it must be readable, by document id."""


def documents_cases(bench: Bench) -> int:
    return -(-bench.counts["documents"] // BATCH)


def documents_case(bench: Bench, number: int) -> Row:
    folder = bench.case_folder("documents", number)
    shutil.rmtree(folder, ignore_errors=True)
    count = min(BATCH, bench.counts["documents"] - number * BATCH)
    expected = write_hostile(folder / "corpus", count, number, bench.draw("documents", number))
    cache = folder / "cache"
    ended = valency(bench.preprocess(cache, corpora=[str(folder / "corpus")], workers=1))
    if ended.code:
        faults, found = [f"preprocess ended with {ended.code}: {ended.said[-500:]}"], dict[str, str]()
    else:
        found = statuses(Cache.open(cache))
        faults = [*faults_of(found, expected), *faults_within(Cache.open(cache))]
    if not faults:
        shutil.rmtree(folder)
    return {
        "passed": not faults,
        "outcome": "reconciled" if not faults else "FAULTS",
        "counts": dict(Counter("quarantined" if reason else "ok" for reason in found.values())),
        "documents": count,
        "faults": faults[:20],
    }


def write_hostile(folder: Path, count: int, number: int | None, draw: Random) -> Expected:
    """So many documents into files of the folder: kinds in turn, and first the huge one of this number, if any."""
    folder.mkdir(parents=True)
    makers = [*KINDS.items()]
    expected: Expected = {}
    lines: list[bytes] = []
    for place in range(count):
        huge = number is not None and place == 0
        kind, make = [*HUGE.items()][(number or 0) % len(HUGE)] if huge else makers[place % len(makers)]
        made = make(draw)
        if made.ending == ".jsonl":
            expected[f"corpus/lines.jsonl#{len(lines)}"] = (kind, made.readable)
            lines.append(made.content)
        else:
            name = f"{place:05d}{made.ending}"
            (folder / name).write_bytes(made.content)
            inside = "#0" if made.ending == ".conllu" else ""
            expected[f"corpus/{name}{inside}"] = (kind, made.readable)
    (folder / "lines.jsonl").write_bytes(b"\n".join(lines))
    return expected


def statuses(cache: Cache) -> dict[str, str]:
    """The reason of quarantine, empty for what is ok, by document id. Errors: Failure if one stands twice."""
    layer = f"{cache.layer('stats')}/documents"
    groups = (group for shard in range(cache.shards) for group in read_row_groups(cache, layer, shard))
    rows = (row for group in groups for row in group.to_pylist())
    found: dict[str, str] = {}
    for row in rows:
        if row["document"] in found:
            raise Failure(f"{row['document']} stands twice in the statistics")
        found[row["document"]] = row["reason"] if row["status"] != "ok" else ""
    return found


def faults_of(found: dict[str, str], expected: Expected) -> Iterator[str]:
    """Where the cache's documents are not those that were written, or not as their kind demands."""
    if found.keys() != expected.keys():
        yield f"lost {sorted(expected.keys() - found.keys())[:5]}, made up {sorted(found.keys() - expected.keys())[:5]}"
    for name, reason in found.items():
        kind, readable = expected.get(name, ("unknown", None))
        if readable is not None and readable == bool(reason):
            yield f"{name} ({kind}): {json.dumps(reason) if reason else 'was taken for a text'}"


def faults_within(cache: Cache) -> Iterator[str]:
    """Where a layer is damaged, or words, bonds and pieces do not lie within their documents."""
    yield from map(str, verify(cache))
    for shard in range(cache.shards):
        length = {document.id: len(document.text) for document in read_documents_of(cache, shard)}
        for words, bonds in zip(read_words(cache, shard), read_bonds(cache, shard), strict=True):
            ends = np.array([length.get(name, -1) for name in words.documents], np.int64)[words.document]
            if not ((words.start >= 0) & (words.start < words.end) & (words.end <= ends)).all():
                yield f"shard {shard}: a word lies outside its document"
            if not (words.document[bonds.query] == words.document[bonds.key]).all():
                yield f"shard {shard}: a bond joins two documents"
        for group in read_row_groups(cache, cache.layer("pieces"), shard, ["document", "start", "pieces"]):
            if not set(group["document"].to_pylist()) <= length.keys():
                yield f"shard {shard}: pieces of a document that is none"
