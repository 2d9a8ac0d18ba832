"""What a mechanism has to say of one call: the same few lines for all of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """What a call of a layer has to say of itself; empty where a mechanism does not know."""

    views: tuple[str, ...] = ()
    """Of each head: its view, or the name of its mechanism."""
    density: tuple[float, ...] = ()
    """Of each head: of the pairs that order and documents allow, the part that is read."""
    cost: tuple[str, ...] = ()
    """Of each head: `linear` or `quadratic`, how its pairs may grow with the number of pieces."""
    path: tuple[str, ...] = ()
    """Of each head: how it was computed; `twin` is a dense mask through torch's own attention."""
    shares: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Where a gate mixes: the share of each part by its name, a number a head, mean over pieces; they add up to 1."""
    parts: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Where a gate mixes: the density of each part by its name, a number a head."""
    weights: Tensor | None = None
    """[B,H,N,N], where asked for."""

    def sparse_ratio(self) -> float:
        """The part of all allowed pairs, of all heads, that is not read. Errors: ValueError where that is unknown."""
        if not self.density:
            raise ValueError("this mechanism does not count the pairs that it reads")
        return 1 - sum(self.density) / len(self.density)
