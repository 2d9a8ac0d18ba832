"""Is a cache what its sidecars say? Every byte is read and hashed; damage is named, and given up for remaking."""

from dataclasses import dataclass

from pipeline.cache.digest import sha256_of
from pipeline.cache.layout import Cache


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
    found = [damage for layer in cache.parquet_layers() for damage in _damage_of_layer(cache, layer)]
    if discard:
        for damage in found:
            cache.file(damage.layer, damage.shard).with_suffix(".json").unlink(missing_ok=True)
    return found


def _damage_of_layer(cache: Cache, layer: str) -> list[Damage]:
    reasons = ((shard, _reason(cache, layer, shard)) for shard in range(cache.shards))
    return [Damage(layer, shard, reason) for shard, reason in reasons if reason]


def _reason(cache: Cache, layer: str, shard: int) -> str | None:
    file, sidecar = cache.file(layer, shard), cache.sidecar(layer, shard)
    if sidecar is None:
        return "no readable sidecar" if file.exists() else "missing"
    if not file.exists():
        return "the sidecar is there, the rows are missing"
    if file.stat().st_size != sidecar.bytes:
        return f"{file.stat().st_size} bytes instead of {sidecar.bytes}"
    return "its bytes have changed" if sha256_of(file) != sidecar.sha256 else None
