"""Training: a recipe, a cache of pieces, and a run directory that can be left and come back to at any moment.

Everything that decides the weights is in the recipe, the cache and the number of processes: on one machine a run that
was killed and resumed ends in the same bits as one that was not. The loop is plain; Lightning Fabric brings devices,
processes, precision and logging.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import closing, nullcontext
from hashlib import sha256
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from model import checkpoint
from model.ahead import Ahead
from model.batches import NO_TARGET, Batch
from model.columns import PiecesLayer
from model.config import Recipe, settled
from model.context import Context
from model.diverged import Diverged, save_batch
from model.ema import Average
from model.evaluate.perplexity import Score
from model.feeds import FEEDS, Feed, Source
from model.finish import claimed, epoch_rows, final_model, result_of
from model.inputs import recipe_layer, recipe_splits
from model.machine import Machine, compiled, logits_of, make_fabric, own_processes, own_settings, under_torchrun
from model.objective import Objective
from model.optimizer import groups_of, learning_rate, make_optimizers, set_rate
from model.run import BEST, CHECKPOINTS, CURVE, SPEED, RunResult, load_readers, read_curve
from model.scaffold import opened
from model.speed import flops_a_piece, peak_memory, peak_of
from model.toml import write
from model.transformer import Decoder

if TYPE_CHECKING:
    from lightning.fabric import Fabric

OnStep = Callable[[int, int, float, float], None]
"""(step, total steps, loss of this step in nats a piece, pieces a second so far)."""

MOST_SKIPPED = 30
"""Steps in a row that float16 may skip: each halves the scale of the loss, which began at 2**16."""


def train(
    cache: Path,
    recipe: Recipe,
    out: Path,
    *,
    on_step: OnStep | None = None,
    device: str = "cpu",
    threads: int | None = None,
    machine: Machine | None = None,
    labels: Mapping[str, int] | None = None,
) -> RunResult:
    """Train a recipe on the current pieces of a cache, evaluate it on held-out documents, and measure its leaks.

    A run that was interrupted goes on from its last checkpoint; a finished one costs nothing. device: `cpu`, `cuda`,
    `cuda:1`, `mps` or `auto`. threads: of PyTorch; None leaves them as they are. machine: instead of both, for several
    processes; each must call this, and torchrun's environment comes before what it says. labels: class by document id,
    where classes are learnt (pipeline.corpus.read_labels). Errors: ValueError if `out` holds another run, or the cache
    no training documents or not what the recipe reads; Diverged; Failure for a damaged cache.
    """
    place = under_torchrun(machine or Machine(device=device, threads=threads))
    with own_processes():
        return _train(cache, recipe, out, place, labels or {}, on_step)


def _train(
    cache: Path, recipe: Recipe, out: Path, place: Machine, labels: Mapping[str, int], on_step: OnStep | None
) -> RunResult:
    layer = recipe_layer(cache, recipe)
    made_from = {"recipe": sha256(write(recipe).encode()).hexdigest()[:12], "pieces": layer.digest()}
    if labels:
        made_from["labels"] = sha256(json.dumps(sorted(labels.items())).encode()).hexdigest()[:12]
    fabric = make_fabric(place, recipe.train, out) if place.world() > 1 else None
    finished = claimed(out, recipe, layer, made_from, fabric)
    if finished:
        return finished
    with own_settings(place.threads, place.device):
        job = Job(layer, recipe, out, place, made_from, fabric or make_fabric(place, recipe.train, out), labels)
        with closing(job.rows):
            job.resume()
            while not job.done():
                loss = job.train_step()
                job.note(loss)
                if on_step:
                    on_step(job.step, job.expected_steps(), loss, job.pieces / max(job.seconds, 1e-9))
            return job.finish()


class Job:
    """A training job under way: model, optimizers, data, and how far it is."""

    def __init__(
        self,
        layer: PiecesLayer,
        recipe: Recipe,
        out: Path,
        machine: Machine,
        made_from: dict[str, str],
        fabric: "Fabric",
        labels: Mapping[str, int],
    ) -> None:
        self.layer, self.recipe, self.out, self.machine, self.made_from = layer, recipe, out, machine, made_from
        self.fabric, self.world, self.rank = fabric, machine.world(), fabric.global_rank
        self.tokenizer, self.annotator = load_readers(out)
        self.splits = recipe_splits(layer, recipe)
        config = recipe.train
        self.config = config = settled(config, rows=epoch_rows(self.splits["train"], config), world=self.world)
        self.labels = labels
        self.feed = self.feed_of(recipe)
        torch.manual_seed(config.seed)
        self.decoder = Decoder(recipe.model, self.tokenizer.size)
        self.decoder.checkpoint_layers = config.checkpoint_layers
        self.flops = flops_a_piece(self.decoder, config.length)
        self.objective = Objective(self.decoder, config.seed)
        self.rows = Ahead(self.feed.rows(config, self.rank, self.world), fabric.device, self.prepared)
        self.model = fabric.setup_module(compiled(self.objective, config.compile))
        self.bare = make_optimizers(self.decoder, config)  # after setup: weights may lie in parts by then
        self.optimizers: list[Any] = [fabric.setup_optimizers(each) for each in self.bare]
        self.scaler: Any = getattr(fabric.strategy.precision, "scaler", None)
        self.average = Average(self.decoder, config.ema) if config.ema else None
        self.step, self.pieces, self.seconds = 0, 0, 0.0
        self.nats, self.norm, self.rate, self.noted = 0.0, 0.0, 0.0, 0
        """Sum of the losses since the last line of the curve; norm and rate of the last step; step of that line."""
        self.best: dict[str, Any] = {}
        self.skipped, self.skipped_in_a_row = 0, 0
        """Steps whose gradient overflowed in float16."""

    def feed_of(self, recipe: Recipe) -> Feed:
        """What a model of this recipe reads: the job's own, or that of the model that it leaves."""
        splits = self.splits if recipe == self.recipe else recipe_splits(self.layer, recipe)
        source = Source(
            layer=self.layer,
            recipe=recipe,
            splits=splits,
            tokenizer=self.tokenizer,
            annotator=self.annotator,
            labels=self.labels,
        )
        return FEEDS[recipe.model.objective](source)

    def resume(self) -> None:
        """Go back to the last checkpoint, if there is one: the curve too. Errors: ValueError for another world."""
        place = checkpoint.latest(self.out / CHECKPOINTS)
        if place:
            state = checkpoint.load(place, self.decoder, self.bare, self.average.weights if self.average else None)
            if state.get("world", 1) != self.world:
                raise ValueError(f"{self.out} began with {state.get('world', 1)} processes and there are {self.world}; "
                                 "go on with as many, or name another folder")  # fmt: skip
            self.rows.resume(state["rows"])
            self.step, self.pieces, self.seconds = state["step"], state["pieces"], state["seconds"]
            self.nats, self.noted, self.best = state["nats"], state["noted"], state.get("best", {})
            self.skipped, self.skipped_in_a_row = state.get("skipped", (0, 0))
            if self.scaler is not None:
                self.scaler.load_state_dict(state["scaler"])
        if self.rank == 0:
            for name in (CURVE, SPEED):
                kept = [line for line in read_curve(self.out, name) if line["step"] <= self.step]
                checkpoint.write_whole(self.out / name, "".join(json.dumps(line) + "\n" for line in kept))
            checkpoint.keep_only(self.out / BEST, self.best.get("step"))
        self.wait()

    def gone(self) -> float:
        """The part of the budget that is over, 0 to 1."""
        config = self.config
        return min(1.0, self.seconds / config.seconds if config.seconds else self.step / config.steps)

    def done(self) -> bool:
        return self.gone() >= 1

    def expected_steps(self) -> int:
        """All steps of the job; where the clock ends it, as many as it would be at the speed so far."""
        if not self.config.seconds or self.done():
            return self.step if self.config.seconds else self.config.steps
        return max(self.step + 1, int(self.step / max(self.gone(), 1e-9)))

    def sum(self, value: float) -> float:
        """The sum of a number over all processes."""
        if self.world == 1:
            return value
        exact = torch.tensor(value, dtype=torch.float64 if self.fabric.device.type != "mps" else torch.float32)
        added: Any = self.fabric.all_reduce(exact.to(self.fabric.device), reduce_op="sum")
        return float(added)

    def wait(self) -> None:
        if self.world > 1:
            self.fabric.barrier()

    def train_step(self) -> float:
        """One step of the optimizers; returns its loss. Errors: Diverged before the weights take harm."""
        began, config, device = perf_counter(), self.config, self.fabric.device
        batches = [self.rows.next() for _ in range(config.accumulate)]
        counts = [int((batch.targets != NO_TARGET).sum()) for batch in batches]
        total = round(self.sum(sum(counts)))
        self.rate = learning_rate(self.step + 1, config, self.gone() if config.seconds else None)
        set_rate(self.bare, self.rate)
        step, open_ = torch.tensor(self.step, device=device), self.opening()
        nats, losses = 0.0, []
        for number, (batch, count) in enumerate(zip(batches, counts, strict=True)):
            self.objective.part.fill_(number * self.world + self.rank)
            with self.unsynced(number < config.accumulate - 1):
                said = self.model(batch.ids, batch.context._replace(opened=open_), batch.targets, step)
                # Processes' gradients are averaged: a batch counts by its share of the targets, times the processes.
                share = count * self.world / total
                self.fabric.backward(said[0] if share == 1 else said[0] * share)
            losses.append(float(said[1]))
            nats += losses[-1] * count / total if count != total else losses[-1]
        self.norm = self.clip()
        value = self.sum(nats)
        self.guard(value, batches, losses)
        self.move()
        self.step += 1
        if self.average:
            self.average.update(self.decoder, self.step)
        self.pieces += total
        self.seconds += perf_counter() - began
        if config.seconds:
            self.seconds = self.sum(self.seconds if self.rank == 0 else 0.0)  # all must stop at the same step
        return value

    def prepared(self, batch: Batch) -> Batch:
        """A batch with masks and plans, unless they change, or a CPU would wait for them as well."""
        if self.config.scaffold or self.fabric.device.type == "cpu":
            return batch
        with self.fabric.autocast():  # what is prepared depends on what is computed in
            return batch._replace(context=self.decoder.prepare(batch.context))

    def opening(self) -> Tensor | None:
        """How far views are open by now; None while they hold."""
        how_far = opened(self.gone(), self.config.scaffold)
        return torch.tensor(how_far, device=self.fabric.device) if how_far else None

    def unsynced(self, waits: bool) -> Any:
        """While this lasts, gradients stay with their process if more is to be added to them."""
        return self.fabric.no_backward_sync(self.model, enabled=True) if waits and self.world > 1 else nullcontext()

    def clip(self) -> float:
        """Clip the gradient of all weights by its norm, which is returned as it was before."""
        for optimizer in self.bare:
            self.fabric.strategy.precision.unscale_gradients(optimizer)
        weights = [weight for group in groups_of(self.bare) for weight in group["params"]]
        norm = nn.utils.clip_grad_norm_(weights, self.config.clip)
        return float(checkpoint.whole(norm))

    def move(self) -> None:
        """One step of every optimizer; in float16 none where the gradient overflowed, and then a smaller scale."""
        if self.scaler is None:
            for optimizer in self.optimizers:
                optimizer.step()
        else:
            overflow = not isfinite(self.norm)
            self.skipped, self.skipped_in_a_row = self.skipped + overflow, (self.skipped_in_a_row + 1) * overflow
            for optimizer in () if overflow else self.bare:
                self.scaler.step(optimizer)
            self.scaler.update()
        for optimizer in self.optimizers:
            optimizer.zero_grad()

    def guard(self, loss: float, batches: list[Batch], losses: list[float]) -> None:
        """Errors: Diverged if the loss or the gradient is not a number; the batches that it came from are saved."""
        may_overflow = self.scaler is not None and self.skipped_in_a_row < MOST_SKIPPED
        if isfinite(loss) and (isfinite(self.norm) or may_overflow):
            return
        config, step = self.config, self.step + 1
        bad = [number for number, each in enumerate(losses) if not isfinite(each)]
        said = {"step": step, "recipe": self.recipe.name, "seed": config.seed, "gradient_norm": self.norm}
        files = [
            save_batch(
                self.out,
                f"step-{step:06d}-{number * self.world + self.rank}",
                batches[number],
                self.splits["train"].documents,
                {**said, "loss": losses[number], "made_from": self.made_from},
            )
            for number in bad or ([] if not isfinite(loss) else range(len(batches)))
        ]
        last = checkpoint.latest(self.out / CHECKPOINTS)
        raise Diverged(
            f"step {step} of {self.recipe.name}: the loss is {loss} and the gradient's norm {self.norm}; "
            f"lower train.learning_rate (now {config.learning_rate}) or train.clip (now {config.clip}), or "
            f"lengthen train.warmup (now {config.warmup}); last good checkpoint: {last.name if last else 'none'}; "
            f"the batch is in {', '.join(map(str, files)) or self.out / 'diverged'} (model.diverged.load_batch)"
        )

    def note(self, loss: float) -> None:
        """After a step: write to the curve, evaluate, and save, each when it is due."""
        config, last = self.config, self.done()
        self.nats += loss
        evaluates = last or self.step % config.evaluate_every == 0
        if evaluates or self.step % config.log_every == 0:
            line: dict[str, Any] = {
                "step": self.step,
                "train_loss": self.nats / (self.step - self.noted),
                "learning_rate": self.rate,
                "gradient_norm": self.norm if isfinite(self.norm) else None,  # JSON has no word for infinity
            }
            if config.scaffold:
                line["opened"] = opened(self.gone(), config.scaffold)
            if evaluates:
                line |= self.measure()
            self.nats, self.noted = 0.0, self.step
            self.tell(line)
        if last or self.step % config.checkpoint_every == 0:
            self.save()

    def measure(self) -> dict[str, float]:
        """What a line of the curve says of the validation split; the weights are kept if they are the best so far."""
        limit = self.config.evaluate_pieces
        score = self.score("validation", limit)
        if score is None:
            return {}
        found = {"validation_bits_per_byte": score.bits_per_byte, "validation_perplexity": score.perplexity}
        if score.accuracy is not None:
            found["validation_accuracy"] = score.accuracy
        if self.average:
            with self.average.inside(self.decoder):
                averaged = self.score("validation", limit)
            assert averaged is not None
            found["validation_bits_per_byte_ema"] = averaged.bits_per_byte
        if self.config.keep_best and score.bits_per_byte < self.best.get("validation_bits_per_byte", float("inf")):
            self.best = {"step": self.step, "validation_bits_per_byte": score.bits_per_byte}
            state = {"made_from": self.made_from, **self.best}
            checkpoint.save(self.out / BEST, self.step, self.decoder, (), state, writes=self.rank == 0)
        return found

    def tell(self, line: dict[str, Any]) -> None:
        """A line to the curve; to the logger with what the step cost, which no two runs have alike."""
        if self.rank:
            return
        with (self.out / CURVE).open("a", encoding="utf-8") as curve:
            curve.write(json.dumps(line) + "\n")
        cost = {"pieces": self.pieces, "seconds": self.seconds, **self.cost()}
        with (self.out / SPEED).open("a", encoding="utf-8") as speed:
            speed.write(json.dumps({"step": self.step, **cost}) + "\n")
        shown = {**line, **{name: value for name, value in cost.items() if name not in ("pieces", "seconds")}}
        self.fabric.log_dict({name: value for name, value in shown.items() if value is not None}, step=self.step)

    def cost(self) -> dict[str, float]:
        """Throughput, memory, and where the device's peak is known how much of it is used."""
        speed = self.pieces / max(self.seconds, 1e-9)
        found = {"pieces_per_second": speed, "peak_memory_mib": peak_memory(self.fabric.device)}
        peak = peak_of(self.fabric.device, self.config.precision)
        return found | ({"mfu": speed * self.flops / (peak * self.world)} if peak else {})

    def save(self) -> None:
        """Checkpoint this step. The curve reaches the disk first, so that no checkpoint knows more than it."""
        writes = self.rank == 0
        if writes:
            checkpoint.force_to_disk(self.out / CURVE)
        progress = {"pieces": self.pieces, "seconds": self.seconds, "nats": self.nats, "noted": self.noted}
        state = {"made_from": self.made_from, "rows": self.rows.state(), "world": self.world, **progress}
        state |= {"best": self.best, "skipped": (self.skipped, self.skipped_in_a_row)}
        if self.scaler is not None:
            state["scaler"] = self.scaler.state_dict()
        average = self.average.weights if self.average else None
        checkpoint.save(self.out / CHECKPOINTS, self.step, self.decoder, self.bare, state, average, writes)
        if writes:
            checkpoint.prune(self.out / CHECKPOINTS, self.config.keep_checkpoints)
            checkpoint.keep_only(self.out / BEST, self.best.get("step"))

    def score(self, split: str, pieces: int | None = None, decoder: Decoder | None = None) -> Score | None:
        """Score of the model as it is now, views as far open as they are, or of another decoder as it is.

        Every process reads all: none would be done sooner if they shared, and sums come out the same.
        """
        logits, open_ = decoder or logits_of(self.objective), None if decoder else self.opening()

        def opened_logits(ids: Tensor, context: Context) -> Tensor:
            return logits(ids, context._replace(opened=open_))

        with self.fabric.autocast():
            return self.feed.score(
                decoder or self.decoder, opened_logits, split, self.config, self.fabric.device, pieces
            )

    def finish(self) -> RunResult:
        """Evaluate the trained model, measure leaks, and write what a finished run holds; the result comes last."""
        for logger in self.fabric.loggers:
            logger.finalize("success")  # TensorBoard's file reaches the disk
        decoder, recipe = final_model(self.decoder, self.recipe, self.fabric.device)
        scores = {name: self.score(name, decoder=decoder) for name in ("validation", "test")}
        averaged: dict[str, float | None] = {}
        if self.average:
            with self.average.inside(self.decoder):
                other, _ = final_model(self.decoder, self.recipe, self.fabric.device)
                for name in scores:
                    score = self.score(name, decoder=other)
                    averaged[name] = score.bits_per_byte if score else None
        result = result_of(self, decoder, recipe, scores, averaged)
        self.wait()
        return result
