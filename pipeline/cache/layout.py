"""Where a cache keeps what: a folder of layers, each a folder of Parquet shards with a sidecar beside every shard.

    cache.json                      format, number of shards, what made each layer, which layers are the current ones
    <layer>/shard-00000.parquet     the rows
    <layer>/shard-00000.json        the sidecar: rows, bytes, sha256, and the digests of what the shard was made from

A shard counts as made once its sidecar is there and agrees with it; the sidecar is written last. Only the process
that holds the writer's lock writes cache.json.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pipeline.cache.digest import sha256_of
from pipeline.errors import Failure

FORMAT = 2
DOCUMENTS = "documents"
STATS_TABLES = ("documents", "sentences", "counts")
MOST_SHARDS = 100_000
"""As many as five digits count; a number beyond it in cache.json is damage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """What is known of a shard without opening it."""

    rows: int
    bytes: int
    sha256: str
    made_from: dict[str, str]
    """Digests of the inputs by name; other digests mean that the shard is out of date."""
    counts: dict[str, int] = field(default_factory=dict)
    """What the stage counted: documents, words, sentences, bonds by kind …"""
    quarantined: dict[str, str] = field(default_factory=dict)
    """Reason by document id, for documents that this stage could not read."""

    def __post_init__(self) -> None:
        numbers = [self.rows, self.bytes, *_values(self.counts)]
        strings = [self.sha256, *_values(self.made_from), *_values(self.quarantined)]
        if not all(type(each) is int and each >= 0 for each in numbers) or not all(type(s) is str for s in strings):
            raise ValueError("a sidecar holds numbers of rows and bytes, digests, counts and reasons")


@dataclass(frozen=True, slots=True)
class Cache:
    """A cache on disk. Holds no open file and travels between processes."""

    folder: Path
    shards: int

    @classmethod
    def create(cls, folder: str | Path, shards: int = 16) -> "Cache":
        """Open a cache, or make an empty one.

        Errors: ValueError if the cache has another number of shards, or if the folder holds something else.
        """
        folder = Path(folder).absolute()
        if (folder / "cache.json").exists():
            cache = cls.open(folder)
            if cache.shards != shards:
                raise ValueError(
                    f"{folder} has {cache.shards} shards, not {shards}; a cache keeps its number of shards: "
                    f"ask for {cache.shards}, or name another folder"
                )
            return cache
        if not 1 <= shards < MOST_SHARDS:
            raise ValueError(f"a cache cannot have {shards} shards; ask for 1 to {MOST_SHARDS - 1:,}")
        if folder.is_dir() and any(not entry.name.startswith(".") for entry in folder.iterdir()):
            raise ValueError(f"{folder} is not empty and holds no cache.json; name an empty or a new folder")
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "cache.json", {"format": FORMAT, "shards": shards, "current": {}, "layers": {}})
        return cls(folder, shards)

    @classmethod
    def open(cls, folder: str | Path) -> "Cache":
        """Open a cache that is there. Errors: ValueError if it is none, Failure if cache.json cannot be read."""
        folder = Path(folder).absolute()
        if not (folder / "cache.json").is_file():
            raise ValueError(f"{folder} is no cache: it has no cache.json; `valency preprocess --cache` makes one")
        said = read_json(folder / "cache.json")
        shards = said.get("shards") if said else None
        if said is None or type(shards) is not int or not 1 <= shards < MOST_SHARDS:
            raise _damaged(folder)
        if said.get("format") != FORMAT:
            raise ValueError(
                f"{folder} has format {said.get('format')!r:.50}, this program reads {FORMAT}; make it again"
            )
        return cls(folder, shards)

    def layers(self) -> dict[str, dict[str, object]]:
        """What made each layer, by the layer's path."""
        layers = {path: dict(made) for path, made in self._said("layers").items() if isinstance(made, dict)}
        if not all(map(_is_inside, layers)):
            raise _damaged(self.folder)
        return layers

    def current(self) -> dict[str, str]:
        """Path of the last made layer of each name: documents, words, bonds, stats, pieces."""
        said = self._said("current")
        current = {name: path for name, path in said.items() if isinstance(path, str) and _is_of(name, path)}
        if len(current) < len(said) or not _goes_together(current):
            raise _damaged(self.folder)
        return current

    def layer(self, name: str) -> str:
        """Path of the current layer of a name. Errors: ValueError if there is none yet."""
        current = self.current()
        if name not in current:
            has = ", ".join(current) or "none"
            raise ValueError(f"{self.folder} has no layer {name!r} (it has: {has}); run `valency preprocess` on it")
        return current[name]

    def register(self, layers: Mapping[str, tuple[str, Mapping[str, object]]]) -> None:
        """Enter layers, (path, what makes it) by name, and make them the current ones. For the coordinator alone."""
        said = {"format": FORMAT, "shards": self.shards}
        current = self.current() | {name: path for name, (path, _) in layers.items()}
        made = self.layers() | {path: dict(by) for path, by in layers.values()}
        content = {**said, "current": current, "layers": dict(sorted(made.items()))}
        if content != read_json(self.folder / "cache.json"):
            write_json(self.folder / "cache.json", content)

    def file(self, layer: str, shard: int) -> Path:
        return self.folder / layer / f"shard-{shard:05d}.parquet"

    def files(self, layer: str) -> list[Path]:
        """The Parquet files of a layer, in the order of shards."""
        return [self.file(layer, shard) for shard in range(self.shards)]

    def sidecar(self, layer: str, shard: int) -> Sidecar | None:
        """What the sidecar says; None if there is none, or none that can be read."""
        said = read_json(self.file(layer, shard).with_suffix(".json"))
        try:
            return None if said is None else Sidecar(**said)  # type: ignore[arg-type]
        except (TypeError, ValueError):  # other fields or values than ours: somebody else's file, or a torn one
            return None

    def valid(self, layer: str, shard: int, made_from: Mapping[str, str]) -> Sidecar | None:
        """The sidecar, if the shard is whole and made from just these inputs; else None.

        The hash is computed only for a file that was touched after its sidecar was written; `Cache.verify` always does.
        """
        sidecar, file = self.sidecar(layer, shard), self.file(layer, shard)
        if sidecar is None or sidecar.made_from != dict(made_from):
            return None
        try:
            seen, noted = file.stat(), file.with_suffix(".json").stat()
        except FileNotFoundError:
            return None
        if seen.st_size != sidecar.bytes:
            return None
        touched = seen.st_mtime_ns > noted.st_mtime_ns
        return None if touched and sha256_of(file) != sidecar.sha256 else sidecar

    def sidecars(self, layer: str) -> Iterator[tuple[int, Sidecar | None]]:
        return ((shard, self.sidecar(layer, shard)) for shard in range(self.shards))

    def layer_bytes(self, layer: str) -> int:
        """Size of a layer's Parquet files."""
        return sum(sidecar.bytes for _, sidecar in self.sidecars(layer) if sidecar)

    def parquet_layers(self) -> list[str]:
        """Paths of all layers that hold shards, the current ones and older ones, sorted."""
        paths, current = [], set(self.current().values())  # of these none may be missing
        for path in self.layers():
            tables = [f"{path}/{table}" for table in STATS_TABLES] if path.startswith("stats/") else [path]
            paths += [table for table in tables if path in current or (self.folder / table).is_dir()]
        return sorted(paths)

    def _said(self, name: str) -> dict[str, object]:
        said = (read_json(self.folder / "cache.json") or {}).get(name)
        if not isinstance(said, dict):
            raise _damaged(self.folder)
        return said


def _damaged(folder: Path) -> Failure:
    return Failure(f"{folder / 'cache.json'} is damaged; remove the folder and run preprocess again")


def _is_inside(path: str) -> bool:
    """Whether a layer's path is one of ours: it names a place in the cache, and nothing above or beside it."""
    parts = path.split("/")
    return "\0" not in path and all(part not in ("", ".", "..") for part in parts) and len(path) < 1_000


def _is_of(name: str, path: str) -> bool:
    """Whether the path is that of a layer of this name: `documents`, or `words/parser=…`."""
    settings = path.removeprefix(f"{name}/")
    return _is_inside(path) and (path == name == DOCUMENTS or (settings != path and "/" not in settings))


def _goes_together(current: Mapping[str, str]) -> bool:
    """Bonds are made of words, and registered with their statistics."""
    return ("bonds" in current) == ("stats" in current) and ("bonds" not in current or "words" in current)


def _values(said: object) -> list[object]:
    """The values of an object of JSON; None, which is no value, where it is none."""
    return [*said.values()] if isinstance(said, dict) else [None]


def write_sidecar(file: Path, sidecar: Sidecar) -> None:
    """Note a shard that is in its place."""
    write_json(file.with_suffix(".json"), asdict(sidecar))


def read_json(file: Path) -> dict[str, object] | None:
    """A JSON object; None if the file is missing, torn, or no file."""
    try:
        said = json.loads(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def write_json(file: Path, said: Mapping[str, object]) -> None:
    beside = temporary(file)
    beside.write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    beside.replace(file)


def temporary(file: Path) -> Path:
    """A name beside a file that no other process uses, and that no reader takes for a shard."""
    return file.with_name(f".{file.name}.{os.getpid()}.tmp")
