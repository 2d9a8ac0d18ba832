"""Pictures of a study as SVG files: paired differences, curves with bands, lengths of annealed runs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from flows.report.pictures import PALETTE, STYLE, svg
from flows.study_report.pairs import GRAMMAR, PAIRS, REACH, SENTENCES, difference
from flows.study_report.records import Case, Run, Study, rank
from flows.study_report.steps import reach

DRAWN = ("dense", "windows", "cut", "sentence", "sentence+pos", "pos", "random-sentence")
"""Recipes whose curves are drawn: more lines than these cannot be told apart. One colour each, in every picture."""
COLOURS = dict(zip(DRAWN, ("#000000", *PALETTE[1:6], PALETTE[0]), strict=True))
GROUPS = ((REACH, PALETTE[0]), (SENTENCES, PALETTE[1]), (GRAMMAR, PALETTE[2]))
WIDEST_LABEL = 1.9
"""Inches of a legend's entry, mark and all, for the longest name that is drawn."""
GRID: dict[str, Any] = {"color": "#e4e4e0", "linewidth": 0.8}


def pictures(study: Study) -> dict[str, dict[str, tuple[str, str]]]:
    """Pictures by kind (differences, curves, steps): title to (file name, SVG), one for each corpus and size."""
    kinds: dict[str, tuple[str, Callable[[Study, Sequence[Case], str], str | None]]] = {
        "differences": ("Paired differences in test bits per byte", difference_picture),
        "curves": ("Validation bits per byte while training", curve_picture),
        "steps": ("Annealed runs of several lengths", steps_picture),
    }
    found: dict[str, dict[str, tuple[str, str]]] = {kind: {} for kind in kinds}
    for corpus, size in dict.fromkeys((case.corpus, case.size) for case in study.cases):
        cases = [case for case in study.cases if (case.corpus, case.size) == (corpus, size)]
        for kind, (words, draw) in kinds.items():
            title = f"{words}: {corpus}, {size}"
            if made := draw(study, cases, title):
                found[kind][title] = f"{study.name}-{kind}-{corpus}-{size}.svg", made
    return found


def difference_picture(study: Study, cases: Sequence[Case], title: str) -> str | None:
    """A forest plot: a row a pair, a panel for each kind of positions; filled where the interval leaves 0 out."""
    shown = [pair for pair in PAIRS if any(difference(study, case, pair.a, pair.b) for case in cases)]
    if not shown:
        return None
    colours = {pair: colour for pairs, colour in GROUPS for pair in pairs}
    with mpl.rc_context(STYLE):
        figure, panels = _panels(cases, title, height=1.1 + 0.3 * len(shown))
        for axes in panels[1:]:
            axes.sharex(panels[0])
        for axes, case in zip(panels, cases, strict=True):
            axes.axvline(0, color="#000000", linewidth=0.8)
            for row, pair in enumerate(shown):
                if found := difference(study, case, pair.a, pair.b):
                    low, mean, high = (100 * x for x in (found.relative.low, found.relative.mean, found.relative.high))
                    colour = colours[pair]
                    axes.plot([low, high], [row, row], color=colour, linewidth=1.6)
                    face = "#ffffff" if found.verdict == "none" else colour
                    axes.plot([mean], [row], marker="o", markersize=6, color=colour, markerfacecolor=face)
            axes.set_yticks(range(len(shown)), [str(pair) for pair in shown])
            axes.set_ylim(len(shown) - 0.5, -0.5)
            axes.grid(axis="x", **GRID)
            axes.set_axisbelow(True)
        figure.supxlabel("difference in bits per byte, % (95% CI); left of 0: the first needs fewer bits", fontsize=10)
        return svg(figure, title)


def curve_picture(study: Study, cases: Sequence[Case], title: str) -> str | None:
    """Mean over seeds, with a band from the lowest to the highest."""
    with mpl.rc_context(STYLE):
        # each panel has its own height: positions differ by more than recipes do
        figure, panels = _panels(cases, title, height=4.0, same_height=False)
        for axes, case in zip(panels, cases, strict=True):
            late: list[float] = []
            for recipe in DRAWN:
                curve = _curve(study.grid(case, recipe))
                if curve is None:
                    continue
                steps, bits = curve
                axes.fill_between(steps, bits.min(0), bits.max(0), color=COLOURS[recipe], alpha=0.18, linewidth=0)
                axes.plot(steps, bits.mean(0), color=COLOURS[recipe], linewidth=1.4, label=recipe)
                late += bits[:, steps >= study.full_steps(case) / 4].ravel().tolist()
            if late:
                margin = 0.05 * (max(late) - min(late)) + 1e-6
                axes.set_ylim(min(late) - margin, max(late) + margin)
            _finish(axes, "training step")
        panels[0].set_ylabel("validation bits per byte")
        return _with_legend(figure, panels, title)


def steps_picture(study: Study, cases: Sequence[Case], title: str) -> str | None:
    """Annealed runs, by length: how far from dense at its full length. None where only one length was trained.

    A line through the means, a dot a seed.
    """
    found = {case: {recipe: reach(study, case, recipe) for recipe in DRAWN} for case in cases}
    shown = [case for case in cases if any(each and len(each.lengths) > 1 for each in found[case].values())]
    if not shown:
        return None
    with mpl.rc_context(STYLE):
        figure, panels = _panels(shown, title, height=3.6)
        for axes, case in zip(panels, shown, strict=True):
            axes.axhline(0, color="#000000", linewidth=0.8, linestyle="--")
            for recipe, each in found[case].items():
                if each:
                    lengths, means = zip(*((length.steps, length.mean) for length in each.lengths), strict=True)
                    axes.plot(lengths, means, color=COLOURS[recipe], linewidth=1.4, label=recipe)
                    seeds = [(length.steps, gap) for length in each.lengths for gap in length.gaps]
                    axes.plot(*zip(*seeds, strict=True), "o", color=COLOURS[recipe], markersize=3)
            _finish(axes, "steps of the whole run")
        panels[0].set_ylabel("validation bits per byte,\nless dense's at full length")
        return _with_legend(figure, panels, title)


def _curve(runs: Mapping[int, Run]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]] | None:
    """Steps [T] that every seed has, and bits per byte [S,T]."""
    every = [dict(run.curve) for run in runs.values()]
    common = sorted(set.intersection(*(set(each) for each in every))) if every else []
    if not common:
        return None
    return np.array(common), np.array([[each[step] for step in common] for each in every])


def _panels(cases: Sequence[Case], title: str, height: float, same_height: bool = True) -> tuple[Figure, list[Axes]]:
    """A panel for each case, named by its positions."""
    figure = Figure(figsize=(2.6 + 3.3 * len(cases), height), layout="constrained")
    panels = [figure.add_subplot(1, len(cases), place) for place in range(1, len(cases) + 1)]
    for axes, case in zip(panels, cases, strict=True):
        axes.set_title(case.positions, fontsize=10)
    for axes in panels[1:] if same_height else []:
        axes.sharey(panels[0])
        axes.tick_params(labelleft=False)
    figure.suptitle(title, fontsize=11)
    return figure, panels


def _finish(axes: Axes, below: str) -> None:
    axes.set_xlabel(below)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.grid(axis="y", **GRID)
    axes.set_axisbelow(True)


def _with_legend(figure: Figure, panels: Sequence[Axes], title: str) -> str | None:
    """One legend for all panels; None where nothing was drawn."""
    named = {label: line for axes in panels for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    if not named:
        return None
    order = sorted(named, key=lambda name: rank("recipe", name))
    columns = min(len(order), int(figure.get_figwidth() / WIDEST_LABEL))
    figure.legend([named[n] for n in order], order, loc="outside lower center", ncols=columns, frameon=False)
    return svg(figure, title)
