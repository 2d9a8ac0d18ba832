"""Pictures of a report as self-contained SVG: bonds per word, the mask of each view, learning curves."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

# Okabe & Ito 2008: told apart with any kind of colour vision.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "valency",  # the same picture has the same bytes
    "svg.fonttype": "path",
}


def bonds_per_word(rates: Mapping[str, float]) -> str:
    """One bar a kind; rates: bonds made per word of the corpus."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7, 0.5 + 0.42 * max(len(rates), 1)), layout="constrained")
        axes = figure.add_subplot()
        bars = axes.barh(list(rates), list(rates.values()), color=PALETTE[0], height=0.62)
        axes.bar_label(bars, labels=[f"{rate:.2f}" for rate in rates.values()], padding=4)
        axes.set_xlabel("bonds per word")
        axes.margins(x=0.12)
        axes.invert_yaxis()
        return svg(figure, "Bonds per word by kind")


def masks(views: Mapping[str, NDArray[np.uint8]], pieces: Sequence[str]) -> str:
    """One square a view: row = the piece that looks, column = the piece it may see.

    views: uint8 [N,N] by name; 0 cut, 1 seen as an anchor only, 2 seen by the view. pieces: the N pieces as text.
    """
    across = min(len(views), 2)
    down = -(-len(views) // across)
    with mpl.rc_context(STYLE | {"font.size": 8}):
        figure = Figure(figsize=(5.2 * across, 5.6 * down), layout="constrained")
        colours = mpl.colors.ListedColormap(["#f4f4f2", "#E69F00", "#0072B2"])
        for place, (name, seen) in enumerate(views.items(), start=1):
            axes = figure.add_subplot(down, across, place)
            axes.imshow(seen, cmap=colours, vmin=0, vmax=2, interpolation="nearest", rasterized=True)
            below = np.tril(np.ones_like(seen, dtype=bool))
            axes.set_title(f"{name}   density {(seen[below] > 0).mean():.2f}", fontsize=11)
            _name_pieces(axes, pieces)
        patches = [mpl.patches.Patch(color=c, label=w) for c, w in (("#0072B2", "view"), ("#E69F00", "anchor only"))]
        figure.legend(handles=patches, loc="outside lower center", ncols=2, frameon=False)
        return svg(figure, "The mask of each view")


def learning_curves(runs: Mapping[str, Sequence[tuple[int, float]]], marks: Mapping[str, str]) -> str:
    """Held-out bits per byte against steps, one line a run; marks: `leak-free` or `leaky` by run."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7, 3.6), layout="constrained")
        axes = figure.add_subplot()
        for colour, (name, points) in zip(PALETTE, runs.items(), strict=False):
            steps, bits = zip(*points, strict=True)
            axes.plot(
                steps, bits, color=colour, marker="o", markersize=3, linewidth=1.6, label=f"{name} ({marks[name]})"
            )
        axes.set_xlabel("training step")
        axes.set_ylabel("bits per byte, held-out documents")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y", color="#e4e4e0", linewidth=0.8)
        axes.legend(frameon=False)
        return svg(figure, "Learning curves")


def svg(figure: Figure, title: str) -> str:
    """The figure as an <svg> element that names itself to a screen reader; no date in it, so that bytes repeat."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Title": title})
    text = stream.getvalue()
    return text[text.index("<svg") :].replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)


def _name_pieces(axes: "mpl.axes.Axes", pieces: Sequence[str]) -> None:
    places = range(len(pieces))
    axes.set_xticks(places, pieces, rotation=90)
    axes.set_yticks(places, pieces)
    axes.tick_params(length=0, labelsize=6 if len(pieces) > 32 else 8)
    for spine in axes.spines.values():
        spine.set_visible(False)
