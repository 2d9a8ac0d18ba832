"""Where a model's time and memory go: each component run alone on what it is really given, at several lengths.

One row of N pieces goes through the model once, and what every module is handed is kept. Then each is run by itself,
forward and backward, and timed: `embedding`, `norms`, `masks` (what `prepare` makes once a batch), `projections` (the
linear maps within attention), `attention` (the rest of it, by difference: scores, softmax, mixing), `feed-forward`,
`output` (logits and loss). `whole` is a step of training without its optimizer; what the parts do not add up to is
residual sums and overhead, or memory that one part leaves warm for the next.

Memory is what a component keeps for its backward pass, each storage once, weights left out: it decides how long a row
fits. (Kernels may need more while they run.) Exponents are least squares of log time, or memory, on log N, with the
standard error of the slope: 1 is linear, 2 quadratic. Letters: B rows, N pieces.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from model.batches import Batch
from model.evaluate.perplexity import piece_loss
from model.transformer import Decoder

PARTS = ("embedding", "norms", "masks", "projections", "attention", "feed-forward", "output")
WHOLE = "whole"
MIB = 1 << 20

Given = dict[nn.Module, tuple[Any, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of one component at one length."""

    ms: float
    """Of forward and backward, the fastest repeat: what else the machine does can only add to it."""
    median_ms: float
    saved_mib: float
    """Kept for the backward pass."""

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            ms=self.ms + other.ms,
            median_ms=self.median_ms + other.median_ms,
            saved_mib=self.saved_mib + other.saved_mib,
        )

    def less(self, other: "Cost") -> "Cost":
        """What is left beside another; noise does not take it below nothing."""
        return Cost(
            ms=max(0.0, self.ms - other.ms),
            median_ms=max(0.0, self.median_ms - other.median_ms),
            saved_mib=max(0.0, self.saved_mib - other.saved_mib),
        )


NOTHING = Cost(ms=0.0, median_ms=0.0, saved_mib=0.0)


def profile(model: Decoder, batch_of: Callable[[int], Batch], lengths: Sequence[int], repeats: int) -> dict[str, Any]:
    """`rows` by length and component, and exponents by component. batch_of: a batch of one row of so many pieces.

    Errors: ValueError for fewer than 3 lengths, of which no exponent can be fitted with its error.
    """
    if len(set(lengths)) < 3:
        raise ValueError(f"of lengths {', '.join(map(str, lengths))} no exponent can be fitted; give at least 3")
    rows: list[dict[str, Any]] = []
    for length in sorted(set(lengths)):
        found = components(model, batch_of(length), repeats)
        for name, cost in found.items():
            about = {"tokens": length, "component": name, "ms": cost.ms, "median_ms": cost.median_ms}
            rows.append(about | {"share": cost.ms / found[WHOLE].ms, "saved_mib": cost.saved_mib})
    exponents = {
        f"{said}_exponent": {name: _fitted(rows, name, column) for name in (*PARTS, WHOLE)}
        for said, column in (("time", "ms"), ("memory", "saved_mib"))
    }
    return {"clock": clock_name(), "rows": rows, **exponents}


def components(model: Decoder, batch: Batch, repeats: int) -> dict[str, Cost]:
    """The cost of each of PARTS, added up over layers, and of the whole."""
    given = caught(model, batch)
    attentions = [layer.attention for layer in model.storeys() if isinstance(layer.attention, nn.Module)]

    def of(modules: Sequence[nn.Module]) -> Cost:
        return sum((measured(_call(module, given[module]), repeats) for module in modules if module in given), NOTHING)

    def kind(wanted: type[nn.Module], within: Sequence[nn.Module]) -> list[nn.Module]:
        return [each for one in within for each in one.modules() if isinstance(each, wanted)]

    with torch.no_grad():
        hidden_BNM = model.hidden(batch.ids, batch.context)
    hidden_BNM.requires_grad_()
    projections = of(kind(nn.Linear, attentions))
    found = {
        "embedding": of(kind(nn.Embedding, [model])),
        "norms": of(kind(nn.RMSNorm, [model])),
        "masks": measured(lambda: _masks(model, batch), repeats),
        "projections": projections,
        "attention": of(attentions).less(projections),
        "feed-forward": of([layer.feed for layer in model.storeys()]),
        "output": measured(
            lambda: piece_loss(functional.linear(hidden_BNM, model.embedding.weight), batch.targets), repeats
        ),
        WHOLE: measured(lambda: piece_loss(model(batch.ids, batch.context), batch.targets), repeats),
    }
    model.zero_grad()
    return found


def caught(model: Decoder, batch: Batch) -> Given:
    """What every module is handed when the model reads the batch, cut off from what made it."""
    given: Given = {}

    def keep(module: nn.Module, args: tuple[Any, ...]) -> None:
        given[module] = tuple(_leaf(each) for each in args)

    hooks = [module.register_forward_pre_hook(keep) for module in model.modules()]
    try:
        with torch.no_grad():
            model.hidden(batch.ids, batch.context)
    finally:
        for hook in hooks:
            hook.remove()
    return given


def measured(call: Callable[[], Tensor | None], repeats: int) -> Cost:
    """Time and memory of a call and, if its result has a gradient, of going back. One call before, to warm up."""
    # One thread's own time is what it would take on a quiet machine; several threads, or a GPU, have only the wall's.
    clock = process_time if clock_name() == "process" else perf_counter
    seconds = []
    with _Saved() as saved:
        result = call()
    _back(result)
    for _ in range(repeats):
        _wait(result)
        began = clock()
        result = call()
        _back(result)
        _wait(result)
        seconds.append(clock() - began)
    return Cost(ms=1e3 * min(seconds), median_ms=1e3 * median(seconds), saved_mib=saved.bytes() / MIB)


def clock_name() -> str:
    """`process` where all work is one thread's, else `wall`."""
    return "wall" if torch.get_num_threads() > 1 or torch.cuda.is_available() else "process"


class _Saved:
    """Counts what autograd keeps while it is entered."""

    def __init__(self) -> None:
        self.sizes: dict[int, int] = {}
        self.hooks = torch.autograd.graph.saved_tensors_hooks(self.pack, lambda tensor: tensor)

    def pack(self, tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter) and not isinstance(tensor._base, nn.Parameter):
            storage = tensor.untyped_storage()
            self.sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    def bytes(self) -> int:
        return sum(self.sizes.values())

    def __enter__(self) -> "_Saved":
        self.hooks.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.hooks.__exit__()


def _call(module: nn.Module, args: tuple[Any, ...]) -> Callable[[], Tensor]:
    return lambda: module(*args)


def _masks(model: Decoder, batch: Batch) -> None:
    """What the layers prepare for a batch; shared, so that only the first of like layers pays."""
    context = batch.context
    with torch.no_grad():
        for layer in model.storeys():
            context = layer.attention.prepare(context)


def _leaf(given: Any) -> Any:
    if isinstance(given, Tensor) and given.is_floating_point():
        return given.detach().requires_grad_()
    return given


def _back(result: Tensor | None) -> None:
    if result is not None and result.requires_grad:
        result.backward(torch.ones_like(result))  # type: ignore[no-untyped-call]


def _wait(result: Tensor | None) -> None:
    if result is not None and result.is_cuda:
        torch.cuda.synchronize(result.device)


def _fitted(rows: Sequence[dict[str, Any]], component: str, column: str) -> dict[str, float | None]:
    points = [(row["tokens"], row[column]) for row in rows if row["component"] == component and row[column] > 0]
    return exponent([size for size, _ in points], [value for _, value in points])


def exponent(sizes: Sequence[float], values: Sequence[float]) -> dict[str, float | None]:
    """The slope of log value on log size by least squares, and its standard error; None of fewer than 3 points."""
    if len(sizes) < 3:
        return {"exponent": None, "standard_error": None}
    x, y = np.log(np.asarray(sizes, float)), np.log(np.asarray(values, float))
    spread = float(((x - x.mean()) ** 2).sum())
    slope = float(((x - x.mean()) * (y - y.mean())).sum()) / spread
    rest = y - y.mean() - slope * (x - x.mean())
    return {"exponent": slope, "standard_error": math.sqrt(float((rest**2).sum()) / (len(x) - 2) / spread)}
