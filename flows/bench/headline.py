"""Whole models through views on a GPU: steps of training beside dense ones, a long forward pass, the training job.

valency bench headline --device cuda --cache cache --json data/results/headline.json

`steps`: forward, loss, backward and AdamW of a model of 12 layers, 768 wide, over 16,384 pieces in rows of N: near
views compiled in parts, beside the same body with dense heads, computed eagerly (scores, softmax, product, as the
papers write it) and by PyTorch's compiled SDPA; bfloat16 by autocast, and eager in float32. Where eager does not fit,
layers are checkpointed on both sides, and the row says so. Masks and plans are made beforehand, as the job makes them
while the step before is computed; `plan_ms` is what they take. `forward_181m`: the loss of every piece of one row of a
model of 181 million parameters of near views, without gradients, `forward_181m_deep` of a deeper one; `floor_mib` is
what its weights and one layer's activations take. `training`: `valency train` itself on a cache, twenty steps after the
first ten; `mfu` counts 6 operations a weight and piece, nothing for attention. Random weights; real text; medians of
turns.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from flows.bench.kernel import text_of, times
from flows.bench.training_job import BODY, NEAR, training_row
from flows.bench.turns import exponent
from model.batches import Batch, gather
from model.config import ModelConfig
from model.context import Context
from model.machine import compiled
from model.objective import Objective
from model.transformer import Decoder

FORWARD = {
    "forward_181m": (replace(BODY, dim=1024, heads=16), 28_544),
    "forward_181m_deep": (replace(BODY, layers=22), 32_000),
}
"""Two shapes of 181 million parameters, with their vocabularies: 12 layers 1,024 wide, and 22 layers 768 wide."""
VOCABULARY = 50_000
PIECES = 16_384
STEP_LENGTHS = (256, 1024, 4096, 16_384)
FORWARD_LENGTHS = (1024, 4096, 16_384, 65_536, 131_072)


def bench_headline(
    data: Path | None = None,
    cache: Path | None = None,
    *,
    device: str = "cuda",
    parts: Sequence[str] = ("steps", *FORWARD, "training"),
    contexts: Sequence[int] = (4096, 131_072),
    gpus: Sequence[int] = (1,),
    on_row: Callable[[str, dict[str, Any]], None] = lambda part, row: None,
) -> dict[str, Any]:
    """data: folder of the real corpora; none: the sample. cache: for `training`, of documents as long as `contexts`,
    which is done on each of these numbers of GPUs.

    Errors: ValueError where there is no CUDA device, or `training` is asked for without a cache.
    """
    if not torch.cuda.is_available() or not device.startswith("cuda"):
        raise ValueError("this bench times whole models on a GPU; run it where there is one, with --device cuda")
    if "training" in parts and cache is None:
        raise ValueError("the training part reads a cache of long documents: name it with --cache, or leave it out")
    split, text = text_of(data, FORWARD_LENGTHS[-1] + 1)

    def rows_of(N: int, total: int) -> Batch:
        position = np.arange(total).reshape(-1, N)
        return gather(split, position * 0, position).to(device)

    found: dict[str, Any] = {"text": text, "body": list(NEAR)}
    for part in parts:
        rows = found[part] = list[dict[str, Any]]()
        if part == "steps":
            made: Iterator[dict[str, Any]] = (step_row(rows_of(N, PIECES)) for N in STEP_LENGTHS)
        elif part in FORWARD:
            made = forward_rows(*FORWARD[part], rows_of, FORWARD_LENGTHS)
        else:
            assert cache is not None
            made = (training_row(cache, context, count) for count in gpus for context in contexts)
        for row in made:
            rows.append(row)
            on_row(part, row)
    for part in filter(FORWARD.__contains__, parts):
        long = [row for row in found[part] if row["tokens"] >= 4096]
        found[f"{part}_exponents"] = {
            name: exponent([row["tokens"] for row in long], [row[name] for row in long]) for name in ("ms", "peak_mib")
        }
    return found


def step_row(batch: Batch) -> dict[str, Any]:
    """One length: milliseconds of a step by each way, and the others' by ours."""
    N, dense = batch.ids.shape[1], replace(BODY, views=("dense",))
    row: dict[str, Any] = {"context": N, "pieces": batch.ids.numel(), "checkpointed": False}
    decoder = _objective(BODY, VOCABULARY).decoder
    with torch.autocast("cuda", torch.bfloat16):
        row["plan_ms"] = median(times(lambda: decoder.prepare(batch.context), 5, warm=2))
    ways: dict[str, Callable[[bool], float]] = {
        "ours_ms": lambda spare: _step_ms(BODY, batch, "bf16", "parts", spare),
        "sdpa_ms": lambda spare: _step_ms(dense, batch, "bf16", "parts", spare),
        "eager_ms": lambda spare: _step_ms(dense, batch, "bf16", "eager", spare),
        "eager_fp32_ms": lambda spare: _step_ms(dense, batch, "fp32", "eager", spare),
    }
    for name, way in ways.items():
        with suppress(torch.OutOfMemoryError):
            row[name] = way(False)
        if name not in row:  # and the frames that held what did not fit are gone
            torch.cuda.empty_cache()
            row[name], row["checkpointed"] = way(True), True
            row[f"{name}_ours_checkpointed"] = _step_ms(BODY, batch, "bf16", "parts", True)
    for name in ("sdpa_ms", "eager_ms", "eager_fp32_ms"):
        row[name.replace("_ms", "_ratio")] = row[name] / row.get(f"{name}_ours_checkpointed", row["ours_ms"])
    return row


def _step_ms(config: ModelConfig, batch: Batch, precision: str, how: str, spare: bool) -> float:
    objective = _objective(config, VOCABULARY)
    objective.decoder.checkpoint_layers = spare
    step = torch.tensor(0, device="cuda")
    if how == "parts":
        compiled(objective, "parts")
    else:
        for layer in objective.decoder.layers:
            layer.attention.mix = eager_mix  # type: ignore[attr-defined]
    optimizer = torch.optim.AdamW(objective.parameters(), lr=1e-4, fused=True)
    with torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16"):
        context = objective.decoder.prepare(batch.context)

    def run() -> None:
        with torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16"):
            loss, _ = objective(batch.ids, context, batch.targets, step)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return median(times(run, 5, warm=3))


def eager_mix(q_BHND: Tensor, k_BHND: Tensor, v_BHND: Tensor, context: Context) -> Tensor:
    """Causal attention as papers write it (and `transformers` calls eager): all scores, softmax in 32 bits, product."""
    N = q_BHND.shape[2]
    ahead = torch.ones(N, N, dtype=torch.bool, device=q_BHND.device).triu(1)
    scores = (q_BHND @ k_BHND.transpose(2, 3)) * q_BHND.shape[-1] ** -0.5
    weights = functional.softmax(scores.masked_fill(ahead, float("-inf")), dim=-1, dtype=torch.float32)
    return weights.to(v_BHND.dtype) @ v_BHND


def _objective(config: ModelConfig, vocabulary: int) -> Objective:
    torch.manual_seed(0)
    return Objective(Decoder(config, vocabulary), seed=0).to("cuda")


def forward_rows(
    config: ModelConfig, vocabulary: int, rows_of: Callable[[int, int], Batch], lengths: Sequence[int]
) -> Iterator[dict[str, Any]]:
    """One row of each length through a model; its masks and plans are made in the time that is told."""
    objective = _objective(config, vocabulary)
    weights = sum(weight.numel() for weight in objective.decoder.parameters())
    compiled(objective, "parts")
    objective.to(torch.bfloat16)
    step = torch.tensor(0, device="cuda")
    for N in lengths:
        batch = rows_of(N, N)

        @torch.no_grad()
        def run(batch: Batch = batch) -> None:
            objective(batch.ids, batch.context, batch.targets, step)

        took = median(times(run, 7, warm=3))
        torch.cuda.reset_peak_memory_stats()
        run()
        peak = torch.cuda.max_memory_allocated() / 2**20
        # Stream in and out, queries, keys, values, and the wider of a gated layer's two: 2 + 3 + 8/3 * 2 widths.
        floor = (2 * weights + 2 * N * config.dim * (5 + 16 / 3)) / 2**20
        yield {"tokens": N, "ms": took, "tokens_per_second": N / took * 1e3, "peak_mib": peak, "floor_mib": floor,
               "parameters": weights}  # fmt: skip
