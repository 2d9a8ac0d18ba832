"""The main job: preprocess a corpus, train a model a recipe, evaluate them, and write a report.

Every part asks first whether its work is done already, so that running the job again only adds what is missing.
"""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from flows.preprocess import PreprocessSettings, Progress, preprocess
from flows.progress import Display
from flows.report import RunFolder, write_report
from flows.results import with_provenance, write_json
from model.config import Recipe, load_recipe
from model.machine import Machine
from model.run import RunResult
from model.train import train
from pipeline.cache import Cache
from pipeline.cache.read import read_row_groups
from pipeline.corpus import read_labels, sample_corpus
from pipeline.provenance import cores

DEFAULT_RECIPES = ("sample-dense", "sample-views")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """What the main job does."""

    recipes: tuple[str, ...] = DEFAULT_RECIPES
    """Recipes to train, by name or TOML file; the first is what the others are compared with."""
    preprocess: PreprocessSettings

    def __post_init__(self) -> None:
        if len(set(self.recipes)) < len(self.recipes):
            raise ValueError(f"recipes {', '.join(self.recipes)} name one twice; a run directory holds one run")


def run_all(corpora: Sequence[str], out: Path, settings: RunSettings, display: Display) -> dict[str, Any]:
    """Do the main job; corpora: files, folders or globs, none for the sample. Leaves cache/, runs/ and report.html.

    Returns what `--json` writes: counts, seconds, and under `models` each model's held-out bits per byte and whether it
    is leak-free.
    """
    began = perf_counter()
    recipes = [load_recipe(name) for name in settings.recipes]  # before hours of work: a mistyped name ends it here
    summary = preprocess_with_display(corpora, out / "cache", settings.preprocess, display)
    results = {}
    for name, recipe in zip(short_names(settings.recipes), recipes, strict=True):
        on_step = display.steps(f"train {name}")
        results[name] = train(out / "cache", recipe, run_folder(out, recipe), on_step=on_step, threads=cores())
    outcome = with_provenance(
        {
            "corpus": ", ".join(Path(corpus).name for corpus in corpora) or "the sample",
            **summary,
            "preprocess_seconds": summary["seconds"],
            "seconds": perf_counter() - began,
            "models": {name: _scores(result) for name, result in results.items()},
        }
    )
    write_json(outcome, out / "run.json")
    folders = [RunFolder.read(name, run_folder(out, recipe)) for name, recipe in zip(results, recipes, strict=True)]
    cache = Cache.open(out / "cache")
    write_report(cache, folders, outcome, quarantined(cache), out / "report.html")
    return outcome


def preprocess_with_display(
    corpora: Sequence[str], cache: Path, settings: PreprocessSettings, display: Display
) -> dict[str, Any]:
    """Preprocess with live progress; returns the summary as JSON values."""

    began = perf_counter()

    def show(progress: Progress) -> None:
        rate = f"{progress.words / (perf_counter() - began):,.0f} words/s" if progress.words else None
        display.show(progress.stage, progress.done, progress.total, "shards", rate)

    return asdict(preprocess(list(corpora) or [sample_corpus()], cache, settings, on_progress=show))


def train_with_display(
    cache: Path, recipe: Recipe, runs: Path, machine: Machine, display: Display, labelled: Sequence[str] | None = None
) -> dict[str, Any]:
    """Train one recipe into a folder of `runs` that bears its name; returns the result as JSON values.

    labelled: the corpus whose labels are the classes to learn.
    """
    on_step, labels = display.steps(f"train {recipe.name}"), read_labels(labelled) if labelled else None
    return asdict(train(cache, recipe, runs / recipe.name, on_step=on_step, machine=machine, labels=labels))


def quarantined(cache: Cache) -> dict[str, str]:
    """Reason by id of the documents that could not be read or parsed."""
    layer, columns = f"{cache.layer('stats')}/documents", ["document", "status", "reason"]
    groups = (group for shard in range(cache.shards) for group in read_row_groups(cache, layer, shard, columns))
    rows = (row for group in groups for row in group.to_pylist())
    return {row["document"]: row["reason"] for row in rows if row["status"] != "ok"}


def run_folder(out: Path, recipe: Recipe) -> Path:
    return out / "runs" / recipe.name


def short_names(names: Sequence[str]) -> list[str]:
    """Recipe names without what they all begin with, up to a dash: sample-dense, sample-views → dense, views."""
    stems = [Path(name).stem if name.endswith(".toml") else name for name in names]
    shared = os.path.commonprefix(stems) if len(stems) > 1 else ""  # noqa: RUF071 names, not paths
    return [stem[shared.rfind("-") + 1 :] or stem for stem in stems]


def _scores(result: RunResult) -> dict[str, Any]:
    held_out = result.bits_per_byte["validation"]
    return {
        "bits_per_byte": held_out if held_out is not None else result.bits_per_byte["test"],
        "test_bits_per_byte": result.bits_per_byte["test"],
        "leak_free": result.leak_free,
        "max_change": result.max_change,
        "parameters": result.parameters,
        "steps": result.steps,
        "seed": result.seed,
        "pieces_per_second": result.pieces_per_second,
    }
