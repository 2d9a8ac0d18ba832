"""Settings of the mechanism `compressed`."""

from dataclasses import dataclass

from model.config.checks import at_least_one


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressedConfig:
    """Near pieces one by one and far ones as summaries of blocks (Rae et al. 2020, Compressive Transformers; Yuan et
    al. 2025, Native Sparse Attention), each head at a ratio of its own."""

    ratios: tuple[int, ...] = (1, 2, 4)
    """Pieces of a block, shared out among the heads in order, as evenly as it goes; at 1 the head reads far pieces
    themselves."""
    window: int = 64
    """Latest pieces that every head reads as they are, the query's own among them; at least the largest ratio."""
    reach: int = 64
    """Summaries that a query reads, the latest before its window: a head at 1:4 sees back window + 4 * reach pieces.
    A bound, so that cost is linear."""

    def __post_init__(self) -> None:
        at_least_one("compressed.reach", self.reach)
        if not self.ratios or min(self.ratios) < 1:
            raise ValueError(
                f"compressed.ratios is {list(self.ratios)}; give blocks of at least 1 piece, as in [1, 2, 4]"
            )
        if self.window < max(self.ratios):
            raise ValueError(
                f"compressed.window is {self.window}; give at least the largest ratio, {max(self.ratios)}: a block is "
                "read only when it has ended, and no piece may fall between the blocks and the window"
            )
