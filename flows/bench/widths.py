"""Does one learning rate serve all widths? With the rule of model.optimizer (`base_dim`), and without it.

valency bench widths CACHE --json data/results/widths.json

Models of two layers with heads 16 wide are trained from one seed on the same rows at widths from 32 to 256 and rates a
factor of 2 apart; what is told is the mean training loss of the last quarter of the steps, in nats a piece. Under the
rule the width of 128 is the base: there both are the same run. `moves` is the factor from the smallest to the largest
of the best rates; `regret` what the widest model loses, in nats, when it takes the best rate of the narrowest.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from model.batches import TrainingRows
from model.columns import Split, read_layer
from model.config import ModelConfig, TrainConfig
from model.config.sizes import BASE_DIM
from model.objective import Objective
from model.optimizer import groups_of, learning_rate, make_optimizers, set_rate
from model.transformer import Decoder
from pipeline.pieces import Tokenizer

WIDTHS = (32, 64, 128, 256)
RATES = tuple(1e-3 * 2**power for power in range(7))
HEAD = 16
RULES = {"with the rule": BASE_DIM, "without": 0}

OnRun = Callable[[str, int, float, float], None]


def bench_widths(
    cache: Path,
    *,
    widths: Sequence[int] = WIDTHS,
    rates: Sequence[float] = RATES,
    steps: int = 200,
    rows: int = 4,
    length: int = 64,
    optimizer: str = "adamw",
    seed: int = 0,
    on_run: OnRun = lambda *_: None,
) -> dict[str, Any]:
    """Losses by rule, width and rate, and what follows from them."""
    layer = read_layer(cache)
    split, vocabulary = layer.splits["train"], Tokenizer.load(layer.tokenizer).size
    plain = TrainConfig(
        steps=steps, rows=rows, length=length, warmup=steps // 10, optimizer=optimizer, seed=seed, weight_decay=0.0
    )
    found: dict[tuple[int, int, float], float] = {}
    rules: dict[str, Any] = {}
    for rule, base in RULES.items():
        losses: dict[int, dict[float, float]] = {}
        for width in widths:
            losses[width] = {}
            for rate in rates:
                at = (base if width != base else 0, width, rate)
                if at not in found:
                    model = ModelConfig(layers=2, dim=width, heads=width // HEAD, base_dim=base)
                    found[at] = last_loss(split, vocabulary, model, replace(plain, learning_rate=rate))
                losses[width][rate] = found[at]
                on_run(rule, width, rate, found[at])
        rules[rule] = conclusion(losses)
    settings = {"layers": 2, "head": HEAD, "steps": steps, "rows": rows, "length": length, "seed": seed}
    return {**settings, "base_dim": BASE_DIM, "optimizer": optimizer, "rules": rules}


def conclusion(losses: dict[int, dict[float, float]]) -> dict[str, Any]:
    """The best rate of each width, how far they lie apart, and what taking the narrowest one's costs the widest."""
    best = {width: min(by_rate, key=lambda rate: by_rate[rate]) for width, by_rate in losses.items()}
    widest, narrowest = max(losses), min(losses)
    return {
        "rows": [
            {"width": width, "rate": rate, "loss": loss}
            for width, by_rate in losses.items()
            for rate, loss in by_rate.items()
        ],
        "best": [{"width": width, "rate": rate, "loss": losses[width][rate]} for width, rate in best.items()],
        "moves": max(best.values()) / min(best.values()),
        "regret": losses[widest][best[narrowest]] - losses[widest][best[widest]],
    }


def last_loss(split: Split, vocabulary: int, model: ModelConfig, train: TrainConfig) -> float:
    """Mean loss of the last quarter of a short training job; infinity if it comes to no number."""
    torch.manual_seed(train.seed)
    objective = Objective(Decoder(model, vocabulary), train.seed)
    optimizers = make_optimizers(objective.decoder, train)
    data = TrainingRows(split, rows=train.rows, length=train.length, seed=train.seed)
    weights = [weight for group in groups_of(optimizers) for weight in group["params"]]
    losses = []
    for step in range(train.steps):
        batch = data.next()
        set_rate(optimizers, learning_rate(step + 1, train))
        loss, nats = objective(batch.ids, batch.context, batch.targets, torch.tensor(step))
        loss.backward()
        nn.utils.clip_grad_norm_(weights, train.clip)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        losses.append(float(nats))
        if not math.isfinite(losses[-1]):
            return math.inf
    last = losses[-max(1, train.steps // 4) :]
    return sum(last) / len(last)
