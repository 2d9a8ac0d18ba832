"""Settings of the mechanism `hash`."""

from dataclasses import dataclass
from math import inf

from model.config.checks import at_least_one


@dataclass(frozen=True, slots=True, kw_only=True)
class HashConfig:
    """Attention inside buckets of a locality-sensitive hash (Kitaev et al. 2020, Reformer), with learned rotations."""

    rounds: int = 2
    """Hashes that look for keys like the query: what one misses another may find."""
    dissimilar: int = 0
    """Hashes that look for keys unlike the query, in the bucket of its opposite; they score by unlikeness."""
    buckets: int = 64
    """Of each hash, an even number. It does not grow with the text: nothing may depend on how long that will be."""
    keys: int = 64
    """Keys that a query reads of its bucket in each round: the latest so many; where a model sees ahead, so many before
    and so many after."""
    local: int = 64
    """Latest pieces that each query reads besides, itself among them; where a model sees ahead, to both sides."""
    balance: float = 0.01
    """Weight of the loss that keeps buckets evenly filled (Fedus et al. 2022, equation 4); 0: there is none."""

    def __post_init__(self) -> None:
        for name in ("rounds", "keys", "local"):
            at_least_one(f"hash.{name}", getattr(self, name))
        if self.dissimilar < 0:
            raise ValueError(f"hash.dissimilar is {self.dissimilar}; give a number of hashes, or 0")
        if self.buckets < 2 or self.buckets % 2:
            raise ValueError(f"hash.buckets is {self.buckets}; buckets lie opposite each other: give an even number")
        if not 0 <= self.balance < inf:
            raise ValueError(f"hash.balance is {self.balance}; give a weight of at least 0")
