"""Runs of small models, packed side by side: each gets a lane, and the GPU works on as many at once as fit.

for done in train_packed(runs, vocabulary=8192, device="cuda", lanes=8): ...

A run's numbers do not depend on what it is packed with: its data, first weights and dropout follow from its own seed.
`model.train` is the twin for one run, with checkpoints and all; this trains a run in one go, since it takes seconds.
"""

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.columns import Split
from model.config import Recipe
from model.packed.corpus import DeviceCorpus, evaluation_sources, to_device, training_sources
from model.packed.lane import Lane, LaneShape

CHUNK = 25
"""Steps that are sent to the GPU at once."""
AHEAD = 2
"""Chunks of a lane that may wait on the GPU: enough to keep it busy while the host looks after other lanes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedRun:
    """One run to train."""

    name: str
    recipe: Recipe
    splits: Mapping[str, Split]
    """As `model.columns.read_layer` gives them; runs that share the object share its copy on the device."""
    score: tuple[str, ...] = ("validation", "test")
    """Splits to evaluate in the end; the curve always takes validation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedResult:
    """What came of it."""

    run: PackedRun
    curve: list[tuple[int, float]]
    """Step, and nats a byte on the validation documents (on at most `evaluate_pieces` of their pieces)."""
    nats: Mapping[str, NDArray[np.float64]]
    """By split: the nats of each document, in the split's order."""
    diverged: bool
    weights: Mapping[str, Tensor]
    """On the CPU."""
    seconds: float
    """From the first step's launch to the last result, with other runs beside it."""
    beside: int
    """Lanes at work when it ended, its own among them."""


def train_packed(
    runs: Sequence[PackedRun], *, vocabulary: int, device: str = "cuda", lanes: int = 8
) -> Iterator[PackedResult]:
    """Train runs, `lanes` at a time, and give each result as soon as it is there.

    Runs of one shape should stand together: a lane is built anew for another shape. vocabulary: of the tokenizer, the
    same for all.
    """
    place = torch.device(device)
    if place.type == "cuda":
        if place.index is None:
            place = torch.device("cuda", torch.cuda.current_device())
        torch.cuda.set_device(place)
        torch._dynamo.config.cache_size_limit = 64  # shapes, not mistakes: they are compiled once each
        # What torch 2.11 keeps on disk of a graph that returns views is read back by the next process with sizes that
        # are garbage: "shape '[139613982610554, …]' is invalid for input".
        torch._functorch.config.enable_autograd_cache = False
    store = _Store(runs, place, vocabulary)
    waiting, working = deque(runs), list[_Work]()
    idle: list[Lane] = []
    while waiting or working:
        while waiting and len(working) < lanes:
            working.append(_begin(waiting.popleft(), idle, store))
        moved = [work.push() for work in working]
        for work in [work for work in working if work.done()]:
            result = work.result(len(working))
            working.remove(work)
            idle.append(work.lane)
            yield result
        if not any(moved):
            time.sleep(0.0005)


def on_stream(lane: Lane) -> Any:
    """What is sent to the GPU inside this context goes to the lane's stream."""
    return torch.cuda.stream(lane.stream) if lane.stream else nullcontext()


class _Store:
    """What is on the device already: corpora, and the order of the data by seed."""

    def __init__(self, runs: Sequence[PackedRun], device: torch.device, vocabulary: int) -> None:
        self.device, self.vocabulary = device, vocabulary
        self.corpora: dict[int, DeviceCorpus] = {}
        self.kept: list[Mapping[str, Split]] = []
        """Splits whose `id` is a key above: as long as they are kept, no other object can have it."""
        self.sources: dict[tuple[int, int, int, int], Tensor] = {}
        self.held_out: dict[tuple[int, int, int, int], _HeldOut] = {}
        self.steps = max(run.recipe.train.steps for run in runs)
        for run in runs:
            self.corpus(run)
        self.pieces = max(corpus.table.shape[1] for corpus in self.corpora.values())
        self.batches = max(len(self.evaluation(run).sources) for run in runs)

    def corpus(self, run: PackedRun) -> DeviceCorpus:
        if id(run.splits) not in self.corpora:
            self.corpora[id(run.splits)] = to_device(run.splits, self.device)
            self.kept.append(run.splits)
        return self.corpora[id(run.splits)]

    def order(self, run: PackedRun) -> Tensor:
        """Training sources of the longest run; shorter ones read its beginning."""
        train = run.recipe.train
        key = (id(run.splits), train.seed, train.rows, train.length)
        if key not in self.sources:
            settings = {"rows": train.rows, "length": train.length, "seed": train.seed}
            self.sources[key] = training_sources(self.corpus(run), steps=self.steps, **settings)
        return self.sources[key]

    def evaluation(self, run: PackedRun) -> "_HeldOut":
        train = run.recipe.train
        key = (id(run.splits), train.rows, train.length, train.evaluate_pieces)
        if key not in self.held_out:
            self.held_out[key] = _HeldOut.of(self.corpus(run), train.rows, train.length, train.evaluate_pieces)
        return self.held_out[key]

    def lane(self, run: PackedRun, idle: list[Lane]) -> Lane:
        """A lane of the run's shape: one that is idle, or a new one, for which idle ones of other shapes go."""
        shape = LaneShape.of(run.recipe, self.vocabulary, pieces=self.pieces, steps=self.steps, batches=self.batches)
        for lane in idle:
            if lane.shape == shape:
                idle.remove(lane)
                return lane
        if len(idle) > MOST_IDLE:
            idle.pop(0)
        lane = Lane(shape, self.device)
        if lane.stream:
            self.load(lane, run)
            lane.capture()
        return lane

    def load(self, lane: Lane, run: PackedRun) -> None:
        corpus, order, held_out = self.corpus(run), self.order(run), self.evaluation(run).sources
        with on_stream(lane):
            if lane.stream:  # what is shared was made on the stream of everybody
                lane.stream.wait_stream(torch.cuda.default_stream())
            lane.load(run.recipe, corpus, order, held_out)


MOST_IDLE = 16
"""Idle lanes that keep their memory (about 2 GB each at 8,192 pieces a step and as large a vocabulary)."""


@dataclass(frozen=True, slots=True)
class _HeldOut:
    """The batches of evaluation: first those of the curve, then whole splits."""

    sources: Tensor
    owner: NDArray[np.int64]
    """[batches,B]: document of a row, -1 for padding."""
    parts: Mapping[str, range]
    """Batches by split, and of the `curve`."""
    curve_pieces: int

    @classmethod
    def of(cls, corpus: DeviceCorpus, rows: int, length: int, pieces: int) -> "_HeldOut":
        wanted = {"curve": ("validation", pieces), "validation": ("validation", None), "test": ("test", None)}
        made = {
            part: evaluation_sources(corpus, name, rows=rows, length=length, pieces=limit)
            for part, (name, limit) in wanted.items()
        }
        ends = np.cumsum([len(sources) for sources, _ in made.values()])
        parts = {
            part: range(int(end) - len(sources), int(end))
            for (part, (sources, _)), end in zip(made.items(), ends, strict=True)
        }
        owner = torch.cat([owner for _, owner in made.values()]).numpy()
        together = torch.cat([sources for sources, _ in made.values()])
        return cls(together, owner, parts, int((made["curve"][0] >= 0).sum()))


@dataclass(slots=True)
class _Work:
    """A run in its lane."""

    run: PackedRun
    lane: Lane
    held_out: _HeldOut
    began: float
    step: int = 0
    curve: list[tuple[int, Tensor]] = field(default_factory=list)
    scored: dict[str, Tensor] = field(default_factory=dict)
    events: deque[Any] = field(default_factory=deque)

    def push(self) -> bool:
        """Send the next chunk of steps if the GPU has worked off enough of the earlier ones; says whether it did."""
        while self.events and self.events[0].query():
            self.events.popleft()
        train = self.run.recipe.train
        if self.step == train.steps or len(self.events) >= AHEAD:
            return False
        with on_stream(self.lane):
            until = min(train.steps, self.step + CHUNK, (self.step // train.evaluate_every + 1) * train.evaluate_every)
            for _ in range(self.step, until):
                self.lane.train_step()
            self.step = until
            if until == train.steps or until % train.evaluate_every == 0:
                self.curve.append((until, self.evaluate("curve").sum()))
            if until == train.steps:
                self.scored = {name: self.evaluate(name).clone() for name in self.run.score}
            if self.lane.stream:
                event = torch.cuda.Event()  # type: ignore[no-untyped-call]
                event.record()
                self.events.append(event)
        return True

    def evaluate(self, part: str) -> Tensor:
        """float64 [batches,B]: nats of the rows of a part, as they will be once the device gets there."""
        batches = self.held_out.parts[part]
        self.lane.batch.fill_(batches.start)
        for _ in batches:
            self.lane.evaluation_step()
        return self.lane.nats[batches.start : batches.stop]

    def done(self) -> bool:
        return self.step == self.run.recipe.train.steps and all(event.query() for event in self.events)

    def result(self, beside: int) -> PackedResult:
        """Once it is done."""
        validation = self.run.splits["validation"]
        bytes_a_piece = int(validation.bytes.sum()) / max(1, int((validation.pieces() - 1).sum()))
        with on_stream(self.lane):
            curve = [
                (step, float(nats) / max(1.0, self.held_out.curve_pieces * bytes_a_piece)) for step, nats in self.curve
            ]
            nats = {name: self.by_document(name, rows) for name, rows in self.scored.items()}
            weights = {name: weight.to("cpu", copy=True) for name, weight in self.lane.decoder.state_dict().items()}
        return PackedResult(
            run=self.run,
            curve=curve,
            nats=nats,
            diverged=not all(np.isfinite(each).all() for each in nats.values()),
            weights=weights,
            seconds=time.perf_counter() - self.began,
            beside=beside,
        )

    def by_document(self, name: str, nats_BR: Tensor) -> NDArray[np.float64]:
        batches = self.held_out.parts[name]
        owner = self.held_out.owner[batches.start : batches.stop].ravel()
        real = owner >= 0
        count = len(self.run.splits[name].documents)
        sums = np.bincount(owner[real], weights=nats_BR.cpu().numpy().ravel()[real], minlength=count)
        return sums.astype(np.float64)


def _begin(run: PackedRun, idle: list[Lane], store: _Store) -> _Work:
    lane = store.lane(run, idle)
    store.load(lane, run)
    return _Work(run, lane, store.evaluation(run), time.perf_counter())
