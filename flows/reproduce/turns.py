"""How the experiments are timed: variants take turns, the device is waited for, medians come with their quartiles."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from statistics import median, quantiles
from typing import Any

import torch

from model.attention import MECHANISMS
from model.config.checks import nearest

DEVICES = ("cpu", "cuda", "mps")
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def check_device(device: str) -> None:
    """Errors: ValueError for a device that is not there."""
    kind = device.partition(":")[0]
    if kind not in DEVICES:
        raise ValueError(f"device is {device!r}; {nearest(device, DEVICES)}")
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there[kind]:
        raise ValueError(f"this machine has no {kind}; give --device cpu")


def check_mechanisms(names: list[str]) -> None:
    """Errors: ValueError naming those that the table lacks."""
    missing = [name for name in names if name not in MECHANISMS]
    if missing:
        raise ValueError(
            f"the mechanism{'s' if len(missing) > 1 else ''} {', '.join(missing)} cannot be measured here; "
            f"the table holds {', '.join(MECHANISMS)}: name some of them with --mechanism"
        )


def take_turns(
    variants: Mapping[str, Callable[[], object]], device: str, repeats: int, warmup: int
) -> dict[str, dict[str, Any]]:
    """Of each variant: median milliseconds, quartiles and repeats. First `warmup` turns that do not count."""
    found: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(warmup + repeats):
        for name, work in variants.items():
            wait(device)
            begin = time.perf_counter()
            work()
            wait(device)
            if turn >= warmup:
                found[name].append((time.perf_counter() - begin) * 1e3)
    return {name: _said(times) for name, times in found.items()}


def _said(times: list[float]) -> dict[str, Any]:
    quartiles = quantiles(times)[::2] if len(times) > 1 else times * 2
    return {"ms": median(times), "quartiles": quartiles, "repeats": len(times)}


def wait(device: str) -> None:
    """Until the device has done all that it was given."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    elif device == "mps":
        torch.mps.synchronize()


def peak_mib(work: Callable[[], object], device: str) -> float | None:
    """The most that torch held at once for this work, beyond what it held before; None where nobody counts (mps).

    On a CPU by the profiler, on one thread: it does not see what others take, and heads are shared out among them.
    """
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        wait(device)
        return float(torch.cuda.max_memory_allocated(device) - before) / 2**20
    if device != "cpu":
        return None
    cpu = [torch.profiler.ProfilerActivity.CPU]
    with one_thread(), torch.profiler.profile(activities=cpu, profile_memory=True) as profile:
        work()
    held, most = 0, 0
    events = [each for each in profile.profiler.kineto_results.events() if each.name() == "[memory]"]
    for event in sorted(events, key=lambda each: int(each.start_ns())):
        held += event.nbytes()
        most = max(most, held)
    return most / 2**20


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, torch computes on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def ratios(theirs: Mapping[str, float], ours: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """How much faster ours is, by precision: of equal ones, and of all other pairs as `theirs over ours`."""
    same = {name: theirs[name] / ours[name] for name in theirs if name in ours}
    other = {
        f"{first} over {second}": its / own
        for first, its in theirs.items()
        for second, own in ours.items()
        if first != second
    }
    return {"same_precision": same, "other_pairs": other}
