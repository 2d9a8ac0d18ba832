"""The process that reads mutated files, and may die of it: limited in memory, told which cases to do, a line each.

stdin: one line of JSON {cache, recipes, scratch, seed, first, last}. stdout: `number outcome` a case, with JSON of what
went wrong where something did. A case is well if all that reads the file reads it, or refuses it by a message of ours:
a ValueError or Failure that a `raise` in our own code made.
"""

import hashlib
import json
import linecache
import os
import resource
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from flows.bench.faults.mutate import mutation_of
from model.columns import read_layer
from model.config import load_recipe
from pipeline.accounts import account_of
from pipeline.cache.layout import STATS_TABLES, Cache
from pipeline.cache.read import read_bonds, read_documents_of, read_row_groups, read_words
from pipeline.cache.verify import _hashed, damage_of_layer, verify
from pipeline.errors import Failure
from pipeline.pieces import Tokenizer
from pipeline.prefix import PrefixAnnotator
from pipeline.queries import QUERIES
from pipeline.sql import RefusedError
from pipeline.stages import STAGES, made
from pipeline.stats import LAYERS, named_query, open_cache

ROOT = str(Path(__file__).resolve().parents[3])
MEMORY = 6 << 30
"""Bytes of address space: torch and pyarrow reserve two without using them."""

WEIGHTS = {".parquet": 56, "sidecar": 12, "cache.json": 10, ".toml": 20, "tokenizer": 1, ".safetensors": 1}
"""Of a hundred cases, how many take a file of each sort."""


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    asked = json.loads(sys.stdin.readline())
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    fuzz = Fuzz(Path(asked["cache"]), Path(asked["recipes"]), Path(asked["scratch"]))
    for number in range(asked["first"], asked["last"]):
        outcome, told = fuzz.case(Random(f"{asked['seed']} fuzz {number}"))
        out.write(f"{number} {outcome} {json.dumps(told) if outcome in WRONG else ''}\n")


WRONG = ("traceback", "silent")
"""Outcomes that must not be, besides a crash and a hang, which the parent sees."""


class Fuzz:
    """A copy of a cache whose files are mutated one after another, and put right again."""

    def __init__(self, cache: Path, recipes: Path, scratch: Path) -> None:
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.copytree(cache, scratch / "cache", ignore=shutil.ignore_patterns(".prefect", ".lock"))
        shutil.copytree(recipes, scratch / "recipes")
        self.folder = scratch / "cache"
        self.whole = {file: file.read_bytes() for file in sorted(scratch.rglob("*")) if file.is_file()}
        self.sorts: dict[str, list[Path]] = {sort: [] for sort in WEIGHTS}
        for file in self.whole:
            sort = {"tokenizers": "tokenizer"}.get(file.parent.name, file.suffix)
            sort = {".json": "cache.json" if file.parent == self.folder else "sidecar"}.get(sort, sort)
            self.sorts[sort].append(file)
        self.cache = Cache.open(self.folder)

    def case(self, draw: Random) -> tuple[str, dict[str, str]]:
        """What became of one mutated file: read, refused, traceback, silent; and which it was."""
        sort = draw.choices([*WEIGHTS], [*WEIGHTS.values()])[0]
        layer = draw.choice(LAYERS) if sort in (".parquet", "sidecar") else ""
        file = (
            draw.choice([file for file in self.sorts[sort] if layer in file.parts])
            if layer
            else draw.choice(self.sorts[sort])
        )
        name, mutate = mutation_of(draw, file.name)
        content = mutate(draw, self.whole[file])
        forged = file.suffix == ".parquet" and draw.random() < 0.6
        told = {"file": str(file.relative_to(self.folder.parent)), "mutation": name, "forged": str(forged)}
        touched = [file]
        _hashed.cache_clear()  # the clock of files ticks in milliseconds, within which a file may change again
        try:
            if file.suffix != ".toml" and draw.random() < 0.01:  # not a file at all
                told["mutation"] = "folder"
                file.unlink()
                file.mkdir()
            else:
                file.write_bytes(content)
            if forged:
                touched.append(self._forge(file, content))
            outcomes = [self._judge(read, told) for read in self._readers(draw, file, told)]
        finally:
            for each in touched:
                if each.is_dir():
                    each.rmdir()
                each.write_bytes(self.whole[each])
        for outcome in ("traceback", "silent", "refused"):
            if outcome in outcomes:
                return outcome, told
        if file.suffix == ".parquet" and not forged and content != self.whole[file]:
            return "silent", told
        return "read", told

    def _forge(self, file: Path, content: bytes) -> Path:
        """Let the sidecar vouch for the mutated bytes, so that readers have to look for themselves."""
        sidecar = file.with_suffix(".json")
        said = json.loads(self.whole[sidecar])
        said |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        sidecar.write_text(json.dumps(said))
        return sidecar

    def _readers(self, draw: Random, file: Path, told: dict[str, str]) -> Iterator[Callable[[], object]]:
        """All that reads such a file, or a part of it where all would take long."""
        if file.suffix == ".toml":
            yield lambda: load_recipe(str(file))
        elif file.parent.name == "tokenizers":
            yield lambda: Tokenizer.load(file)
        elif file.suffix == ".safetensors":
            (tokenizer,) = self.sorts["tokenizer"]
            pieces = self._tokenizer(tokenizer)
            yield lambda: PrefixAnnotator.load(file, pieces.piece_bytes, pieces.begin, pieces.end)
        else:
            yield lambda: self._verified(file, told)
            yield from self._readers_of(draw, file)

    def _readers_of(self, draw: Random, file: Path) -> Iterator[Callable[[], object]]:
        layer = file.relative_to(self.folder).parts[0]
        shard = int(file.stem[-5:]) if file.stem[-5:].isdecimal() else 0
        cache, every = self.cache, layer.endswith(".json")
        if every:
            yield lambda: account_of(Cache.open(self.folder), Cache.open(self.folder).current())
            yield lambda: self._made(shard)
        if layer == "documents" or every:
            yield lambda: [*read_documents_of(cache, shard)]
        if layer == "words" or every:
            yield lambda: [*read_words(cache, shard)]
        if layer == "bonds" or every:
            yield lambda: [*read_bonds(cache, shard)]
        if layer == "pieces" or every:
            yield lambda: read_layer(self.folder)
        if layer == "stats" or every:
            table = file.parent.name if layer == "stats" else draw.choice(STATS_TABLES)
            yield lambda: [*read_row_groups(cache, f"{cache.layer('stats')}/{table}", shard)]
        # DuckDB takes as long for a connection as all else for ten mutations.
        if draw.random() < (0.1 if layer == "stats" else 0.02):
            yield lambda: named_query(self.folder, draw.choice([*QUERIES]))
        if draw.random() < 0.01:
            yield lambda: open_cache(self.folder).close()

    def _verified(self, file: Path, told: dict[str, str]) -> None:
        """`repair` begins so; a shard that is not what its sidecar says must be among what it names."""
        place = str(file.relative_to(self.folder).with_suffix(""))
        within = (
            damage_of_layer(self.cache, str(Path(place).parent))
            if "shard-" in place
            else verify(Cache.open(self.folder))
        )
        named = [f"{each.layer}/shard-{each.shard:05d}" for each in within]
        if file.suffix == ".parquet" and told["forged"] == "False" and place not in named:
            changed = file.is_dir() or file.read_bytes() != self.whole[file]
            if changed:
                raise AssertionError(f"{place} is damaged, and was not named")

    def _made(self, shard: int) -> None:
        """What a run asks first: is this shard there, and made of the present inputs?"""
        current = Cache.open(self.folder).current()
        for stage in STAGES:
            if stage in current:
                made(self.cache, shard, stage, current)

    def _tokenizer(self, file: Path, kept: dict[Path, Tokenizer] = {}) -> Tokenizer:  # noqa: B006, kept on purpose
        return kept.setdefault(file, kept.get(file) or Tokenizer.load(file))

    def _judge(self, read: Callable[[], Any], told: dict[str, str]) -> str:
        try:
            read()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            if ours(error):
                return "refused"
            told["error"] = "".join(traceback.format_exception(error, limit=-6))[-2000:]
            return "traceback"
        return "read"


def ours(error: BaseException) -> bool:
    """Whether a `raise` of our own made it, as one of the errors that the command line says in a line."""
    if type(error) not in (ValueError, Failure, RefusedError) or not str(error).strip():
        return False
    frame = traceback.extract_tb(error.__traceback__)[-1]
    line = linecache.getline(frame.filename, frame.lineno or 0).strip()
    return frame.filename.startswith(ROOT) and line.startswith("raise ")


if __name__ == "__main__":
    main()
