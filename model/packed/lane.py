"""A lane: one small model that trains beside others, its whole step captured as a GPU graph.

A small model's step is hundreds of kernels of a few microseconds, so the host, not the GPU, decides its speed. Here the
data, the schedule and the draws of dropout lie on the device, and a step is one launch. A lane trains one run after
another: what differs between like runs (weights, data, learning rate, decay, dropout) is copied into its buffers, so
that compiling and capturing are paid once a shape. On a CPU the same steps run one by one.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from model.config import ModelConfig, Recipe, TrainConfig
from model.objective import Objective
from model.optimizer import learning_rate, parted
from model.packed.corpus import ROWS, DeviceCorpus, read
from model.transformer import Decoder

WARM_UP_STEPS = 3
"""Steps before a capture, as PyTorch's notes on CUDA graphs ask for: libraries make their plans in them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneShape:
    """All that a captured step has built in; runs of one shape can share a lane."""

    model: ModelConfig
    """Its dropout is left out."""
    vocabulary: int
    rows: int
    length: int
    precision: str
    clip: float
    betas: tuple[float, float]
    pieces: int
    """Of the largest corpus."""
    steps: int
    """Of the longest run."""
    batches: int
    """Most batches of evaluation."""

    @classmethod
    def of(cls, recipe: Recipe, vocabulary: int, *, pieces: int, steps: int, batches: int) -> "LaneShape":
        train = recipe.train
        _refuse_what_lanes_lack(recipe)
        return cls(
            model=replace(recipe.model, dropout=0.0),
            vocabulary=vocabulary,
            rows=train.rows,
            length=train.length,
            precision=train.precision,
            clip=train.clip,
            betas=(train.beta1, train.beta2),
            pieces=pieces,
            steps=steps,
            batches=batches,
        )


def _refuse_what_lanes_lack(recipe: Recipe) -> None:
    """Errors: ValueError for settings of model.train that would be passed over in silence here."""
    train, plain = recipe.train, TrainConfig()
    names = ("optimizer", "accumulate", "ema", "scaffold", "epochs", "tokens", "seconds")
    lacking = [name for name in names if getattr(train, name) != getattr(plain, name)]
    lacking += ["base_dim"] if recipe.model.base_dim not in (0, recipe.model.dim) else []
    lacking += ["precision"] if train.precision == "16-mixed" else []
    if lacking:
        raise ValueError(f"recipe {recipe.name!r} sets {', '.join(lacking)}, which packed runs lack; use model.train")


class Lane:
    """Buffers, a model with its optimizer, and the two steps: of training and of evaluation."""

    def __init__(self, shape: LaneShape, device: torch.device) -> None:
        self.shape, self.device = shape, device
        self.stream: Any = torch.cuda.Stream() if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self.decoder = Decoder(shape.model, shape.vocabulary).to(device)
        self.objective = Objective(self.decoder, 0).to(device)
        self.objective.drops = True  # at a rate of 0 nothing is dropped
        matrices, others = parted(self.decoder)
        self.matrices: list[Tensor] = list(matrices)
        self.weights = [*matrices, *others]
        self.rate, self.kept = torch.zeros((), device=device), torch.ones((), device=device)
        """Learning rate of the step; what weight decay leaves of a matrix in it."""
        self.adam = torch.optim.AdamW(
            self.weights,
            lr=self.rate if self.stream else 0.0,
            betas=shape.betas,
            weight_decay=0.0,  # done by `self.kept`, which can change between runs
            fused=True,
            capturable=self.stream is not None,
        )

        def table(*size: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(size, dtype=dtype, device=device)

        self.pieces = table(len(ROWS), shape.pieces, dtype=torch.int32)
        self.sources = table(shape.steps, shape.rows, shape.length, dtype=torch.int32)
        self.rates, self.decays = table(shape.steps), table(shape.steps)
        self.held_out = table(shape.batches, shape.rows, shape.length, dtype=torch.int32)
        self.nats = table(shape.batches, shape.rows, dtype=torch.float64)
        """Of each row of `held_out`, by the latest evaluation."""
        # One entry each and not none: indexing by a tensor without dimensions waits for the device.
        self.step, self.batch = table(1, dtype=torch.int64), table(1, dtype=torch.int64)
        self.train_step: Callable[[], None] = self._train_step
        self.evaluation_step: Callable[[], None] = self._evaluation_step

    def load(self, recipe: Recipe, corpus: DeviceCorpus, sources: Tensor, held_out: Tensor) -> None:
        """Begin a run: first weights under its seed, as model.train draws them, and its data and settings.

        sources: int32 [S,B,N] of `training_sources`. held_out: int32 [batches,B,N] of `evaluation_sources`.
        """
        train, steps = recipe.train, recipe.train.steps
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(train.seed)
            first = Decoder(recipe.model, self.shape.vocabulary).state_dict()
        with torch.no_grad():
            for name, weight in self.decoder.state_dict().items():
                weight.copy_(first[name])
            for state in self.adam.state.values():
                for tensor in state.values():
                    tensor.zero_()
            rates = torch.tensor([learning_rate(step + 1, train) for step in range(steps)])
            self.rates[:steps] = rates.to(self.device)
            self.decays[:steps] = (1 - rates * train.weight_decay).to(self.device)
            self.pieces[:, : corpus.table.shape[1]] = corpus.table
            self.sources[:steps] = sources[:steps]
            self.held_out[: len(held_out)] = held_out
            self.objective.seed.fill_(train.seed)
            self.objective.rate.fill_(recipe.model.dropout)
            self.step.zero_()

    def _train_step(self) -> None:
        batch = read(self.pieces, self.sources[self.step][0])
        self.rate.copy_(self.rates[self.step][0])
        self.kept.copy_(self.decays[self.step][0])
        if self.stream is None:
            self.adam.param_groups[0]["lr"] = float(self.rate)
        with self._precision():
            loss, _ = self.objective(batch.ids, batch.context, batch.targets, self.step[0])
        loss.backward()
        nn.utils.clip_grad_norm_(self.weights, self.shape.clip, foreach=True)
        with torch.no_grad():
            torch._foreach_mul_(self.matrices, self.kept)  # decoupled decay comes before Adam's step
        self.adam.step()
        self.adam.zero_grad()
        self.step += 1

    @torch.no_grad()
    def _evaluation_step(self) -> None:
        batch = read(self.pieces, self.held_out[self.batch][0])
        with self._precision():
            hidden_BNM = self.decoder.hidden(batch.ids, batch.context)
            nats = self.objective.piece_nats(hidden_BNM, batch.targets, "none")
        self.nats[self.batch] = nats.view(batch.targets.shape).sum(1, dtype=torch.float64)[None]
        self.batch += 1

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.shape.precision == "bf16-mixed")

    def capture(self) -> None:
        """Compile and capture the two steps. A run must be loaded; load it again afterwards."""
        compile_parts(self.objective)
        with torch.cuda.stream(self.stream):
            for _ in range(WARM_UP_STEPS):
                self._train_step()
                self._evaluation_step()
            self.step.zero_()
            self.batch.zero_()
        self.stream.synchronize()
        self.train_step = self._captured(self._train_step)
        self.evaluation_step = self._captured(self._evaluation_step)

    def _captured(self, step: Callable[[], None]) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        # thread_local: other lanes may be at work meanwhile
        with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
            step()
        replay: Callable[[], None] = graph.replay
        return replay


def compile_parts(objective: Objective) -> None:
    """Fuse what lies between the attentions. Parts, not the whole: layers and lanes of one shape share the result."""
    objective.piece_nats = torch.compile(objective.piece_nats)  # type: ignore[method-assign]
    objective.decoder.norm.compile()
    for layer in objective.decoder.layers:
        layer.attention_norm.compile()
        layer.think = torch.compile(layer.think)  # type: ignore[method-assign]
        attention: Any = layer.attention
        attention.heads = torch.compile(attention.heads)
