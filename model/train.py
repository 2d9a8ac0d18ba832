"""Training: a recipe, a cache of pieces, and a run directory that can be left and come back to at any moment.

    result = train(Path("cache"), load_recipe("tiny-views"), Path("runs/views"))

Everything that decides the weights is in the recipe and the cache: on one machine a run that was killed and resumed
ends in the same bits as one that was not. The loop is plain; Lightning Fabric brings device, precision and logging.
"""

import json
import math
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from shutil import copyfile
from time import perf_counter
from typing import Any

import torch

from model import checkpoint
from model.batches import TrainingRows
from model.columns import PiecesLayer, read_layer
from model.config import Recipe
from model.evaluate.leak import LeakResult, measure_leak
from model.evaluate.perplexity import Score, evaluate
from model.inputs import recipe_annotators, recipe_splits
from model.machine import make_fabric, own_settings
from model.objective import Objective
from model.optimizer import learning_rate, make_optimizer
from model.run import CHECKPOINTS, CURVE, WEIGHTS, RunResult, claim, load_readers, read_curve, save_result
from model.toml import write
from model.transformer import Decoder
from pipeline.errors import Failure
from pipeline.provenance import provenance

OnStep = Callable[[int, int, float, float], None]
"""(step, total steps, loss of this step in nats a piece, pieces a second so far)."""

LEAK_DOCUMENTS = 4


class Diverged(Failure):
    """Training came to a loss or gradient that is not a number."""


def train(
    cache: Path,
    recipe: Recipe,
    out: Path,
    *,
    on_step: OnStep | None = None,
    device: str = "cpu",
    threads: int | None = None,
) -> RunResult:
    """Train a recipe on the current pieces of a cache, evaluate it on held-out documents, and measure its leaks.

    A run that was interrupted goes on from its last checkpoint; a finished one costs nothing. device: `cpu`, `cuda`,
    `cuda:1`, `mps` or `auto`. threads: of PyTorch; None leaves them as they are. Errors: ValueError if `out` holds
    another run or the cache no training documents; Diverged; Failure for a damaged cache.
    """
    layer = read_layer(cache)
    made_from = {"recipe": sha256(write(recipe).encode()).hexdigest()[:12], "pieces": layer.digest()}
    finished = claim(out, recipe, layer, made_from)
    if finished:
        return finished
    with own_settings(threads):
        job = Job(layer, recipe, out, device, made_from)
        job.resume()
        while job.step < recipe.train.steps:
            loss = job.train_step()
            job.note(loss)
            if on_step:
                on_step(job.step, recipe.train.steps, loss, job.pieces / max(job.seconds, 1e-9))
        return job.finish()


class Job:
    """A training job under way: model, optimizer, data, and how far it is."""

    def __init__(self, layer: PiecesLayer, recipe: Recipe, out: Path, device: str, made_from: dict[str, str]) -> None:
        self.layer, self.recipe, self.config, self.out, self.made_from = layer, recipe, recipe.train, out, made_from
        self.tokenizer, self.annotator = load_readers(out)
        self.splits = recipe_splits(layer, recipe)
        config = self.config
        self.rows = TrainingRows(self.splits["train"], rows=config.rows, length=config.length, seed=config.seed)
        torch.manual_seed(config.seed)
        self.decoder = Decoder(recipe.model, self.tokenizer.size)
        self.adam = make_optimizer(self.decoder, config)
        self.fabric = make_fabric(device, config, out)
        self.model, self.optimizer = self.fabric.setup(Objective(self.decoder, config.seed), self.adam)
        self.step, self.pieces, self.seconds = 0, 0, 0.0
        self.nats, self.norm, self.noted = 0.0, 0.0, 0
        """Sum of the losses since the last line of the curve, norm of the last gradient, step of that line."""

    def resume(self) -> None:
        """Go back to the last checkpoint, if there is one: the curve too."""
        place = checkpoint.latest(self.out / CHECKPOINTS)
        if place:
            state = checkpoint.load(place, self.decoder, self.adam)
            self.rows.resume(state["rows"])
            self.step, self.pieces, self.seconds = state["step"], state["pieces"], state["seconds"]
            self.nats, self.noted = state["nats"], state["noted"]
        kept = [line for line in read_curve(self.out) if line["step"] <= self.step]
        checkpoint.write_whole(self.out / CURVE, "".join(json.dumps(line) + "\n" for line in kept))

    def train_step(self) -> float:
        """One step of the optimizer; returns its loss. Errors: Diverged before the weights take harm."""
        began = perf_counter()
        batch = self.rows.next().to(self.fabric.device)
        for group in self.adam.param_groups:
            group["lr"] = learning_rate(self.step + 1, self.config)
        step = torch.tensor(self.step, device=self.fabric.device)
        loss, nats = self.model(batch.ids, batch.context, batch.targets, step)
        self.fabric.backward(loss)
        norm = self.fabric.clip_gradients(
            self.model, self.optimizer, max_norm=self.config.clip, error_if_nonfinite=False
        )
        assert norm is not None  # Fabric gives the norm when it clips by norm
        value, self.norm = float(nats), float(norm)
        self.guard(value)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        self.pieces += int(batch.context.valid().sum())
        self.seconds += perf_counter() - began
        return value

    def guard(self, loss: float) -> None:
        """Errors: Diverged if the loss or the gradient is not a number."""
        if math.isfinite(loss) and math.isfinite(self.norm):
            return
        last = checkpoint.latest(self.out / CHECKPOINTS)
        raise Diverged(
            f"step {self.step + 1} of {self.recipe.name}: the loss is {loss} and the gradient's norm {self.norm}; "
            f"lower train.learning_rate (now {self.config.learning_rate}) or train.clip (now {self.config.clip}), or "
            f"lengthen train.warmup (now {self.config.warmup}); last good checkpoint: {last.name if last else 'none'}"
        )

    def note(self, loss: float) -> None:
        """After a step: write to the curve, evaluate, and save, each when it is due."""
        config, last = self.config, self.step == self.config.steps
        self.nats += loss
        evaluates = last or self.step % config.evaluate_every == 0
        if evaluates or self.step % config.log_every == 0:
            line = {
                "step": self.step,
                "train_loss": self.nats / (self.step - self.noted),
                "learning_rate": learning_rate(self.step, config),
                "gradient_norm": self.norm,
            }
            if evaluates and (score := self.score("validation", config.evaluate_pieces)):
                line |= {"validation_bits_per_byte": score.bits_per_byte, "validation_perplexity": score.perplexity}
            self.nats, self.noted = 0.0, self.step
            with (self.out / CURVE).open("a", encoding="utf-8") as curve:
                curve.write(json.dumps(line) + "\n")
            self.fabric.log_dict({**line, "pieces_per_second": self.pieces / self.seconds}, step=self.step)
        if last or self.step % config.checkpoint_every == 0:
            self.save()

    def save(self) -> None:
        """Checkpoint this step. The curve reaches the disk first, so that no checkpoint knows more than it."""
        checkpoint.force_to_disk(self.out / CURVE)
        progress = {"pieces": self.pieces, "seconds": self.seconds, "nats": self.nats, "noted": self.noted}
        state = {"made_from": self.made_from, "rows": self.rows.state(), **progress}
        checkpoint.save(self.out / CHECKPOINTS, self.step, self.decoder, self.adam, state)
        checkpoint.prune(self.out / CHECKPOINTS, self.config.keep_checkpoints)

    def score(self, split: str, pieces: int | None = None) -> Score | None:
        """Score of the model as it is now."""
        rows, length = self.config.rows, self.config.length
        device = self.fabric.device
        with self.fabric.autocast():
            return evaluate(self.decoder, self.splits[split], rows=rows, length=length, device=device, pieces=pieces)

    def leak(self) -> LeakResult:
        """Law 1, measured on held-out documents, or on training ones where nothing is held out."""
        split = next(self.splits[name] for name in ("validation", "test", "train") if self.splits[name].documents)
        bounds = list(zip(split.offset, split.offset[1:], strict=False))[:LEAK_DOCUMENTS]
        stored = [{name: array[begin:end] for name, array in split.columns.items()} for begin, end in bounds]
        annotators = recipe_annotators(self.layer, self.recipe, self.annotator, split.documents[:LEAK_DOCUMENTS])
        closers = self.tokenizer.encode('."\n').tolist()
        documents = [columns["pieces"] for columns in stored]
        return measure_leak(self.decoder, list(annotators.values()), documents, closers=closers, stored=stored)

    def finish(self) -> RunResult:
        """Evaluate the trained model, measure leaks, and write what a finished run holds; the result comes last."""
        self.fabric.logger.finalize("success")  # TensorBoard's file reaches the disk
        scores = {name: self.score(name) for name in ("validation", "test")}
        leak = self.leak()
        place = checkpoint.latest(self.out / CHECKPOINTS)
        assert place is not None  # the last step saved one
        copyfile(place / "model.safetensors", self.out / WEIGHTS)
        made: dict[str, Any] = provenance(str(self.fabric.device))
        result = RunResult(
            recipe=self.recipe.name,
            bits_per_byte={name: score.bits_per_byte if score else None for name, score in scores.items()},
            perplexity={name: score.perplexity if score else None for name, score in scores.items()},
            leak_free=leak.leak_free and not self.recipe.leaky,
            max_change=leak.max_change,
            first_violation=leak.first_violation,
            parameters=sum(weight.numel() for weight in self.decoder.parameters()),
            steps=self.step,
            pieces=self.pieces,
            pieces_per_second=self.pieces / self.seconds,
            seconds=self.seconds,
            seed=self.config.seed,
            threads=torch.get_num_threads(),
            made_from=self.made_from,
            **made,
        )
        save_result(self.out, result)
        return result
