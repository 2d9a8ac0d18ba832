"""Settings of Performer's attention."""

from dataclasses import dataclass
from math import ceil, log

from model.config.checks import at_least_one
from model.config.linear import LinearConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformerConfig:
    """What `performer` is made with."""

    dimension: int = 0
    """Random features of a head; 0: D ln D for heads D wide, as Choromanski et al. 2021 (theorem 4) have it."""
    chunk: int = 64
    """Pieces whose pairs are computed at once; values do not depend on it."""
    seed: int = 0
    """Of the random projections; each layer has its own."""

    def __post_init__(self) -> None:
        at_least_one("chunk", self.chunk)
        if self.dimension < 0 or self.seed < 0:
            raise ValueError(f"dimension is {self.dimension} and seed {self.seed}; give at least 0")

    def linear(self, width: int) -> LinearConfig:
        """The same as settings of linear attention, for heads of a width."""
        dimension = self.dimension or ceil(width * log(width))
        return LinearConfig(
            features="favor", dimension=max(1, dimension), threshold=0, chunk=self.chunk, seed=self.seed
        )
