"""Settings of Linformer's attention."""

from dataclasses import dataclass

from model.config.checks import at_least_one


@dataclass(frozen=True, slots=True, kw_only=True)
class LinformerConfig:
    """What `linformer` is made with."""

    slots: int = 256
    """Keys that the keys of a sequence are projected to (k in Wang et al. 2020), and values likewise."""
    length: int = 0
    """Pieces of the longest sequence: the projections have a column for each; 0: `context` of the model."""

    def __post_init__(self) -> None:
        at_least_one("slots", self.slots)
        if self.length < 0:
            raise ValueError(f"length is {self.length}; give the pieces of the longest sequence, or 0")
