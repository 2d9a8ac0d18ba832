"""What benches of attention have in common: work that takes turns under one clock, its memory, how both grow."""

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import log
from statistics import fmean

import numpy as np
import torch

from model.machine import own_settings

SECONDS, FEWEST, MOST = 10.0, 3, 40
"""Turns go on for so long, but at least so many are taken and at most so many."""

CLOCKS = {"wall": time.perf_counter, "process": time.process_time}
"""Seconds gone by, or seconds that this process had the processor: the latter where others want it as well, and only
for work on one thread of a CPU."""

Work = Callable[[], object]


def taking_turns(works: Mapping[str, Work], device: str, *, warm: int = 1, fewest: int | None = None,
                 seconds: float | None = None, clock: str = "wall") -> dict[str, list[float]]:  # fmt: skip
    """Milliseconds of each, all taking turns. warm: after so many turns that do not count. With 0 seconds, `fewest`
    turns are taken and no more."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for _ in _turns(FEWEST if fewest is None else fewest, SECONDS if seconds is None else seconds, warm):
        for name, work in works.items():
            found[name].append(milliseconds(work, device, clock))
    return {name: times[warm:] for name, times in found.items()}


def _turns(fewest: int, seconds: float, warm: int) -> Iterator[int]:
    begin = time.perf_counter()
    for turn in range(max(fewest, MOST) + warm):
        if turn >= fewest + warm and time.perf_counter() - begin > seconds:
            return
        yield turn


def milliseconds(work: Work, device: str, clock: str = "wall") -> float:
    """How long it takes by one of CLOCKS, what a GPU still had to do before left out."""
    now = CLOCKS[clock]
    _wait(device)
    begin = now()
    work()
    _wait(device)
    return (now() - begin) * 1e3


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    elif device == "mps":
        torch.mps.synchronize()


def peak_mib(work: Work, device: str) -> float:
    """The most memory that torch held at once for this work, beyond what it held before. Of `cpu` and `cuda`."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        return float(torch.cuda.max_memory_allocated(device) - before) / 2**20
    # The operating system's own peak is no good here: what was freed before may be used again and not be seen. On one
    # thread, as the profiler does not see what others take; it is the same, heads being shared out among them.
    gc.collect()  # what is freed meanwhile would count as less
    cpu = [torch.profiler.ProfilerActivity.CPU]
    with own_settings(1), torch.profiler.profile(activities=cpu, profile_memory=True) as profile:
        work()
    events = profile.profiler.kineto_results.events()
    held = sorted((each.start_ns(), each.nbytes()) for each in events if each.name() == "[memory]")
    return float(np.cumsum([0, *(nbytes for _, nbytes in held)]).max()) / 2**20


def exponent(lengths: Sequence[float], values: Sequence[float]) -> float | None:
    """The power of the length that values grow with: the least-squares slope of logarithms; None of fewer than two."""
    if len(lengths) < 2:
        return None
    x, y = [log(each) for each in lengths], [log(each) for each in values]
    across, along = [one - fmean(x) for one in x], [one - fmean(y) for one in y]
    return sum(a * b for a, b in zip(across, along, strict=True)) / sum(a * a for a in across)
