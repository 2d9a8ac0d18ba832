"""How fast is attention through views, forward and backward, against plain causal attention of the same numbers?

valency bench attention --device cpu --json data/results/attention_cpu.json

Measured, for each view and length: milliseconds of one layer's mixing (queries, keys and values in, gradients of all
three out) by the path that `model.kernels.choose` takes, beside SDPA with `is_causal=True` on the same tensors in
float32; the two take turns, medians are given with their quartiles. One row of one document: real text through the
shipped tokenizer and annotator, articles end to end. Apart from that, `plan_ms`: what `prepare` takes, once a batch for
all layers that look alike; `ratio_with_plan` charges all of it to one layer. `peak_mib`: the most that torch held at
once for plan, forward and backward, beyond queries, keys and values. Exponents are least-squares slopes of logarithms.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from flows.bench.turns import exponent, milliseconds, peak_mib, taking_turns
from model.attention.views import ViewsAttention
from model.batches import read_places
from model.columns import Split, split_of
from model.config import ModelConfig
from model.context import Context
from pipeline.corpus import Document, read_documents, sample_corpus
from pipeline.pieces import Tokenizer
from pipeline.prefix import PrefixAnnotator

VIEWS = ("pos & sentences(2)", "sentence", "window(64)")
TOKENS = (1024, 4096, 16384)
WIKITEXT = "wikitext-2/wiki.valid.tokens"


class Case(NamedTuple):
    """One layer and what it is given."""

    layer: ViewsAttention
    context: Context
    qkv: tuple[Tensor, Tensor, Tensor]
    upstream: Tensor


def bench_attention(
    views: Sequence[str] = VIEWS,
    tokens: Sequence[int] = TOKENS,
    *,
    heads: int = 8,
    width: int = 64,
    device: str = "cpu",
    data: Path | None = None,
    on_row: Callable[[dict[str, Any]], None] = lambda row: None,
) -> dict[str, Any]:
    """Rows by view and length, and how time and memory grow. data: folder of the real corpora; none: the sample."""
    split, text = long_document(data, max(tokens))
    rows = list[dict[str, Any]]()
    for view in views:
        for N in tokens:
            rows.append(
                {"mechanism": "views", "view": view, "tokens": N} | view_row(split, view, N, heads, width, device)
            )
            on_row(rows[-1])
    return {
        "text": text,
        "heads": heads,
        "width": width,
        "dtype": "float32",
        "threads": torch.get_num_threads(),
        "rows": rows,
        "time_exponent": exponents(rows, "ms"),
        "dense_time_exponent": exponents(rows, "dense_ms"),
        "memory_exponent": exponents(rows, "peak_mib"),
    }


def long_document(data: Path | None, pieces: int) -> tuple[Split, str]:
    """A split of one document of at least so many pieces, and what text it is."""
    file = data / WIKITEXT if data else None
    source, said = (file, WIKITEXT) if file and file.is_file() else (sample_corpus(), "sample corpus")
    tokenizer = Tokenizer.load()
    annotator = PrefixAnnotator.load(None, tokenizer.piece_bytes, tokenizer.begin, tokenizer.end)
    texts = [each.text for each in read_documents([source]) if isinstance(each, Document)]
    text = "\n\n".join(texts)
    while len(ids := tokenizer.document(text[: 8 * pieces])) < pieces:  # a piece is shorter than 8 characters
        text = f"{text}\n\n{text}"
    ids = ids[:pieces]
    return split_of({"text": (ids, annotator.annotate(ids))}), said


def view_row(split: Split, view: str, N: int, heads: int, width: int, device: str) -> dict[str, Any]:
    """What a view costs over the first N pieces of a split of one document."""
    case = _case(split, view, N, heads, width, device)
    prepared = case.layer.prepare(case.context)
    (way,) = prepared.plans[case.layer.look]
    times = taking_turns({"ours": lambda: _mix(case, prepared), "dense": lambda: _dense(case)}, device)
    ours, dense = times["ours"], times["dense"]
    plan = [milliseconds(lambda: case.layer.prepare(case.context), device) for _ in range(5)]
    found = {"path": way.path, "ms": median(ours), "dense_ms": median(dense)}
    return found | {
        "ratio": found["dense_ms"] / found["ms"],
        "plan_ms": median(plan),
        "ratio_with_plan": found["dense_ms"] / (found["ms"] + median(plan)),
        "peak_mib": peak_mib(lambda: _mix(case, case.layer.prepare(case.context)), device),
        "dense_peak_mib": peak_mib(lambda: _dense(case), device),
        "ms_quartiles": quantiles(ours)[::2],
        "dense_ms_quartiles": quantiles(dense)[::2],
        "turns": len(ours),
    }


def _case(split: Split, view: str, N: int, heads: int, width: int, device: str) -> Case:
    place = np.arange(N)[None]
    _, context = read_places(split, place * 0, place)
    layer = ViewsAttention(ModelConfig(dim=heads * width, heads=heads, views=(view,))).to(device)
    generator = torch.Generator().manual_seed(0)
    q, k, v, up = (torch.randn(1, heads, N, width, generator=generator).to(device) for _ in range(4))
    return Case(layer, context.to(device), (q.requires_grad_(), k.requires_grad_(), v.requires_grad_()), up)


def _mix(case: Case, prepared: Context) -> None:
    torch.autograd.grad(case.layer.mix(*case.qkv, prepared), case.qkv, case.upstream)


def _dense(case: Case) -> None:
    out = functional.scaled_dot_product_attention(*case.qkv, is_causal=True)
    torch.autograd.grad(out, case.qkv, case.upstream)


def exponents(rows: Sequence[dict[str, Any]], key: str) -> dict[str, float | None]:
    """By view: the power of the length that this grows with."""
    views = dict.fromkeys(row["view"] for row in rows)
    found = {}
    for view in views:
        some = [row for row in rows if row["view"] == view]
        found[view] = exponent([row["tokens"] for row in some], [row[key] for row in some])
    return found
