"""Settings of linear attention, and its presets by name."""

from dataclasses import dataclass
from types import MappingProxyType

from model.config.checks import at_least_one, nearest

FEATURES = ("elu", "relu2", "favor", "learned")
"""The feature maps of model.attention.features."""
BACKENDS = ("torch", "fla")


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearConfig:
    """What `linear` is made with."""

    features: str = "elu"
    """One of FEATURES."""
    dimension: int = 64
    """Features of a piece, for each head. More cost more: O(N * dimension * width of a head)."""
    threshold: int = 256
    """A query that may see at most so many keys gets exact softmax attention: in causal order the first pieces of each
    sequence, otherwise all pieces of sequences that are no longer. 0: none does."""
    chunk: int = 64
    """Pieces whose pairs are computed at once; values do not depend on it."""
    seed: int = 0
    """Of projections that are drawn and not learnt; each layer has its own."""
    backend: str = "torch"
    """One of BACKENDS; `fla` is flash-linear-attention's kernels on a GPU, for causal order."""

    def __post_init__(self) -> None:
        at_least_one("dimension", self.dimension)
        at_least_one("chunk", self.chunk)
        if self.features not in FEATURES:
            raise ValueError(f"features is {self.features!r}; {nearest(self.features, FEATURES)}")
        if self.features == "learned" and self.dimension % 2:
            raise ValueError(f"dimension is {self.dimension}; learned features come in pairs, so give an even number")
        if self.threshold < 0 or self.seed < 0:
            raise ValueError(f"threshold is {self.threshold} and seed {self.seed}; give at least 0")
        if self.backend not in BACKENDS:
            raise ValueError(f"backend is {self.backend!r}; {nearest(self.backend, BACKENDS)}")
        if self.backend == "fla" and self.features == "favor":
            raise ValueError("flash-linear-attention does not scale keys as favor must; set backend to 'torch'")


LINEAR_PRESETS = MappingProxyType(
    {
        "extreme": LinearConfig(threshold=8, dimension=4),
        "standard": LinearConfig(threshold=256, dimension=64),
    }
)
"""Where speed is all that counts, and what is usual."""
