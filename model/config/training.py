"""One training job as settings: steps, data, schedule, what is written down and when."""

from dataclasses import dataclass
from math import inf

from model.config.checks import at_least_one, nearest

PRECISIONS = ("32-true", "bf16-mixed", "64-true")
"""What Fabric computes in: weights and all in 32 bits; products in bfloat16 over 32-bit weights; all in 64 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """One training job over one cache."""

    steps: int = 1000
    rows: int = 8
    """Rows of a batch."""
    length: int = 256
    """Pieces of a row; also the longest context in evaluation."""
    learning_rate: float = 2e-3
    """At its highest, after warm-up."""
    warmup: int = 50
    """Steps in which the learning rate rises from 0."""
    final_fraction: float = 0.1
    """The learning rate at the last step, as a part of the highest; a cosine leads there."""
    weight_decay: float = 0.1
    """AdamW's, on matrices alone: embeddings and norms have none."""
    beta1: float = 0.9
    beta2: float = 0.95
    clip: float = 1.0
    """Largest norm of the gradient."""
    precision: str = "32-true"
    seed: int = 0
    """Of the first weights, of dropout, and of the order of the data."""
    log_every: int = 10
    """Steps between two lines of the curve."""
    evaluate_every: int = 200
    """Steps between two measurements on the validation split; the last step always has one."""
    evaluate_pieces: int = 16384
    """Pieces of the validation split that such a measurement reads at most; the final one reads all."""
    checkpoint_every: int = 200
    keep_checkpoints: int = 2

    def __post_init__(self) -> None:
        counts = ("steps", "rows", "length", "log_every", "evaluate_every", "evaluate_pieces", "checkpoint_every")
        for name in (*counts, "keep_checkpoints"):
            at_least_one(name, getattr(self, name))
        if not (0 < self.learning_rate < inf and 0 < self.clip < inf):  # not <= 0: TOML has nan
            raise ValueError(f"learning_rate {self.learning_rate} and clip {self.clip} must be above 0")
        if not 0 <= self.warmup <= self.steps:
            raise ValueError(f"warmup is {self.warmup}; give 0 to {self.steps}, the number of steps")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision is {self.precision!r}; {nearest(self.precision, PRECISIONS)}")
        fractions = {name: getattr(self, name) for name in ("final_fraction", "beta1", "beta2", "weight_decay")}
        for name, value in fractions.items():
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is {value}; give a number from 0 to 1")
