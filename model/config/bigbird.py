"""Settings of BigBird's pattern."""

from dataclasses import dataclass

from model.config.checks import at_least_one


@dataclass(frozen=True, slots=True, kw_only=True)
class BigBirdConfig:
    """What `bigbird` is made with; the defaults are those of Zaheer et al. 2020 (table 8) in its internal form."""

    block: int = 64
    """Pieces of a block; blocks count from the beginning of a sequence."""
    reach: int = 96
    """Keys near by: the query itself and those before it (and after it, where order is no matter). 96 both ways are
    the three blocks of 64 of the paper, counted from the piece instead of the block."""
    first: int = 64
    """First pieces of a sequence, which all see; where order is no matter, they see all as well."""
    random: int = 3
    """Blocks drawn for each block of queries: of those before it, or of all where order is no matter."""
    seed: int = 0
    """Of the draw, which knows the layer and the block's number, and nothing of the text."""

    def __post_init__(self) -> None:
        at_least_one("block", self.block)
        at_least_one("reach", self.reach)
        for name in ("first", "random", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; give at least 0")
