"""What may be varied in the experiments, device, precision and mechanism, and ratios that keep precisions apart."""

from collections.abc import Mapping, Sequence
from statistics import median, quantiles
from typing import Any

import torch

from flows.bench.turns import Work, peak_mib
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


def told(times: Mapping[str, Sequence[float]]) -> dict[str, dict[str, Any]]:
    """Of each variant's milliseconds: median, quartiles and repeats."""
    return {
        name: {
            "ms": median(each),
            "quartiles": quantiles(each)[::2] if len(each) > 1 else [each[0], each[0]],
            "repeats": len(each),
        }
        for name, each in times.items()
    }


def peaks(works: Mapping[str, Work], device: str) -> dict[str, float | None]:
    """The most MiB that torch held at once for each; None on `mps`, where nobody counts."""
    return {name: None if device == "mps" else peak_mib(work, device) for name, work in works.items()}


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
