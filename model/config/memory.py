"""What the mechanism `memory` is set to."""

from dataclasses import dataclass

from model.config.checks import at_least_one, nearest

KINDS = ("linear", "kept", "pooled")
"""What is remembered of finished segments (model.attention.memory): sums of keys with their values, some of the keys
and values themselves, and summaries of neighbours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryConfig:
    """Attention within segments, and a memory of bounded size of all segments before."""

    kinds: tuple[str, ...] = KINDS
    """One or several of KINDS."""
    segment: int = 512
    """Pieces of a segment, counted from where a sequence begins."""
    slots: int = 256
    """Of `kept`: keys and values that a head keeps."""
    bits: int = 32
    """Of `kept`: bits of the hash by which it is decided which go."""
    pool: int = 16
    """Of `pooled`: neighbouring pieces that become one summary; a segment has a whole number of them."""
    summaries: int = 256
    """Of `pooled`: how many are remembered, the latest."""
    delta: bool = True
    """Of `linear`: whether a key's value is written as what differs from what the memory says already."""
    checkpoint: bool = True
    """Whether a backward pass computes a segment again instead of finding all that it made in memory; rows of one
    segment never are."""

    def __post_init__(self) -> None:
        for name in ("segment", "slots", "bits", "pool", "summaries"):
            at_least_one(name, getattr(self, name))
        if not self.kinds:
            raise ValueError(f"kinds is empty; name one or several of {', '.join(KINDS)}")
        for kind in self.kinds:
            if kind not in KINDS:
                raise ValueError(f"kinds holds {kind!r}; {nearest(kind, KINDS)}")
        if "pooled" in self.kinds and self.segment % self.pool:
            raise ValueError(f"segment is {self.segment}; give a multiple of pool, which is {self.pool}")
