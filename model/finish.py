"""The end of a training job: the model that will be served, its leaks, and what the run directory holds of it.

And of the beginning: who claims the run directory, and how many rows an epoch has.
"""

from math import ceil
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file

from model import checkpoint
from model.columns import PiecesLayer, Split
from model.config import Recipe, TrainConfig
from model.evaluate.perplexity import Score
from model.run import BEST, CHECKPOINTS, EMA, SERVED, WEIGHTS, RunResult, claim, save_result
from model.scaffold import served
from model.toml import write
from model.transformer import Decoder
from pipeline.errors import Failure
from pipeline.provenance import provenance

if TYPE_CHECKING:
    from lightning.fabric import Fabric

    from model.train import Job


def epoch_rows(split: Split, config: TrainConfig) -> int:
    """Rows of one epoch, up to the one that its random shift may add."""
    return max(1, ceil(int((split.pieces() - 1).sum()) / config.length))


def claimed(
    out: Path, recipe: Recipe, layer: PiecesLayer, made_from: dict[str, str], fabric: "Fabric | None"
) -> RunResult | None:
    """`claim`, by the first process alone; the others learn how it went."""
    if fabric is None:
        return claim(out, recipe, layer, made_from)
    finished, error, code = None, None, 0
    if fabric.is_global_zero:
        try:
            finished = claim(out, recipe, layer, made_from)
            code = 1 if finished else 0
        except (ValueError, Failure) as refused:
            error, code = refused, 2
    told: Any = fabric.all_reduce(torch.tensor(code, device=fabric.device), reduce_op="sum")
    code = int(told)
    if error:
        raise error
    if code == 2:
        raise Failure("the first process could not begin; what it said tells why")
    return finished or (claim(out, recipe, layer, made_from) if code == 1 else None)


def final_model(decoder: Decoder, recipe: Recipe, device: torch.device) -> tuple[Decoder, Recipe]:
    """The model that a job leaves and its recipe: as trained, or plain where a scaffold was removed.

    Weights that lie in parts are put together: every process must call this.
    """
    plain = served(recipe)
    as_it_is = plain == recipe and recipe.train.compile == "none"  # compiled parts would be copied with old weights
    if as_it_is and not any(checkpoint.in_parts(weight) for weight in decoder.parameters()):
        return decoder, recipe
    made = Decoder(plain.model, decoder.vocabulary)
    weights = checkpoint.whole_weights(decoder)
    dtype = decoder.embedding.weight.dtype
    made = made.to(device, dtype).eval()
    made.load_state_dict({name: weights[name] for name in made.state_dict()})
    return made, plain


def result_of(
    job: "Job", decoder: Decoder, recipe: Recipe, scores: dict[str, Score | None], averaged: dict[str, float | None]
) -> RunResult:
    """Write what a finished run holds, the result last; by the first process alone, though all return it."""
    found = job.feed_of(recipe).leak(decoder)
    writes, out, config = job.rank == 0, job.out, job.config
    place = checkpoint.latest(out / CHECKPOINTS)
    average = {name: checkpoint.whole(each) for name, each in job.average.weights.items()} if job.average else {}
    if writes:
        assert place is not None  # the last step saved one
        if recipe == job.recipe:
            copyfile(place / checkpoint.MODEL, out / WEIGHTS)
        else:
            save_file(checkpoint.whole_weights(decoder), out / WEIGHTS)
            checkpoint.write_whole(out / SERVED, write(recipe))
        if average:
            save_file({name: average[name] for name, _ in decoder.named_parameters()}, out / EMA)
    cost = job.cost()
    made: dict[str, Any] = provenance(str(job.fabric.device))
    result = RunResult(
        recipe=job.recipe.name,
        bits_per_byte={name: score.bits_per_byte if score else None for name, score in scores.items()},
        perplexity={name: score.perplexity if score else None for name, score in scores.items()},
        accuracy={name: score.accuracy for name, score in scores.items() if score and score.accuracy is not None},
        leak_free=found.leak_free and not recipe.leaky,
        max_change=found.max_change,
        first_violation=found.first_violation,
        parameters=sum(weight.numel() for weight in decoder.parameters()),
        steps=job.step,
        pieces=job.pieces,
        pieces_per_second=job.pieces / job.seconds,
        seconds=job.seconds,
        seed=config.seed,
        threads=torch.get_num_threads(),
        made_from=job.made_from,
        budget=budget(config, job.step, job.pieces, job.seconds),
        processes=job.world,
        strategy=job.machine.strategy if job.world > 1 else "",
        mfu=cost.get("mfu"),
        peak_memory_mib=cost["peak_memory_mib"],
        bits_per_byte_ema=averaged,
        best={**job.best, "folder": f"{BEST}/step-{job.best['step']:06d}"} if job.best else {},
        served="plain: views, tags and scores removed" if recipe != job.recipe else "as trained",
        skipped_steps=job.skipped,
        **made,
    )
    if writes:
        save_result(out, result)
    return result


def budget(config: TrainConfig, steps: int, pieces: int, seconds: float) -> str:
    """What was asked for and what was done."""
    said = next((f"{getattr(config, name):g} {name}" for name in ("epochs", "tokens", "seconds")
                 if getattr(config, name)), f"{config.steps} steps")  # fmt: skip
    return f"{said}: {steps} steps, {pieces} pieces, {seconds:.1f} seconds in steps"
