"""One training job as settings: how long, on what, by which rule, what is written down and when."""

from dataclasses import dataclass, replace
from math import ceil, inf

from model.config.checks import at_least_one, nearest

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "64-true")
"""What Fabric computes in: weights and all in 32 bits; products in bfloat16, or in float16 with a scaled loss, over
32-bit weights; all in 64 bits."""
OPTIMIZERS = ("adamw", "muon")
SCHEDULES = ("cosine", "wsd")
LOGGERS = ("tensorboard", "mlflow", "wandb", "none")
COMPILED = ("none", "parts", "whole")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """One training job over one cache."""

    steps: int = 1000
    """How long to train, unless `epochs`, `tokens` or `seconds` say so."""
    epochs: float = 0.0
    """Times to go through the training documents; 0: not counted."""
    tokens: int = 0
    """Pieces to read, by all processes together; 0: not counted."""
    seconds: float = 0.0
    """Time in training steps (evaluation and checkpoints left out); the schedule then follows the clock, so that such a
    run can be resumed but not repeated bit by bit. 0: not counted."""
    rows: int = 8
    """Rows of a batch, in each process."""
    accumulate: int = 1
    """Batches whose gradients are added up to one step."""
    length: int = 256
    """Pieces of a row; also the longest context in evaluation."""
    optimizer: str = "adamw"
    """One of OPTIMIZERS; `muon` moves the matrices of the layers, AdamW all the rest."""
    learning_rate: float = 2e-3
    """At its highest, after warm-up."""
    schedule: str = "cosine"
    """One of SCHEDULES, after warm-up: half a cosine, or `wsd`, which stays and then decays (Hu et al. 2024)."""
    warmup: int = 50
    """Steps in which the learning rate rises from 0."""
    decay: float = 0.2
    """Of `wsd`: the last part of the job, in which the rate falls."""
    final_fraction: float = 0.1
    """The learning rate at the last step, as a part of the highest."""
    weight_decay: float = 0.1
    """AdamW's, on matrices alone: embeddings and norms have none."""
    beta1: float = 0.9
    beta2: float = 0.95
    clip: float = 1.0
    """Largest norm of the gradient."""
    ema: float = 0.0
    """Decay of the moving average of the weights, which is evaluated and saved beside them; 0: none is kept."""
    scaffold: tuple[float, ...] = ()
    """Two parts of the job, as in [0.5, 0.8]: until the first the views hold, from there to the second they open, and
    after it every head is dense and tags are gone: no annotator is needed (model.scaffold). []: views stay."""
    precision: str = "32-true"
    checkpoint_layers: bool = False
    """Whether layers are computed again in the backward pass instead of being remembered: less memory, more time."""
    compile: str = "none"
    """One of COMPILED: what torch.compile is given; `parts` leaves attention out, `whole` is all with its loss."""
    seed: int = 0
    """Of the first weights, of dropout, and of the order of the data."""
    logger: str = "tensorboard"
    """One of LOGGERS; the curve is written in any case."""
    log_every: int = 10
    """Steps between two lines of the curve."""
    evaluate_every: int = 200
    """Steps between two measurements on the validation split; the last step always has one."""
    evaluate_pieces: int = 16384
    """Pieces of the validation split that such a measurement reads at most; the final one reads all."""
    checkpoint_every: int = 200
    keep_checkpoints: int = 2
    keep_best: bool = True
    """Whether the weights of the best measurement on the validation split are kept, apart from the checkpoints."""

    def __post_init__(self) -> None:
        counts = ("steps", "rows", "length", "log_every", "evaluate_every", "evaluate_pieces", "checkpoint_every")
        for name in (*counts, "keep_checkpoints", "accumulate"):
            at_least_one(name, getattr(self, name))
        if not (0 < self.learning_rate < inf and 0 < self.clip < inf):  # not <= 0: TOML has nan
            raise ValueError(f"learning_rate {self.learning_rate} and clip {self.clip} must be above 0")
        budgets = {name: getattr(self, name) for name in ("epochs", "tokens", "seconds")}
        for name, value in budgets.items():
            if not 0 <= value < inf:
                raise ValueError(f"{name} is {value}; give how many, or 0 to leave it out")
        if sum(value > 0 for value in budgets.values()) > 1:
            raise ValueError(
                f"{' and '.join(name for name in budgets if budgets[name])} are given; one budget is enough"
            )
        if self.warmup < 0 or (not any(budgets.values()) and self.warmup > self.steps):
            raise ValueError(f"warmup is {self.warmup}; give 0 to {self.steps}, the number of steps")
        known = {"precision": PRECISIONS, "optimizer": OPTIMIZERS, "schedule": SCHEDULES, "logger": LOGGERS}
        for name, names in {**known, "compile": COMPILED}.items():
            if getattr(self, name) not in names:
                raise ValueError(f"{name} is {getattr(self, name)!r}; {nearest(getattr(self, name), names)}")
        fractions = {name: getattr(self, name) for name in ("final_fraction", "beta1", "beta2", "weight_decay")}
        for name, value in fractions.items():
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is {value}; give a number from 0 to 1")
        if not 0 < self.decay <= 1:
            raise ValueError(f"decay is {self.decay}; give the part of the job in which the rate falls, above 0 to 1")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema is {self.ema}; give a decay from 0 (none) to below 1, as 0.999")
        if self.scaffold and not (len(self.scaffold) == 2 and 0 <= self.scaffold[0] <= self.scaffold[1] <= 1):
            raise ValueError(f"scaffold is {list(self.scaffold)}; give two parts of the job, as [0.5, 0.8], or []")

    def pieces_a_step(self, world: int) -> int:
        """Places that all processes together read for one step."""
        return self.rows * self.length * self.accumulate * world


def settled(config: TrainConfig, *, rows: int, world: int = 1) -> TrainConfig:
    """The settings with the steps that their budget comes to; a budget of seconds leaves them alone.

    rows: rows of one epoch. world: processes. Warm-up is cut to the steps.
    """
    if config.epochs:
        steps = ceil(config.epochs * rows / (config.rows * config.accumulate * world))
    elif config.tokens:
        steps = ceil(config.tokens / config.pieces_a_step(world))
    else:
        return config
    steps = max(1, steps)
    return replace(config, steps=steps, warmup=min(config.warmup, steps))
