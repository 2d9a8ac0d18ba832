"""One damaged shard, by a flipped byte or a cut-off end: is it found and named, and it alone made again?

A case a layer: `valency repair` must name just that shard, make it again to the same bytes and touch no other. Damaged
documents need the corpus: there repair must say so, end with 1, and `valency preprocess` must mend it.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from flows.bench.faults.commands import Bench, Row, current_layers, digests, finish, same, valency
from flows.bench.faults.kills import copy_of
from pipeline.cache.layout import DOCUMENTS, STATS_TABLES


def flipped_case(bench: Bench, number: int) -> Row:
    """One bit of one byte, and the file's times as before: as a bad disk would do it."""

    def flip(content: bytes, place: int) -> bytes:
        return content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :]

    return _case(bench, "flipped", number, flip)


def truncated_case(bench: Bench, number: int) -> Row:
    """The file ends at a random byte."""
    return _case(bench, "truncated", number, lambda content, place: content[:place])


def damage_cases(bench: Bench) -> int:
    return len(current_layers(bench.undisturbed))


def _case(bench: Bench, trial: str, number: int, hurt: Callable[[bytes, int], bytes]) -> Row:
    draw, cache = bench.draw(trial, number), copy_of(bench.undisturbed, bench.case_folder(trial, number))
    layers = current_layers(cache)
    layer, shard = layers[number % len(layers)], draw.randrange(bench.shards)
    file = cache / layer / f"shard-{shard:05d}.parquet"
    before, content = file.stat(), file.read_bytes()
    times = {each: each.stat().st_mtime_ns for each in cache.rglob("shard-*.parquet")}
    place = draw.randrange(len(content))
    file.write_bytes(hurt(content, place))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    repaired = valency(["repair", str(cache)])
    lines = [line for line in repaired.said.splitlines() if "shard-" in line]
    named = len(lines) == 1 and lines[0].startswith(f"{layer}/shard-{shard:05d}: ")
    mended = "made again" in repaired.said and repaired.code == 0
    if layer == DOCUMENTS:
        mended = repaired.code == 1 and "run `valency preprocess`" in repaired.said
        finish(bench.preprocess(cache))
    touched = {each for each, time in times.items() if each.stat().st_mtime_ns != time}
    alone = touched <= _made_with(cache, layer, shard)
    is_same = digests(cache) == digests(bench.undisturbed)
    passed = named and mended and alone and is_same
    if passed:
        shutil.rmtree(cache)
    told = {"layer": layer.split("/")[0], "shard": shard, "byte": place, "named": named, "mended": mended}
    return {"passed": passed, "outcome": same(is_same), **told, "it_alone": alone, "said": lines[:3]}


def _made_with(cache: Path, layer: str, shard: int) -> set[Path]:
    """The files that one stage makes of a shard: bonds and their statistics come together."""
    root, _, key = layer.partition("/")
    if root in ("stats", "bonds"):
        key = key.partition("/")[0]
        layers = [f"bonds/{key}", *(f"stats/{key}/{table}" for table in STATS_TABLES)]
    else:
        layers = [layer]
    return {cache / each / f"shard-{shard:05d}.parquet" for each in layers}
