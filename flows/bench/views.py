"""Do heads of different reach help? Recipes trained on one cache with paired seeds, every number printed.

valency bench views CACHE --recipe tiny-dense --recipe tiny-views --seeds 3 --steps 600 --json data/results/views.json

Measured: bits per byte on the validation and the test documents, for every recipe and seed, at equal steps, data and
parameters; the first recipe is what the others are compared with, seed by seed. Runs share the machine: their bits are
to be compared, their speeds are not.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from typing import Any

from model.config import Recipe, changed, load_recipe
from model.train import train
from pipeline.provenance import cores


def bench_views(
    cache: Path,
    out: Path,
    recipes: Sequence[str],
    *,
    seeds: int,
    steps: int | None,
    device: str,
    at_once: int,
    on_run: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Train every recipe with seeds 0 … seeds-1 in run directories under `out`; a finished run is not run again.

    at_once: runs side by side, each in a process with its share of the cores. Returns `rows`, one a run, and
    `differences`: the other recipes' bits per byte minus the first recipe's, by seed and on average.
    """
    jobs = [(name, changed(load_recipe(name), seed, steps)) for seed in range(seeds) for name in recipes]
    threads = max(1, cores() // at_once)
    rows = []
    # spawn: a forked child would inherit the threads' locks of this process, but not the threads
    with ProcessPoolExecutor(at_once, mp_context=get_context("spawn")) as pool:
        running = [pool.submit(_row, name, cache, recipe, out, device, threads) for name, recipe in jobs]
        for done in as_completed(running):
            rows.append(done.result())
            on_run(rows[-1])
    rows.sort(key=lambda row: (recipes.index(row["recipe"]), row["seed"]))
    splits = ("validation", "test")
    compared = {name: {split: _differences(rows, recipes[0], name, split) for split in splits} for name in recipes[1:]}
    return {"cache": cache.name, "rows": rows, "baseline": recipes[0], "differences": compared}


def _row(name: str, cache: Path, recipe: Recipe, out: Path, device: str, threads: int) -> dict[str, Any]:
    """Train one recipe, in a process of its own."""
    result = asdict(train(cache, recipe, out / recipe.name, device=device, threads=threads))
    kept = ("bits_per_byte", "perplexity", "leak_free", "max_change", "first_violation", "parameters", "steps")
    views = [str(view) for view in recipe.model.head_views()]
    described = {"recipe": name, "seed": recipe.train.seed, "views": views, "positions": "rotary"}
    made_by = {key: result[key] for key in ("pieces", "seconds", "threads", "device", "versions", "commit")}
    return described | {key: result[key] for key in kept} | {"settings": asdict(recipe.train)} | made_by


def _differences(rows: Sequence[dict[str, Any]], baseline: str, name: str, split: str) -> dict[str, Any]:
    """Bits per byte of a recipe minus the baseline's, seed by seed; below 0 the recipe is better."""
    scores = {(row["recipe"], row["seed"]): row["bits_per_byte"][split] for row in rows}
    seeds = sorted({row["seed"] for row in rows})
    pairs = [(scores[name, seed], scores[baseline, seed]) for seed in seeds]
    if any(None in pair for pair in pairs):
        return {}
    by_seed = [ours - theirs for ours, theirs in pairs]
    relative = mean(ours / theirs - 1 for ours, theirs in pairs)
    return {"by_seed": by_seed, "mean": mean(by_seed), "relative": relative}
