"""How well do models learn with each mechanism in all layers? Bits per byte at equal recipe, data and seeds.

valency bench mechanisms --quality CACHE --steps 300 --seeds 3 --json data/results/mechanisms_quality.json

The recipe is `tiny-dense` but for the mechanism: the same width, layers, pieces, batches and learning rate, so the same
weights but for what a mechanism has of its own (`parameters`). Mechanisms that know causal order learn the next piece;
those that do not learn hidden pieces from both sides, beside `dense` under the same objective, and the two objectives
are not to be compared. Told are bits per byte of the whole validation split, and by seed how much they differ from
`dense`. Linear attention is asked with a threshold of 32, as rows of training are no longer than its standard one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean
from typing import Any

from model.attention import MECHANISMS
from model.config import Recipe, changed, load_recipe
from model.config.linear import LinearConfig
from model.train import train

BASE = "tiny-dense"
CASES: dict[str, dict[str, Mapping[str, Any]]] = {
    "views": {
        "2 dense, 6 sentence": {
            "views": ("dense", "sentence", "sentence", "sentence"),
        },
    },
    "linear": {
        "elu": {"linear": LinearConfig(threshold=32)},
        "relu2": {"linear": LinearConfig(threshold=32, features="relu2")},
        "favor": {"linear": LinearConfig(threshold=32, features="favor")},
        "learned": {"linear": LinearConfig(threshold=32, features="learned")},
        "extreme": {"linear": LinearConfig(threshold=8, dimension=4)},
    },
}  # fmt: skip
"""By mechanism, settings by what to call them; a mechanism without a line here is made with its own."""


def bench_quality(
    cache: Path,
    out: Path,
    only: Sequence[str] = (),
    *,
    steps: int,
    seeds: int,
    length: int | None = None,
    device: str = "cpu",
    threads: int | None = None,
    on_row: Callable[[dict[str, Any]], None] = lambda row: None,
) -> dict[str, Any]:
    """Train every case with seeds 0 … seeds-1 in run directories under `out`; a finished run is not run again.

    length: pieces of a row; None: the recipe's. Errors: ValueError for a name that is no mechanism.
    """
    unknown = [name for name in only if name not in MECHANISMS]
    if unknown:
        raise ValueError(f"there is no mechanism {unknown[0]!r}; known: {', '.join(MECHANISMS)}")
    rows = []
    for seed in range(seeds):
        for name, recipe in recipes(only or list(MECHANISMS), length):
            job = changed(recipe, seed, steps)
            result = asdict(train(cache, job, out / job.name, device=device, threads=threads))
            row = {
                "name": name,
                "mechanism": recipe.model.pattern[0],
                "objective": recipe.model.objective,
                "seed": seed,
            }
            kept = ("bits_per_byte", "leak_free", "max_change", "parameters", "steps", "pieces", "pieces_per_second")
            rows.append(row | {key: result[key] for key in kept})
            on_row(rows[-1])
    return {"cache": cache.name, "recipe": BASE, "steps": steps, "seeds": seeds, "rows": rows, "table": _table(rows)}


def recipes(names: Sequence[str], length: int | None = None) -> list[tuple[str, Recipe]]:
    """What to call each case, and its recipe; `dense` comes first, under every objective that any of them needs."""
    base = load_recipe(BASE)
    base = replace(base, train=replace(base.train, length=length or base.train.length, keep_best=False))
    causal = {name: True in MECHANISMS[name].orders for name in names}
    found = []
    for mechanism in dict.fromkeys(["dense", *names]):
        for settings, changes in CASES.get(mechanism, {"": {}}).items():
            said = f"{mechanism}, {settings}" if settings else mechanism
            for objective in ("causal", "masked"):
                if mechanism != "dense" and causal[mechanism] != (objective == "causal"):
                    continue
                if mechanism == "dense" and objective == "masked" and all(causal.values()):
                    continue
                model = replace(base.model, pattern=(mechanism,), objective=objective, **changes)
                model = replace(model, context=max(model.context, base.train.length))
                name = f"{said}, masked" if objective == "masked" else said
                # A folder bears the recipe's name, which knows neither parentheses nor ampersands.
                found.append((name, replace(base, name=f"{BASE},mechanism={name}", model=model)))
    return found


def _table(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A line a case: mean bits per byte on validation, and minus dense's of the same seed and objective."""
    bits = {(row["name"], row["seed"]): row["bits_per_byte"]["validation"] for row in rows}
    found = []
    for name in dict.fromkeys(row["name"] for row in rows):
        its = [row for row in rows if row["name"] == name]
        dense = "dense, masked" if its[0]["objective"] == "masked" else "dense"
        less = [bits[name, row["seed"]] - bits[dense, row["seed"]] for row in its]
        found.append({
            "name": name,
            "objective": its[0]["objective"],
            "parameters": its[0]["parameters"],
            "bits_per_byte": mean(bits[name, row["seed"]] for row in its),
            "minus_dense": mean(less),
            "minus_dense_by_seed": less,
        })  # fmt: skip
    return found
