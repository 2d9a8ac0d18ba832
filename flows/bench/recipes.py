"""Recipes beside each other on one cache: the same seeds, the same pieces, differences seed by seed.

valency bench recipes CACHE --recipe sample-dense --recipe sample-views --recipe sample-scaffold --json f

Told of each run: bits per byte, held out, of the model as it is served; law 1 as measured on it; pieces a second within
this one program. `against` compares with the first recipe: the mean of the differences of like seeds, with the standard
error of that mean. Runs that are there already, of the same cache and recipe, are read and not trained again.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from model.config import Recipe
from model.config.recipe import changed
from model.run import RunResult
from model.train import train


def bench_recipes(
    cache: Path,
    recipes: Sequence[Recipe],
    out: Path,
    *,
    seeds: int = 3,
    steps: int | None = None,
    device: str = "cpu",
    threads: int | None = None,
    on_run: Callable[[RunResult], None] = lambda result: None,
) -> dict[str, Any]:
    """Rows by recipe and seed, and each recipe against the first. seeds: 0, 1 … below this. steps: None: the recipe's.

    Errors: ValueError for recipes of one name, or whatever `model.train.train` finds wrong with them.
    """
    names = [recipe.name for recipe in recipes]
    if len(set(names)) < len(names):
        raise ValueError(f"recipes {', '.join(names)}: a name stands twice; name each recipe once")
    found: dict[str, list[RunResult]] = {name: [] for name in names}
    for seed in range(seeds):  # seed by seed: what slows the machine for a while slows all recipes
        for recipe in recipes:
            chosen = changed(recipe, seed, steps)
            found[recipe.name].append(train(cache, chosen, out / chosen.name, device=device, threads=threads))
            on_run(found[recipe.name][-1])
    return {
        "seeds": seeds,
        "rows": [_row(name, result) for name, results in found.items() for result in results],
        "recipes": [{"recipe": name, **_mean(results)} for name, results in found.items()],
        "against": {
            "recipe": names[0],
            "rows": [{"recipe": name, **_difference(found[names[0]], found[name])} for name in names[1:]],
        },
    }


def _row(name: str, result: RunResult) -> dict[str, Any]:
    said = ("seed", "bits_per_byte", "leak_free", "max_change", "served", "steps", "pieces", "parameters", "threads")
    return {
        "recipe": name,
        **{key: getattr(result, key) for key in said},
        "pieces_per_second": result.pieces_per_second,
    }


def _mean(results: Sequence[RunResult]) -> dict[str, Any]:
    return {
        f"{split}_bits_per_byte": fmean(values)
        for split in ("validation", "test")
        if (values := [bits for each in results if (bits := each.bits_per_byte[split]) is not None])
    }


def _difference(first: Sequence[RunResult], other: Sequence[RunResult]) -> dict[str, Any]:
    """Of validation bits per byte, seed by seed; below 0 the other is better."""
    pairs = [(a.bits_per_byte["validation"], b.bits_per_byte["validation"]) for a, b in zip(first, other, strict=True)]
    apart = [b - a for a, b in pairs if a is not None and b is not None]
    if not apart:
        return {"difference": None, "standard_error": None}
    error = stdev(apart) / math.sqrt(len(apart)) if len(apart) > 1 else None
    return {"difference": fmean(apart), "standard_error": error, "by_seed": apart}
