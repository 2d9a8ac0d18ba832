"""Learning curves of runs side by side: held-out bits per byte, and the loss of training behind it."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from flows.report.pictures import PALETTE, STYLE

HELD_OUT = "validation_bits_per_byte"
SMOOTH = 0.9
"""Each loss of training counts a tenth in the line that is drawn."""


def learning_curves(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """runs: lines of `curve.jsonl` by name. Left bits per byte, held out; right the smoothed loss of training."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10, 3.8), layout="constrained")
        left, right = figure.subplots(1, 2)
        for number, (name, lines) in enumerate(runs.items()):
            colour, dashes = PALETTE[number % len(PALETTE)], ["-", "--", ":"][number // len(PALETTE) % 3]
            points = [(line["step"], line[HELD_OUT]) for line in lines if HELD_OUT in line]
            if points:
                left.plot(
                    *zip(*points, strict=True), color=colour, linestyle=dashes, marker="o", markersize=3, label=name
                )
            losses = [(line["step"], line["train_loss"]) for line in lines if "train_loss" in line]
            if losses:
                steps, values = zip(*losses, strict=True)
                right.plot(steps, smoothed(values), color=colour, linestyle=dashes, label=name)
        left.set_ylabel("bits per byte, held-out documents")
        right.set_ylabel("nats per piece in training, smoothed")
        for plot in (left, right):
            plot.set_xlabel("training step")
            plot.xaxis.set_major_locator(MaxNLocator(integer=True))
            plot.grid(axis="y", color="#e4e4e0", linewidth=0.8)
        left.legend(frameon=False)
        return figure


def smoothed(values: Sequence[float]) -> list[float]:
    """Exponential means, set right at the beginning, where few values have been seen (Kingma and Ba 2015)."""
    found, mean = [], 0.0
    for number, value in enumerate(values, start=1):
        mean = SMOOTH * mean + (1 - SMOOTH) * value
        found.append(mean / (1 - SMOOTH**number))
    return found
