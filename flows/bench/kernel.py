"""The kernel of views on a GPU: forward, and forward and backward, beside cuDNN's dense causal attention.

valency bench kernel --device cuda --json data/results/kernel.json

One text (WikiText-2's validation articles end to end, or the sample), 131,072 pieces in all, in rows of N: for each set
of views and N the milliseconds of one layer's mixing, medians of events on the device with their quartiles; dense
attention by cuDNN on the same tensors in the same run; `plan_ms`, what the lists of tiles cost once a batch for all
layers; `floor_ms` and `floor_forward_backward_ms`, the time that a copy of as many bytes takes on this device in this
run, each of q, k, v, out and their gradients being moved once. `shapes` tries other cuts of the launch (for tuning: the
table in model.kernels.program is what was best, on training text).
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from flows.bench.attention import WIKITEXT
from model.batches import read_places
from model.bond_reader import BondReader
from model.columns import Split, split_of
from model.context import Context
from model.kernels.covers import cover_of, is_covered
from model.kernels.pairs import line_of
from model.kernels.program import SHAPE, Program, Shape, program_of
from model.kernels.triton_views import attend_program
from model.parse import parse
from pipeline.corpus import Document, read_documents, sample_corpus
from pipeline.pieces import Tokenizer
from pipeline.prefix import PrefixAnnotator

TOTAL = 131_072
LENGTHS = (512, 1024, 4096, 16_384, 65_536, 131_072)
HEADS, WIDTH = 12, 64
SETS: dict[str, tuple[str, ...]] = {
    "sentence": ("sentence",),
    "pos & sentences(2)": ("pos & sentences(2)",),
    "window(256)": ("window(256)",),
    "mixed": ("window(256)", "sentence", "pos & sentence", "(pos & sentences(2)) | open"),
}
"""Views by the name of their row, shared out among the heads."""
DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
REPEATS, WARM = 30, 5


class Case(NamedTuple):
    """What a row times."""

    q: Tensor
    k: Tensor
    v: Tensor
    up: Tensor
    program: Program


def bench_kernel(
    data: Path | None = None,
    *,
    device: str = "cuda",
    sets: Sequence[str] = tuple(SETS),
    lengths: Sequence[int] = LENGTHS,
    total: int = TOTAL,
    dtype: str = "bfloat16",
    shapes: Sequence[Shape] = (SHAPE,),
    on_row: Callable[[dict[str, Any]], None] = lambda row: None,
) -> dict[str, Any]:
    """Rows by views and length. data: folder of the real corpora; none: the sample.

    Errors: ValueError where there is no CUDA device, or a length that does not divide the total.
    """
    if not torch.cuda.is_available() or not device.startswith("cuda"):
        raise ValueError("this bench times kernels of a GPU; run it where there is one, with --device cuda")
    odd = [length for length in lengths if total % length]
    if odd:
        raise ValueError(f"{total:,} pieces do not make whole rows of {odd[0]:,}; give lengths that divide {total:,}")
    split, text = text_of(data, total)
    copy = copy_rate(device)
    rows = list[dict[str, Any]]()
    for name in sets:
        for N in lengths:
            context = context_of(split, N, total).to(device)
            dense = _dense(context, dtype)
            for shape in shapes:
                rows.append({"view": name, "tokens": N, **_row(name, context, shape, dtype), **dense})
                rows[-1] |= _floors(total, DTYPES[dtype].itemsize, copy)
                rows[-1]["shape"] = shape.numbers()
                on_row(rows[-1])
    about = {"text": text, "total": total, "heads": HEADS, "width": WIDTH, "dtype": dtype, "copy_tb_per_s": copy / 1e12}
    return {**about, "rows": rows}


def text_of(data: Path | None, pieces: int) -> tuple[Split, str]:
    """A split of one document of so many pieces with its bonds, and what text it is."""
    file = data / WIKITEXT if data else None
    source, said = (file, WIKITEXT) if file and file.is_file() else (sample_corpus(), "sample corpus")
    tokenizer = Tokenizer.load()
    annotator = PrefixAnnotator.load(None, tokenizer.piece_bytes, tokenizer.begin, tokenizer.end)
    text = "\n\n".join(each.text for each in read_documents([source]) if isinstance(each, Document))
    while len(ids := tokenizer.document(text[: 8 * pieces])) < pieces:  # a piece is shorter than 8 characters
        text = f"{text}\n\n{text}"
    ids = ids[:pieces]
    return split_of({"text": (ids, annotator.annotate(ids))}, [BondReader.load(tokenizer).known(ids)]), said


def context_of(split: Split, N: int, total: int) -> Context:
    """The text in rows of N, each a crop of its own."""
    position = np.arange(total).reshape(-1, N)
    return read_places(split, position * 0, position)[1]


def copy_rate(device: str) -> float:
    """Bytes a second that a copy moves, read and written."""
    one = torch.empty(1 << 30, dtype=torch.uint8, device=device)
    two = torch.empty_like(one)
    return 2 * one.numel() / (median(times(lambda: two.copy_(one))) * 1e-3)


def times(work: Callable[[], object], repeats: int = REPEATS, warm: int = WARM) -> list[float]:
    """Milliseconds by events on the device. Before each the cache is filled by reading, so that nobody's tensors lie
    there by chance and nothing waits there to be written; that takes so long that the work is launched meanwhile."""
    for _ in range(warm):
        work()
    flush = torch.zeros(1 << 29, dtype=torch.float32, device="cuda")
    events = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(repeats)]  # type: ignore[no-untyped-call]
    for begin, end in events:
        flush.max()
        begin.record()
        work()
        end.record()
    torch.cuda.synchronize()
    return [float(begin.elapsed_time(end)) for begin, end in events]


def _row(name: str, context: Context, shape: Shape, dtype: str) -> dict[str, Any]:
    case = _case(name, context, shape, dtype)
    forward = times(lambda: attend_program(case.q, case.k, case.v, case.program))
    both = times(lambda: _both(attend_program(case.q, case.k, case.v, case.program), case))
    plan = times(lambda: _program(name, context, shape), repeats=5)
    return {
        "forward_ms": median(forward),
        "forward_backward_ms": median(both),
        "forward_quartiles": quantiles(forward)[::2],
        "forward_backward_quartiles": quantiles(both)[::2],
        "plan_ms": median(plan),
        "tiles": len(case.program.tensors[3]),
    }


def _case(name: str, context: Context, shape: Shape, dtype: str) -> Case:
    q, k, v, up = drawn(context, dtype)
    return Case(q, k, v, up, _program(name, context, shape))


def drawn(context: Context, dtype: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """q, k, v and what comes back, [B,H,N,D], laid out as a model's projection leaves them."""
    (B, N), generator = context.document.shape, torch.Generator("cuda").manual_seed(0)
    made = torch.randn(4, B, N, HEADS, WIDTH, device="cuda", generator=generator).to(DTYPES[dtype])
    q, k, v, up = made.transpose(2, 3).unbind(0)
    return q.requires_grad_(), k.requires_grad_(), v.requires_grad_(), up


def _program(name: str, context: Context, shape: Shape) -> Program:
    line, texts = line_of(context), SETS[name]
    views = [parse(text) for text in texts for _ in range(HEADS // len(texts))]
    assert all(map(is_covered, views))
    return program_of(views, {view: cover_of(view, line) for view in dict.fromkeys(views)}, line, shape=shape)


def _both(out: Tensor, case: Case) -> None:
    torch.autograd.grad(out, (case.q, case.k, case.v), case.up)


def _dense(context: Context, dtype: str) -> dict[str, float]:
    """cuDNN's causal attention; in float32, which it does not know, the fastest that PyTorch finds."""
    q, k, v, up = drawn(context, dtype)
    backend = [SDPBackend.CUDNN_ATTENTION] if dtype != "float32" else [SDPBackend.EFFICIENT_ATTENTION]
    with sdpa_kernel(backend):

        def forward() -> Tensor:
            return functional.scaled_dot_product_attention(q, k, v, is_causal=True)

        # A call at the longest takes a quarter of a second.
        repeats = max(5, min(REPEATS, int(1e7 / context.document.shape[1] ** 1.2)))
        ahead = times(forward, repeats)
        both = times(lambda: torch.autograd.grad(forward(), (q, k, v), up), repeats)
    return {"cudnn_forward_ms": median(ahead), "cudnn_forward_backward_ms": median(both)}


def _floors(total: int, itemsize: int, rate: float) -> dict[str, float]:
    tensor = total * HEADS * WIDTH * itemsize
    # Forward: q, k, v in, out out. Back: q, k, v, out and its gradient in, three gradients out.
    floors = {"floor_ms": 4 * tensor / rate * 1e3, "floor_forward_backward_ms": 12 * tensor / rate * 1e3}
    assert all(map(math.isfinite, floors.values()))
    return floors
