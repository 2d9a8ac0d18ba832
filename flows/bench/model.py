"""How fast is a whole model, a step of training without its optimizer, against the same model with dense heads alone?

valency bench model --recipe tiny-views --device cpu --json f

Measured, for each recipe and length: milliseconds of forward, loss and backward, one row of one document (real text
through the shipped tokenizer and annotator), the recipe's model and its dense twin taking turns, medians with their
quartiles; masks and plans are made anew in every step, as in training. `peak_mib`: the most that torch held at once,
beyond weights and batch. Random weights: time does not depend on them. Exponents: slopes of logarithms over lengths.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np
import torch

from flows.bench.attention import exponents, long_document
from flows.bench.turns import peak_mib, taking_turns
from model.batches import Batch, gather
from model.config import ModelConfig, Recipe
from model.objective import Objective
from model.transformer import Decoder
from pipeline.pieces import Tokenizer

TOKENS = (256, 1024, 4096)


def bench_model(
    recipes: Sequence[Recipe],
    tokens: Sequence[int] = TOKENS,
    *,
    device: str = "cpu",
    data: Path | None = None,
    on_row: Callable[[dict[str, Any]], None] = lambda row: None,
) -> dict[str, Any]:
    """Rows by recipe and length, and how time and memory grow. data: folder of the real corpora; none: the sample.

    Errors: ValueError for a recipe that reads bonds or facts of words, that does not look back alone, or that has
    fewer learned positions than a length.
    """
    for recipe in recipes:
        _check(recipe, max(tokens))
    split, text = long_document(data, max(tokens) + 1)
    rows = list[dict[str, Any]]()
    for recipe in recipes:
        for N in tokens:
            batch = gather(split, np.zeros((1, N), np.int64), np.arange(N)[None]).to(device)
            rows.append({"view": recipe.name, "recipe": recipe.name, "tokens": N} | _row(recipe.model, batch, device))
            on_row(rows[-1])
    return {
        "text": text,
        "dtype": "float32",
        "threads": torch.get_num_threads(),
        "rows": [{key: value for key, value in row.items() if key != "view"} for row in rows],
        "time_exponent": exponents(rows, "ms"),
        "dense_time_exponent": exponents(rows, "dense_ms"),
        "memory_exponent": exponents(rows, "peak_mib"),
    }


def _check(recipe: Recipe, longest: int) -> None:
    model = recipe.model
    if model.reads_words() or model.objective != "causal":
        raise ValueError(
            f"recipe {recipe.name!r} needs a cache of its own ({model.objective}, bonds or facts of words); "
            "bench model reads plain text: name a causal recipe without them, or profile a run (valency profile)"
        )
    if model.positions == "learned" and model.context < longest:
        raise ValueError(f"recipe {recipe.name!r} has {model.context} learned positions; give lengths up to that many")


def _row(config: ModelConfig, batch: Batch, device: str) -> dict[str, Any]:
    dense = replace(config, views=("dense",), layer_views=(), pattern=("views",))
    ours, twin = _step(config, batch, device), _step(dense, batch, device)
    times = taking_turns({"ours": ours, "dense": twin}, device)
    took, dense_took = times["ours"], times["dense"]
    return {
        "ms": median(took),
        "dense_ms": median(dense_took),
        "ratio": median(dense_took) / median(took),
        "pieces_per_second": batch.ids.numel() / median(took) * 1e3,
        "peak_mib": peak_mib(ours, device),
        "dense_peak_mib": peak_mib(twin, device),
        "ms_quartiles": quantiles(took)[::2],
        "dense_ms_quartiles": quantiles(dense_took)[::2],
        "turns": len(took),
    }


def _step(config: ModelConfig, batch: Batch, device: str) -> Callable[[], None]:
    torch.manual_seed(0)
    objective = Objective(Decoder(config, Tokenizer.load().size), seed=0).to(device)
    step = torch.tensor(0, device=device)

    def run() -> None:
        loss, _ = objective(batch.ids, batch.context, batch.targets, step)
        loss.backward()
        objective.zero_grad()

    return run
