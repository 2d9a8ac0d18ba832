"""Run directories: what one training job leaves, and what a later program reads it by.

recipe.toml             the recipe, with every setting written out
tokenizer.json, annotator.safetensors     copies from the cache
bonds.json                                settings of its bonds, if its pieces have some
checkpoint/step-000400/                   to resume from (model.checkpoint)
best/step-000350/       the weights that were best on the validation split
curve.jsonl             one object a line: step, train_loss, learning_rate, gradient_norm, at times validation_…
speed.jsonl             pieces, seconds, throughput, memory at the same steps: what no two runs have alike
tensorboard/            both, unless the recipe names another logger or none
diverged/               the batch that a run broke on (model.diverged)
model.safetensors       the weights at the end
ema.safetensors         the moving average of the weights, where one was kept
served.toml             the recipe that the weights are served by, where it is not the one they were trained by
quantized.json          what the weights are quantized to, in a run that `valency quantize` wrote
result.json             written last: a run that has it is finished
"""

import json
import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from model.checkpoint import latest, read_state, write_whole
from model.columns import PiecesLayer
from model.config import Recipe
from model.quantize import QUANTIZED, load
from model.toml import build, read_toml, write
from model.transformer import Decoder
from pipeline.bonds.config import BondConfig
from pipeline.errors import Failure
from pipeline.pieces import Tokenizer
from pipeline.prefix import PrefixAnnotator

RECIPE, RESULT, CURVE, WEIGHTS = "recipe.toml", "result.json", "curve.jsonl", "model.safetensors"
SPEED, BEST, EMA, SERVED = "speed.jsonl", "best", "ema.safetensors", "served.toml"
TOKENIZER, ANNOTATOR, CHECKPOINTS, BONDS = "tokenizer.json", "annotator.safetensors", "checkpoint", "bonds.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What a finished run has to say; `result.json` holds just these fields."""

    recipe: str
    bits_per_byte: dict[str, float | None]
    """By split, validation and test; None for a split without documents."""
    perplexity: dict[str, float | None]
    """exp(mean nats a piece), likewise; of classes, a document."""
    leak_free: bool
    """Measured on the trained model, and promised by the recipe."""
    max_change: float
    """Largest change of a logit, relative to the largest, that other pieces after a cut brought about."""
    first_violation: str | None
    parameters: int
    steps: int
    pieces: int
    """Pieces read in training, repeats counted."""
    pieces_per_second: float
    """In training steps, time for evaluation and checkpoints left out."""
    seconds: float
    """Time in training steps."""
    seed: int
    threads: int
    made_from: dict[str, str]
    """Digests of the recipe and of the pieces."""
    command: str
    commit: str
    versions: dict[str, str]
    device: str
    budget: str = ""
    """What was asked for (steps, epochs, tokens or seconds), and what was done."""
    processes: int = 1
    strategy: str = ""
    """How several processes shared the work."""
    mfu: float | None = None
    """Model FLOPs utilisation (model.speed); None where the device's peak is not known."""
    peak_memory_mib: float = 0.0
    accuracy: dict[str, float] = field(default_factory=dict)
    """Of classes, by split."""
    bits_per_byte_ema: dict[str, float | None] = field(default_factory=dict)
    """As `bits_per_byte`, of the moving average of the weights."""
    best: dict[str, Any] = field(default_factory=dict)
    """Step and validation bits per byte of the best measurement of the curve, and the folder of its weights."""
    served: str = "as trained"
    """What stands between the trained and the served model."""
    skipped_steps: int = 0
    """Steps whose gradient overflowed in float16; the weights stayed."""


def claim(out: Path, recipe: Recipe, layer: PiecesLayer, made_from: Mapping[str, str]) -> RunResult | None:
    """Make a run directory ready for a recipe on a cache; returns the result if it is finished already.

    Errors: ValueError if the directory holds a run of another recipe or of other pieces, or something else; Failure if
    the cache lacks its tokenizer or annotator.
    """
    if not (out / RECIPE).exists() and out.is_dir() and any(not entry.name.startswith(".") for entry in out.iterdir()):
        raise ValueError(f"{out} is not empty and holds no run; name an empty or a new folder")
    if (out / RECIPE).exists() and build(Recipe, read_toml(out / RECIPE), str(out / RECIPE)) != recipe:
        raise ValueError(f"{out} holds a run of another recipe or other settings; name another folder or remove it")
    finished, place = load_result(out), latest(out / CHECKPOINTS)
    if finished:
        check_origin(out, finished.made_from, made_from)
        return finished
    if place:
        check_origin(out, read_state(place)["made_from"], made_from)
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / RECIPE, write(recipe))  # first: it makes the folder ours, and the rest is copied again if need be
    for source, name in ((layer.tokenizer, TOKENIZER), (layer.annotator, ANNOTATOR)):
        if not source.is_file():
            raise Failure(f"{source} is missing; run `valency preprocess` on the cache again")
        shutil.copyfile(source, out / name)
    if layer.bonds:
        write_whole(out / BONDS, json.dumps(asdict(layer.bonds), indent=1) + "\n")
    return None


def check_origin(out: Path, before: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Errors: ValueError if a run began with other data than is at hand now."""
    changed = [name for name in now if before.get(name) != now[name]]
    if changed:
        raise ValueError(f"{out} holds a run with other {' and '.join(changed)}; name another folder or remove it")


def load_result(run: Path) -> RunResult | None:
    """The result of a run; None if it is not finished. Errors: Failure if the file is damaged."""
    try:
        return RunResult(**json.loads((run / RESULT).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise Failure(f"{run / RESULT} is damaged ({error}); remove it, and the run ends anew") from error


def save_result(run: Path, result: RunResult) -> None:
    write_whole(run / RESULT, json.dumps(asdict(result), indent=1) + "\n")


def load_run(run: Path) -> tuple[Decoder, Recipe]:
    """The trained model of a run (on the CPU, in evaluation mode) and its recipe: the one that it is served by, which
    differs from the one it was trained by where a scaffold was removed. Errors: ValueError without one."""
    if load_result(run) is None:
        raise ValueError(f"{run} holds no trained model yet; `valency train` with --out {run} makes or finishes one")
    file = run / SERVED if (run / SERVED).is_file() else run / RECIPE
    recipe = build(Recipe, tomllib.loads(file.read_text(encoding="utf-8")), str(file))
    if (run / QUANTIZED).is_file():
        return load(run, recipe.model, WEIGHTS), recipe
    weights = load_file(run / WEIGHTS)
    model = Decoder(recipe.model, vocabulary=len(weights["embedding.weight"]))
    model.load_state_dict(weights)
    return model.eval(), recipe


def load_readers(run: Path) -> tuple[Tokenizer, PrefixAnnotator]:
    """The tokenizer and the annotator that a run carries: with the model, all that reading new text needs."""
    tokenizer = Tokenizer.load(run / TOKENIZER)
    path = run / ANNOTATOR
    return tokenizer, PrefixAnnotator.load(path, tokenizer.piece_bytes, tokenizer.begin, tokenizer.end)


def load_bonds(run: Path) -> BondConfig | None:
    """Settings of the bonds of the cache that a run was trained on; None if its pieces had none.

    Errors: Failure if the file is damaged.
    """
    try:
        said: dict[str, Any] = json.loads((run / BONDS).read_text(encoding="utf-8"))
        settings: dict[str, Any] = {each: tuple(it) if isinstance(it, list) else it for each, it in said.items()}
        return BondConfig(**settings)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, AttributeError) as error:
        raise Failure(f"{run / BONDS} is damaged ({error}); copy it from another run on the same cache") from error


def read_curve(run: Path, name: str = CURVE) -> list[dict[str, Any]]:
    """The lines of a run's curve (or of SPEED), in the order of steps; a torn last line is left out."""
    lines = []
    if (run / name).exists():
        for line in (run / name).read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                break
    return lines
