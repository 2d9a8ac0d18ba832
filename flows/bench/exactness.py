"""How exact is linear attention? Its error against softmax attention by length, feature map and dimension.

valency bench exactness --target 0.2 --json data/results/exactness.json
valency bench exactness --run out/runs/sample-dense --target 0.2

Measured: |linear - exact| / |exact| over all heads, and over the queries that may see more than half of a length and no
more than it (model.attention.exactness); the mean over seeds of what is drawn. Without a run, queries and keys are
normal with a standard deviation of `spread`, so that scores have one of spread squared, and values are standard normal:
numbers without any structure, which attend to everything. With a run, they are those of each layer of its model on the
text of the sample (or WikiText-2's validation text), and the errors are means over layers. A learned map is fitted
first, to other draws, or to another stretch of the text. `chosen`: by map, the smallest dimension whose error at the
longest length meets the target; null where none does.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Tensor, nn

from flows.bench.attention import WIKITEXT
from model.attention.exactness import DIMENSIONS, choose, error_by_length
from model.attention.heads import Heads
from model.config.linear import FEATURES, LinearConfig
from model.context import Context
from model.reading import Reader, rows_of
from model.run import load_readers, load_run
from pipeline.corpus import Document, read_documents, sample_corpus

LENGTHS = (64, 256, 1024)
FIT_LENGTH = 256

Qkv = tuple[Tensor, Tensor, Tensor]


def bench_exactness(
    run: Path | None = None,
    *,
    target: float = 0.2,
    features: Sequence[str] = FEATURES,
    dimensions: Sequence[int] = DIMENSIONS,
    lengths: Sequence[int] = LENGTHS,
    threshold: int = 0,
    heads: int = 8,
    width: int = 64,
    spread: float = 1.0,
    seeds: int = 3,
    data: Path | None = None,
    on_row: Callable[[dict[str, Any]], None] = lambda row: None,
) -> dict[str, Any]:
    """Rows by map and dimension, and what the target chooses. run: a finished run; None: random numbers."""
    if run is None:
        drawn = [_drawn(heads, width, max(lengths), spread, seed) for seed in range(seeds)]
        fit_on = [tuple(x[:, :, :FIT_LENGTH] for x in _drawn(heads, width, max(lengths), spread, 999))] * seeds
        said: dict[str, Any] = {"activations": "normal", "spread": spread, "heads": heads, "width": width}
    else:
        drawn, fit_on = _of_run(run, max(lengths), data)
        said = {"activations": run.name, "layers": len(drawn), "heads": drawn[0][0].shape[1]}
        said |= {"width": drawn[0][0].shape[3], "scores": [_score_spread(*each[:2]) for each in drawn]}
    errors: dict[str, dict[int, dict[int, float]]] = {}
    rows = []
    for name in features:
        errors[name] = {}
        for dimension in dimensions:
            each = [
                error_by_length(
                    *qkv,
                    LinearConfig(features=name, dimension=dimension, threshold=threshold, seed=number),
                    lengths,
                    (fit[0], fit[1], fit[2]),
                )
                for number, (qkv, fit) in enumerate(zip(drawn, fit_on, strict=True))
            ]
            errors[name][dimension] = {length: mean(one[length] for one in each) for length in lengths}
            rows.append({"features": name, "dimension": dimension, "error": errors[name][dimension]})
            on_row(rows[-1])
    chosen = choose(errors, target, max(lengths))
    return {**said, "threshold": threshold, "lengths": list(lengths), "target": target, "rows": rows, "chosen": chosen}


def _drawn(heads: int, width: int, pieces: int, spread: float, seed: int) -> Qkv:
    generator = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(1, heads, pieces, width, generator=generator) for _ in range(3))
    return q * spread, k * spread, v


def _of_run(run: Path, pieces: int, data: Path | None) -> tuple[list[Qkv], list[tuple[Tensor, ...]]]:
    """Queries, keys and values of each layer on so many pieces of text, and on the next ones to fit to."""
    model, recipe = load_run(run)
    tokenizer, annotator = load_readers(run)
    if recipe.model.reads_words() or not recipe.model.objective == "causal":
        raise ValueError(f"{run} reads bonds or is not causal; give the run of a causal model that reads none")
    file = data / WIKITEXT if data else None
    source = file if file and file.is_file() else sample_corpus()
    text = "\n\n".join(each.text for each in read_documents([source]) if isinstance(each, Document))
    ids = tokenizer.document(text[: 16 * pieces + 16 * FIT_LENGTH])
    caught: list[Qkv] = []

    def catch(layer: nn.Module, given: tuple[Any, ...]) -> None:
        if not isinstance(layer, Heads):
            raise ValueError(f"{type(layer).__name__} has no queries and keys; give a run of views or of dense")
        x_BNM, context = given
        q, k, v = layer.inputs(x_BNM, context)
        k, v = (each.repeat_interleave(q.shape[1] // each.shape[1], dim=1) for each in (k, v))
        caught.append((q, k, v))

    reader = Reader(tokenizer, annotator)
    handles = [layer.attention.register_forward_pre_hook(catch) for layer in model.layers]  # type: ignore[attr-defined]
    with torch.no_grad():
        for part in (slice(0, pieces), slice(pieces, pieces + FIT_LENGTH)):
            ids_BN, valid_BN = rows_of([ids[part]])
            context: Context = reader.read(ids_BN, valid_BN, causal=True)
            model.hidden(ids_BN, context)
    for handle in handles:
        handle.remove()
    layers = len(model.layers)
    return caught[:layers], list(caught[layers:])


def _score_spread(q: Tensor, k: Tensor) -> float:
    """The standard deviation of scores."""
    return float((q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).std())
