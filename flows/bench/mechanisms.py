"""How do all mechanisms compare in speed and memory, by length, against torch's own causal attention?

valency bench mechanisms --device cpu --json data/results/mechanisms_cpu.json

Measured, for each line of the table MECHANISMS (and settings of `CASES`) and each length: milliseconds of one layer, x
in, gradients of x and of all weights out, in float32, projections included; beside them `sdpa`, the same layer around
SDPA with `is_causal=True`. At each length all of them take turns. One row of one document of real text, as `valency
bench attention` has it. `plan_ms`: what `prepare` takes, once a batch for all layers that look alike, not part of `ms`.
`peak_mib`: the most that torch held at once for plan, forward and backward beyond input and weights. What would take
more than `limit_s` a turn or `limit_mib`, by its growth over the two lengths before, is left out and says so. Exponents
are least-squares slopes of logarithms from 2,048 pieces on; `faster_from` is the least of the lengths from which on a
mechanism is faster than `sdpa` at all that were measured.

`--clock process` counts the time that the process had the processor, on a machine that others use as well, with
`--threads 1`. `--part mix` measures the mixing alone, queries, keys and values in, for mechanisms that have them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from flows.bench.attention import long_document
from flows.bench.turns import CLOCKS, exponent, milliseconds, peak_mib, taking_turns
from model.attention import MECHANISMS
from model.attention.heads import Heads
from model.batches import read_places
from model.columns import Split
from model.config import ModelConfig
from model.config.linear import LINEAR_PRESETS
from model.context import Context

TOKENS = (512, 1024, 2048, 4096, 8192, 16384, 32768)
GROWTH_FROM = 2048
LIMIT_S = {"cpu": 40.0, "cuda": 20.0}
LIMIT_MIB = {"cpu": 8192.0, "cuda": 65536.0}
PARTS = ("layer", "mix")

CASES: dict[str, dict[str, Mapping[str, Any]]] = {
    "views": {"pos & sentences(2)": {"views": ("pos & sentences(2)",)}, "window(64)": {"views": ("window(64)",)}},
    "linear": {
        "standard": {},
        "extreme": {"linear": LINEAR_PRESETS["extreme"]},
        "favor": {"linear": replace(LINEAR_PRESETS["standard"], features="favor")},
    },
}
"""By mechanism, settings by what to call them; a mechanism without a line here is made with its own."""


class Case(NamedTuple):
    """A layer to be measured at one length."""

    name: str
    mechanism: str
    settings: str
    layer: Any
    context: Context
    work: Callable[[Context], None]
    """Forward and backward in a prepared context."""


def bench_mechanisms(
    only: Sequence[str] = (),
    tokens: Sequence[int] = TOKENS,
    *,
    part: str = "layer",
    heads: int = 8,
    width: int = 64,
    device: str = "cpu",
    data: Path | None = None,
    limit_s: float | None = None,
    limit_mib: float | None = None,
    seconds: float | None = None,
    clock: str = "wall",
    on_row: Callable[[dict[str, Any]], None] = lambda row: None,
) -> dict[str, Any]:
    """Rows by mechanism, settings and length, and how they grow. only: names of MECHANISMS; none: all of them.

    data: folder of the real corpora; none: the sample. seconds: how long turns go on at a length, more than which they
    take only to have three each. Errors: ValueError for a name that is none, or an unknown part.
    """
    unknown = [name for name in only if name not in MECHANISMS]
    if unknown:
        raise ValueError(f"there is no mechanism {unknown[0]!r}; known: {', '.join(MECHANISMS)}")
    if part not in PARTS:
        raise ValueError(f"part is {part!r}; give one of {', '.join(PARTS)}")
    if clock not in CLOCKS:
        raise ValueError(f"clock is {clock!r}; give one of {', '.join(CLOCKS)}")
    kind = "cuda" if device.startswith("cuda") else "cpu"
    limits = Limits(limit_s or LIMIT_S[kind], limit_mib or LIMIT_MIB[kind])
    split, text = long_document(data, max(tokens))
    rows = list[dict[str, Any]]()
    for N in sorted(tokens):
        shape = {"dim": heads * width, "heads": heads, "context": max(tokens)}
        for row in _rows_at(split, N, shape, only or list(MECHANISMS), part, device, limits, rows, seconds, clock):
            rows.append(row)
            on_row(row)
    return {
        "text": text,
        "part": part,
        "heads": heads,
        "width": width,
        "dtype": "float32",
        "threads": torch.get_num_threads(),
        "clock": clock,
        "limit_s": limits.seconds,
        "limit_mib": limits.mib,
        "rows": rows,
        "summary": _summary(rows),
    }


class Limits(NamedTuple):
    """What one turn may cost."""

    seconds: float
    mib: float

    def left_out(self, name: str, N: int, rows: Sequence[dict[str, Any]]) -> str:
        """Why a case is left out at a length, from how it grew so far; empty if it is not."""
        before = [row for row in rows if row["name"] == name]
        if before and "left_out" in before[-1]:
            return str(before[-1]["left_out"])
        for key, most, unit in (("ms", self.seconds * 1e3, "ms"), ("peak_mib", self.mib, "MiB")):
            expected = _expected(before, N, key)
            if expected > most:
                return f"about {expected:,.0f} {unit} expected at {N:,} pieces, limit {most:,.0f}"
        return ""


def _rows_at(
    split: Split, N: int, shape: Mapping[str, Any], names: Sequence[str], part: str, device: str, limits: Limits,
    rows: Sequence[dict[str, Any]], seconds: float | None, clock: str,
) -> list[dict[str, Any]]:  # fmt: skip
    """The rows of one length: all cases in turns."""
    cases, found = list[Case](), dict[str, dict[str, Any]]()
    for name, mechanism, settings, config in _configs(shape, names):
        found[name] = {"name": name, "mechanism": mechanism, "settings": settings, "tokens": N}
        why = limits.left_out(name, N, rows)
        case = None if why else _case(split, N, name, mechanism, settings, config, part, device)
        if case is None:
            found[name]["left_out"] = why or "has no queries, keys and values of its own"
        else:
            cases.append(case)
    plans = {case.name: case.layer.prepare(case.context) for case in cases}
    works = {case.name: _bound(case.work, plans[case.name]) for case in cases}
    before = {case.name: [row for row in rows if row["name"] == case.name] for case in cases}
    # Where a turn of all takes a minute, the lengths before have warmed them up.
    slow = sum(_expected(before[case.name], N, "ms") for case in cases) > 60e3
    times = taking_turns(works, device, warm=0 if slow else 1, fewest=1 if slow else 3, seconds=seconds, clock=clock)
    for case in cases:
        ms = times[case.name]
        plan = [milliseconds(_bound(case.layer.prepare, case.context), device, clock) for _ in range(3)]
        found[case.name] |= {
            "causal": case.context.causal,
            "ms": median(ms),
            "ms_quartiles": quantiles(ms)[::2] if len(ms) > 1 else [ms[0], ms[0]],
            "turns": len(ms),
            "plan_ms": median(plan),
            "peak_mib": peak_mib(_fresh(case), device),
        }
    sdpa = found["sdpa"]
    for row in found.values():
        if "ms" in row and "ms" in sdpa:
            row["ratio"] = sdpa["ms"] / row["ms"]
            row["ratio_with_plan"] = sdpa["ms"] / (row["ms"] + row["plan_ms"])
    return list(found.values())


def _configs(shape: Mapping[str, Any], names: Sequence[str]) -> list[tuple[str, str, str, ModelConfig]]:
    """Name, mechanism, settings in words and config of all cases, what they are compared with first."""
    found = [("sdpa", "dense", "is_causal=True", ModelConfig(**shape))]
    for mechanism in names:
        for settings, changes in CASES.get(mechanism, {"": {}}).items():
            name = f"{mechanism}: {settings}" if settings else mechanism
            found.append((name, mechanism, settings, ModelConfig(**{**shape, **changes})))
    return found


def _case(
    split: Split, N: int, name: str, mechanism: str, settings: str, config: ModelConfig, part: str, device: str
) -> Case | None:
    """None if it has not what the part needs."""
    place = np.arange(N)[None]
    _, context = read_places(split, place * 0, place)
    entry = MECHANISMS[mechanism]
    context = context._replace(causal=True in entry.orders).to(device)
    torch.manual_seed(0)
    layer: Any = entry.make(config, 0)
    layer = layer.to(device)
    if name == "sdpa":
        layer = _Sdpa(config).to(device)
    draw = torch.Generator().manual_seed(0)
    if part == "mix":
        if not isinstance(layer, Heads):
            return None
        shape = (1, config.heads, N, config.dim // config.heads)
        q, k, v, up_BHND = (torch.randn(shape, generator=draw).to(device) for _ in range(4))
        qkv = (q.requires_grad_(), k.requires_grad_(), v.requires_grad_())

        def mix(prepared: Context) -> None:
            torch.autograd.grad(layer.mix(*qkv, prepared), qkv, up_BHND)

        return Case(name, mechanism, settings, layer, context, mix)
    x, up = (torch.randn(1, N, config.dim, generator=draw).to(device) for _ in range(2))
    inputs = (x.requires_grad_(), *layer.parameters())

    def whole(prepared: Context) -> None:
        torch.autograd.grad(layer(x, prepared), inputs, up, allow_unused=True)

    return Case(name, mechanism, settings, layer, context, whole)


class _Sdpa(Heads):
    """What all are compared with: torch's causal attention, which asks nothing of the context."""

    def mix(self, q_BHND: Tensor, k_BGND: Tensor, v_BGND: Tensor, context: Context) -> Tensor:
        return functional.scaled_dot_product_attention(q_BHND, k_BGND, v_BGND, is_causal=True)


def _bound(work: Callable[[Context], object], context: Context) -> Callable[[], object]:
    return lambda: work(context)


def _fresh(case: Case) -> Callable[[], object]:
    return lambda: case.work(case.layer.prepare(case.context))


def _expected(before: Sequence[dict[str, Any]], N: int, key: str) -> float:
    """What rows of one case let expect at a length: by the last two, or from one as if it looked at all pairs; 0 of
    none."""
    if not before:
        return 0.0
    last = before[-2:]
    grows = exponent([row["tokens"] for row in last], [row[key] for row in last])
    return float(last[-1][key] * (N / last[-1]["tokens"]) ** max(1.0, 2.0 if grows is None else grows))


def _summary(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A line a case: how it grows, and from which length on it is faster."""
    found = []
    for name in dict.fromkeys(row["name"] for row in rows):
        its = [row for row in rows if row["name"] == name and "ms" in row]
        long = [row for row in its if row["tokens"] >= GROWTH_FROM]
        lengths = [row["tokens"] for row in long]
        faster = None
        for row in reversed([row for row in its if "ratio" in row]):
            if row["ratio"] <= 1:
                break
            faster = row["tokens"]
        found.append({
            "name": name,
            "causal": its[0]["causal"] if its else None,
            "time_exponent": exponent(lengths, [row["ms"] for row in long]),
            "memory_exponent": exponent(lengths, [row["peak_mib"] for row in long]),
            "from": min(lengths, default=None),
            "to": max(lengths, default=None),
            "faster_from": faster,
        })  # fmt: skip
    return found
