"""Every number that the teacher depends on, in one place."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherConfig:
    """Sizes, rates and time. A stage ends after its steps or its seconds, whichever come first; so does its schedule.

    The sizes suit one H200 for eight minutes: 42 million weights, about 0.23 GFLOP a piece in pretraining, so that at
    240 TFLOP/s (30% of what its matrix units measure) 200 seconds read 200 million pieces, ten times 14 million words.
    """

    # the encoder
    width: int = 512
    layers: int = 10
    heads: int = 8
    hidden: int = 1344
    """Width of the gated feed-forward part; 8/3 of `width`, to a multiple of 64."""
    context: int = 256
    """Pieces of a window; a single longer sentence gets a longer one."""

    # masked language model
    pretrain_seconds: float = 200.0
    pretrain_steps: int = 100_000
    pretrain_windows: int = 160
    """Windows of `context` pieces a step."""
    mask_share: float = 0.3
    """Wettig et al. 2023: a large share serves smaller encoders as well as 15%, and teaches twice as many pieces."""
    matrix_rate: float = 0.01
    """Muon's learning rate, for the matrices of the layers."""
    other_rate: float = 0.002
    """AdamW's, for embeddings and gains."""
    pretrain_decay: float = 0.01
    cool_share: float = 0.4
    """The last part of pretraining, in which the rate falls to 0."""

    # fine-tuning
    members: int = 3
    finetune_seconds: float = 60.0
    """Of each member."""
    finetune_epochs: int = 25
    finetune_windows: int = 32
    finetune_rates: tuple[float, ...] = (1e-4, 2e-4, 3e-4)
    """Top layer's learning rate of the members in turn: what suits can only be told by dev."""
    head_rate: float = 1e-3
    layer_decay: float = 0.85
    """A layer learns at so much of the rate of the layer above it."""
    dropout: float = 0.1
    head_dropout: float = 0.33
    word_dropout: float = 0.05
    """Share of words that fine-tuning hides behind the mask piece."""
    average: float = 0.995
    """Decay of the running average of the weights that is kept."""
    wiki_share: float = 0.25
    """Share of treebank documents dressed as WikiText in an epoch."""
    flow_share: float = 0.5
    """Share of documents an epoch cuts anywhere, as running text is cut when sentences are not known yet."""
    arc_width: int = 512
    relation_width: int = 128
    class_width: int = 256

    # annotation
    annotate_windows: int = 256
    stretches: int | None = None
    """Only so many stretches are annotated, to try the way; such labels are good for nothing else."""
    lag: float = 1.0
    """A member more than so many points of dev LAS behind the best has no say."""

    seed: int = 0
    compile: bool = False
    """`torch.compile` for pretraining: a slow start, then faster steps."""

    def __post_init__(self) -> None:
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} does not divide into {self.heads} heads of even width")
        for name in ("layers", "context", "pretrain_windows", "members", "finetune_windows", "annotate_windows"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give 1 or more")
        if not self.finetune_rates:
            raise ValueError("finetune_rates is empty; give a learning rate at least")


def trial(**changes: object) -> TeacherConfig:
    """A teacher of full size that learns for seconds: does all go on this machine, and how fast?"""
    short: dict[str, object] = {"pretrain_steps": 200, "finetune_epochs": 1, "members": 1, "stretches": 50}
    return TeacherConfig(**(short | changes))  # type: ignore[arg-type]


def tiny(**changes: object) -> TeacherConfig:
    """A teacher for tests: seconds on one core."""
    small: dict[str, object] = {
        "width": 48, "layers": 2, "heads": 2, "hidden": 64, "context": 64, "pretrain_windows": 8, "pretrain_steps": 20,
        "members": 2, "finetune_windows": 8, "finetune_epochs": 2, "arc_width": 32, "relation_width": 16,
        "class_width": 32, "annotate_windows": 8, "average": 0.9, "lag": 100.0,
    }  # fmt: skip
    return TeacherConfig(**(small | changes))  # type: ignore[arg-type]
