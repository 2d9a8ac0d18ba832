"""Settings of the sparse patterns: `local`, `strided`, `random`, `clustered`, `hierarchical`; `adaptive` mixes them."""

from dataclasses import dataclass

from model.config.checks import at_least_one, nearest

PATTERNS = ("local", "strided", "random", "clustered", "hierarchical")
"""What `adaptive` may mix; each is a mechanism of its own as well."""

GATES = ("token", "head")


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternsConfig:
    """One table for the family: what two of them have in common is said once, and `adaptive` reads all of it."""

    window: int = 64
    """Of `local`: pieces that a query sees, itself among them; without order, so many to either side."""
    strides: tuple[int, ...] = (1, 4, 16, 64)
    """Of `strided`: steps between keys, in pieces, shared out among the heads in order (Beltagy et al. 2020, 3.1)."""
    keys: int = 32
    """Of a query, beside those of its own block: pieces of `strided` and `clustered` (itself among them), pieces drawn
    by `random`, blocks of each scale of `hierarchical`. Without order, `strided`, `clustered` and `hierarchical` see
    so many to either side."""
    block: int = 32
    """Of `random`: neighbours that see each other and share the keys drawn (Zaheer et al. 2020), in pieces."""
    clusters: int = 16
    """Of `clustered`: learnt centroids a head (Roy et al. 2021)."""
    scales: tuple[int, ...] = (16, 64)
    """Of `hierarchical`: pieces of a block that is summed up in one key, rising, each a multiple of the one before."""
    patterns: tuple[str, ...] = PATTERNS
    """Of `adaptive`: names in PATTERNS."""
    gate: str = "token"
    """Of `adaptive`, one of GATES: shares that each head reads off each piece, or that each head has once for all."""
    seed: int = 0
    """Of `random`: another number draws other keys."""

    def __post_init__(self) -> None:
        for name in ("window", "keys", "block", "clusters"):
            at_least_one(name, getattr(self, name))
        if not self.strides or min(self.strides) < 1:
            raise ValueError(f"strides is {self.strides}; give steps of at least 1 piece, as in [1, 4, 16, 64]")
        rising = all(high > low and high % low == 0 for low, high in zip(self.scales, self.scales[1:], strict=False))
        if not self.scales or min(self.scales) < 2 or not rising:
            raise ValueError(
                f"scales is {self.scales}; give blocks of at least 2 pieces, each a multiple of the one before, "
                "as in [16, 64]"
            )
        for pattern in self.patterns:
            if pattern not in PATTERNS:
                raise ValueError(f"patterns holds {pattern!r}; {nearest(pattern, PATTERNS)}")
        if not self.patterns or len(set(self.patterns)) < len(self.patterns):
            raise ValueError(f"patterns is {self.patterns}; name at least one, none twice, of {', '.join(PATTERNS)}")
        if self.gate not in GATES:
            raise ValueError(f"gate is {self.gate!r}; {nearest(self.gate, GATES)}")
        if not 0 <= self.seed < 1 << 32:
            raise ValueError(f"seed is {self.seed}; give a number from 0 to {(1 << 32) - 1}")
