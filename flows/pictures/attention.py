"""Attention beside bonds: what the heads of a run do with one text, word by word.

Words, not pieces: attention to a word is the sum over its pieces, from a word the mean over its pieces. A bond is drawn
at its later word, which alone can look at the other in a causal model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from flows.report.pictures import STYLE
from pipeline.draw import LINE

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """Attention of all heads over the W words of a text."""

    words: Sequence[str]
    weights: Floats
    """[layers, heads, W, W + 1]: from word (row) to word (column); last, to pieces that hold no word."""
    pairs: Mapping[str, tuple[NDArray[np.int64], NDArray[np.int64]]]
    """By kind the later and the earlier word of each bond."""

    def masses(self) -> Floats:
        """[layers, heads, kinds]: the share of its attention that a word with bonds of a kind gives to them, mean."""
        found = []
        for query, key in self.pairs.values():
            words = max(len(np.unique(query)), 1)
            found.append(self.weights[:, :, query, key].sum(-1) / words)
        return np.stack(found, axis=-1)

    def best(self) -> tuple[int, int]:
        """Layer and head that give most to bonds of any kind."""
        query, key = self.every_pair()
        layer, head = np.unravel_index(self.weights[:, :, query, key].sum(-1).argmax(), self.weights.shape[:2])
        return int(layer), int(head)

    def every_pair(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The pairs of all kinds, each once."""
        both = [np.stack(each) for each in self.pairs.values()] or [np.empty((2, 0), np.int64)]
        query, key = np.unique(np.concatenate(both, axis=1), axis=1)
        return query, key


def beside_bonds(looked: Looked) -> Figure:
    """Left the bonds, right the attention of the head that follows them most; rows look at columns."""
    layer, head = looked.best()
    size = 1.6 + 0.26 * len(looked.words)
    with mpl.rc_context(STYLE | {"font.size": 8}):
        figure = Figure(figsize=(2 * size + 0.6, size + 0.9), layout="constrained")
        left, right = figure.subplots(1, 2)
        _names(left, looked.words)
        left.imshow(np.zeros((len(looked.words),) * 2), cmap="Greys", vmin=0, vmax=1)
        for number, (kind, (query, key)) in enumerate(looked.pairs.items()):
            shift = 0.16 * (number - (len(looked.pairs) - 1) / 2)  # so that two kinds of one pair are both seen
            left.scatter(key + shift, query, s=26, marker="s", color=LINE[kind], label=kind, linewidths=0)
        left.set_title("bonds, at the later word")
        _names(right, looked.words)
        shown = looked.weights[layer, head][:, : len(looked.words)]
        image = right.imshow(shown, cmap="Greys", vmin=0, vmax=max(float(np.quantile(shown, 0.99)), 1e-9))
        for query, key in zip(*looked.every_pair(), strict=True):
            box = mpl.patches.Rectangle((key - 0.5, query - 0.5), 1, 1, fill=False, edgecolor="#D55E00", linewidth=0.9)
            right.add_patch(box)
        right.set_title(f"attention of layer {layer}, head {head}; bonds framed")
        figure.colorbar(image, ax=right, shrink=0.7, label="attention")
        if looked.pairs:
            figure.legend(loc="outside lower center", ncols=len(looked.pairs), frameon=False)
        return figure


def all_heads(looked: Looked) -> Figure:
    """A small map a head, layers downwards; bonds as dots."""
    layers, heads = looked.weights.shape[:2]
    query, key = looked.every_pair()
    with mpl.rc_context(STYLE | {"font.size": 7}):
        figure = Figure(figsize=(1.35 * heads + 0.4, 1.5 * layers + 0.3), layout="constrained")
        axes = figure.subplots(layers, heads, squeeze=False)
        for (layer, head), plot in np.ndenumerate(axes):
            shown = looked.weights[layer, head][:, : len(looked.words)]
            plot.imshow(shown, cmap="Greys", vmin=0, vmax=max(float(np.quantile(shown, 0.99)), 1e-9))
            plot.scatter(key, query, s=1.2, color="#D55E00", linewidths=0)
            plot.set_xticks([])
            plot.set_yticks([])
            plot.set_title(f"{layer}.{head}", pad=2)
            for spine in plot.spines.values():
                spine.set(visible=True, color="#cfcfc9")
        return figure


def heads_by_kinds(looked: Looked) -> Figure:
    """Rows: heads, layer by layer; columns: kinds of bond."""
    return by_kinds(looked.masses(), list(looked.pairs), "attention given to bonds of the kind")


def by_kinds(values: Floats, kinds: Sequence[str], label: str, most: float | None = None) -> Figure:
    """A number [layers, heads, kinds] for each head and kind, from 0 to `most` (None: the largest)."""
    layers, heads, count = values.shape
    with mpl.rc_context(STYLE | {"font.size": 8}):
        figure = Figure(figsize=(1.9 + 0.75 * count, 0.9 + 0.2 * layers * heads), layout="constrained")
        plot = figure.add_subplot()
        image = plot.imshow(values.reshape(-1, count), cmap="viridis", vmin=0, vmax=most, aspect="auto")
        plot.set_xticks(range(count), kinds, rotation=30, ha="right")
        plot.set_yticks(range(layers * heads), [f"{layer}.{head}" for layer, head in np.ndindex(layers, heads)])
        plot.set_ylabel("layer.head")
        plot.tick_params(length=0)
        for edge in range(1, layers):
            plot.axhline(edge * heads - 0.5, color="#fff", linewidth=1.5)
        figure.colorbar(image, ax=plot, label=label)
        return figure


def _names(plot: "mpl.axes.Axes", words: Sequence[str]) -> None:
    named = [word.replace("$", r"\$") for word in words]  # $ would begin mathtext
    plot.set_xticks(range(len(words)), named, rotation=90)
    plot.set_yticks(range(len(words)), named)
    plot.tick_params(length=0, labelsize=7)
    for spine in plot.spines.values():
        spine.set(visible=True, color="#cfcfc9")
