"""Law 4, rows reconcile: every input document is in every layer, or quarantined with a reason.

Counted from the sidecars alone: no shard is opened.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.cache.layout import DOCUMENTS, Cache, Sidecar
from pipeline.errors import Failure
from pipeline.records import KINDS
from pipeline.stages import outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a cache holds."""

    documents: int
    """Read, quarantined ones included."""
    quarantined: int
    sentences: int
    words: int
    bonds_by_kind: dict[str, int]
    pieces: int
    bytes_by_layer: dict[str, int]

    @property
    def bonds(self) -> int:
        return sum(self.bonds_by_kind.values())

    def rows(self) -> list[dict[str, object]]:
        """A table of two columns, for a page."""
        counts = {name: getattr(self, name) for name in ("documents", "quarantined", "sentences", "words", "pieces")}
        bonds = {f"{kind} bonds": number for kind, number in self.bonds_by_kind.items() if number}
        sizes = {f"bytes of {layer}": size for layer, size in self.bytes_by_layer.items()}
        return [{"what": name, "count": number} for name, number in {**counts, **bonds, **sizes}.items()]


def account_of(cache: Cache, layers: Mapping[str, str]) -> Account:
    """Count what the layers (paths by name) hold. Errors: Failure if a shard is missing, or if rows do not add up."""
    counts: Counter[str] = Counter()
    quarantined = 0
    for shard in range(cache.shards):
        documents = _sidecar(cache, DOCUMENTS, shard)
        counts.update(documents.counts)
        failed: set[str] = set()
        for name in ("words", "pieces"):
            if name in layers:
                made = _sidecar(cache, layers[name], shard)
                _reconcile(documents, made, name, shard)
                counts.update({key: number for key, number in made.counts.items() if key != "documents"})
                failed |= made.quarantined.keys()
        if "bonds" in layers:
            counts.update(_sidecar(cache, layers["bonds"], shard).counts)
        quarantined += documents.counts["documents"] - documents.counts["ok"] + len(failed)
    paths = {name: outputs(name, layers) for name in layers if name != "stats"}
    if "bonds" in paths:
        paths["bonds"], paths["stats"] = paths["bonds"][:1], paths["bonds"][1:]
    return Account(
        documents=counts["documents"],
        quarantined=quarantined,
        sentences=counts["sentences"],
        words=counts["words"],
        bonds_by_kind={kind: counts[kind] for kind in KINDS},
        pieces=counts["pieces"],
        bytes_by_layer={name: sum(map(cache.layer_bytes, each)) for name, each in paths.items()},
    )


def _sidecar(cache: Cache, layer: str, shard: int) -> Sidecar:
    sidecar = cache.sidecar(layer, shard)
    if sidecar is None:
        raise Failure(f"{layer} lacks shard {shard}; run `valency preprocess` again")
    return sidecar


def _reconcile(documents: Sidecar, made: Sidecar, name: str, shard: int) -> None:
    readable, there, failed = documents.counts["ok"], made.counts["documents"], len(made.quarantined)
    if there + failed != readable:
        raise Failure(
            f"shard {shard}: {readable} readable documents went in, {there} came out as {name} and {failed} are "
            "quarantined; the rows do not add up, do not use this cache"
        )
