"""Settings of the mechanism `latent`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentConfig:
    """Multi-head latent attention (DeepSeek-AI 2024, DeepSeek-V2, section 2.1); zeros are the paper's proportions."""

    rank: int = 0
    """Width of the latent that keys and values of a piece are made from; 0: four times a head's width."""
    rotary: int = 0
    """Width of the key that is turned with its place, one for all heads, even; 0: half a head's width, at least 2."""
    query_rank: int = 0
    """Width of the latent that queries are made from; 0: none, they are made from the piece itself. It saves weights
    and memory in training, and nothing of the cache."""

    def __post_init__(self) -> None:
        for name in ("rank", "rotary", "query_rank"):
            if getattr(self, name) < 0:
                raise ValueError(f"latent.{name} is {getattr(self, name)}; give a width, or 0")
        if self.rotary % 2:
            raise ValueError(f"latent.rotary is {self.rotary}; entries turn in pairs: give an even width, or 0")
