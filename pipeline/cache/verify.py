"""Is a cache what its sidecars say? Every byte is read and hashed; damage is named, and given up for remaking."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pipeline.cache.digest import sha256_of
from pipeline.cache.layout import Cache
from pipeline.errors import Failure


@dataclass(frozen=True, slots=True)
class Damage:
    """A shard that is not what it should be."""

    layer: str
    shard: int
    reason: str

    def __str__(self) -> str:
        return f"{self.layer}/shard-{self.shard:05d}: {self.reason}"


def verify(cache: Cache, *, discard: bool = False) -> list[Damage]:
    """Damaged shards of all layers, sorted by layer and shard; none means that the cache is whole.

    discard: remove the sidecars of damaged shards, so that the next preprocessing makes these, and only these, again.
    """
    found = [damage for layer in cache.parquet_layers() for damage in damage_of_layer(cache, layer)]
    if discard:
        for damage in found:
            cache.file(damage.layer, damage.shard).with_suffix(".json").unlink(missing_ok=True)
    return found


def sound(cache: Cache, layer: str, shard: int) -> Path:
    """The shard's file, to be read: its bytes are compared with the sidecar first, once a process and state.

    Hashing takes a tenth of the time that decoding does, and no decoder of damaged files is safe from all of them.
    A file without a readable sidecar is let pass: readers look at its columns in any case.
    Errors: Failure if the shard is missing, or is not what its sidecar says.
    """
    file, sidecar = cache.file(layer, shard), cache.sidecar(layer, shard)
    try:
        seen = file.stat()
        same = sidecar is None or (
            seen.st_size == sidecar.bytes
            and _hashed(file, seen.st_ino, seen.st_mtime_ns, seen.st_ctime_ns) == sidecar.sha256
        )
    except FileNotFoundError:
        raise Failure(f"{file} is missing; {MEND.format(cache.folder)}") from None
    except OSError as error:
        raise Failure(f"{file} cannot be read ({error.strerror}); {MEND.format(cache.folder)}") from error
    if not same:
        raise Failure(f"{file} is damaged: it is not what its sidecar says; {MEND.format(cache.folder)}")
    return file


MEND = "run `valency repair {}`"


@lru_cache(maxsize=4096)
def _hashed(file: Path, inode: int, modified: int, changed: int) -> str:
    return sha256_of(file)


def damage_of_layer(cache: Cache, layer: str) -> list[Damage]:
    """Damaged shards of one layer."""
    reasons = ((shard, _reason(cache, layer, shard)) for shard in range(cache.shards))
    return [Damage(layer, shard, reason) for shard, reason in reasons if reason]


def _reason(cache: Cache, layer: str, shard: int) -> str | None:
    file, sidecar = cache.file(layer, shard), cache.sidecar(layer, shard)
    if sidecar is None:
        return "no readable sidecar" if file.exists() else "missing"
    if not file.exists():
        return "the sidecar is there, the rows are missing"
    if not file.is_file():
        return "is no file"
    if file.stat().st_size != sidecar.bytes:
        return f"{file.stat().st_size} bytes instead of {sidecar.bytes}"
    return "its bytes have changed" if sha256_of(file) != sidecar.sha256 else None


def forget_hashes() -> None:
    """As if the process were new: `sound` reads every file again."""
    _hashed.cache_clear()
