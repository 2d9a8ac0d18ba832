"""Overlap as pictures: layers × heads, a map a kind, the trained model above the untrained one."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from flows.pictures.page import Shown, Table
from flows.report.pictures import STYLE

REACHES = {
    0.5: ("≤ 0.7", "0.84", "1", "1.2", "≥ 1.4"),
    1.0: ("≤ ½", "0.7", "1", "1.4", "≥ 2"),
    2.0: ("≤ ¼", "½", "1", "2", "≥ 4"),
}
"""How far the colours may reach, in doublings, and what their scale then says."""
ACROSS = 3
"""Maps side by side: more would be too small on a page."""
LARGEST = 160
"""Cells of a map that can hold their number."""


def heat_maps(heads: Mapping[str, Any], control: str, variant: str) -> Figure:
    """A map [layers, heads] for each kind and model: how many times a control's weight a bonded pair gets.

    heads: as `flows.overlap.overlap` gives them. Numbers in bold: the interval leaves 1 out.
    """
    models, kinds = list(heads), list(next(iter(heads.values())))
    with mpl.rc_context(STYLE | {"font.size": 8}):
        layers, across = (np.array(heads[models[0]][kinds[0]][variant]["mass"], float)).shape
        wide = min(len(kinds), ACROSS)
        bands = -(-len(kinds) // wide)
        size = (1.6 + (0.30 * across + 0.30) * wide, 0.4 + (0.30 * layers + 0.40) * len(models) * bands)
        reach = _reach(
            np.array([h[k][variant]["ratio"][control]["value"] for h in heads.values() for k in kinds], float)
        )
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(len(models) * bands, wide, squeeze=False)
        image = None
        for (row, column), plot in np.ndenumerate(axes):
            number, model = row // len(models) * wide + column, models[row % len(models)]
            if number >= len(kinds):
                plot.set_axis_off()
                continue
            cell = heads[model][kinds[number]][variant]["ratio"][control]
            value, low, high = (_numbers(cell[end]) for end in ("value", "low", "high"))
            shade = np.log2(np.where(value > 0, value, np.nan))
            image = plot.imshow(np.ma.masked_invalid(shade), cmap="PuOr_r", vmin=-reach, vmax=reach, aspect="equal")
            plot.set_facecolor("#e4e4e0")
            _frame(plot, layers, across)
            if value.size <= LARGEST:
                _write(plot, value, (low > 1) | (high < 1), reach)
            plot.set_title(f"{kinds[number]}, {model}")
            if column == 0:
                plot.set_ylabel("layer")
            if row % len(models) == len(models) - 1:
                plot.set_xlabel("head")
        assert image is not None
        bar = figure.colorbar(image, ax=axes, shrink=0.5, pad=0.02)
        bar.set_ticks(np.linspace(-reach, reach, 5).tolist(), labels=REACHES[reach])
        bar.set_label(f"times a pair of {control}")
        return figure


def overlap_page(result: Mapping[str, Any]) -> tuple[list[Shown], list[Table]]:
    """Figures and tables of a result of `flows.overlap.overlap`."""
    variant = "none of these"
    shown = [
        Shown(
            name=control,
            title=f"Weight of bonded pairs, against {control}",
            caption=(
                f"Mean attention weight of a pair of words joined by a bond, over that of a pair of {control}; without "
                "the word itself, the first piece and punctuation. Above 1 (orange) a head looks along bonds more than "
                "along the control. Bold: the 95% interval over documents leaves 1 out; with this many cells one in "
                "twenty does so by chance. Below: the same model before any training."
            ),
            figure=heat_maps(result["heads"], control, variant),
        )
        for control in reversed(result["head_controls"])
    ]
    return shown, [_ratios(result, variant), _variants(result), _best(result)]


def _ratios(result: Mapping[str, Any], variant: str) -> Table:
    rows = [row for row in result["summary"] if row["variant"] == variant]
    controls = list(rows[0]["ratio"])
    return Table(
        title="All heads together",
        caption=(
            "How many times a control's weight a bonded pair gets, with 95% intervals by the bootstrap over documents; "
            f"variant: {variant}, i.e. without the word itself, the first piece and punctuation. What an untrained "
            "model has, too, was not learnt: words of many pieces, as names are, get more of any attention."
        ),
        head=["kind", "model", "pairs", *controls],
        rows=[
            [row["kind"], name, f"{row['pairs']:,}", *(interval(row[ratio][each]) for each in controls)]
            for row in sorted(rows, key=lambda row: str(row["kind"]))
            for ratio, name in (("ratio", row["model"]), ("ratio_over_untrained", "trained / untrained"))
            if row[ratio]
        ],
    )


def _variants(result: Mapping[str, Any]) -> Table:
    rows = [row for row in result["summary"] if row["kind"] == "all kinds"]
    return Table(
        title="What is left out",
        caption="All kinds together: share of attention a pair gets, and its ratio to same-distances, by what is out.",
        head=["variant", "model", "mass", "count", "top-k", "mass / same-distances"],
        rows=[
            [
                row["variant"],
                row["model"],
                *(_number(row[metric]["bonds"]) for metric in ("mass", "count", "top-k")),
                interval(row["ratio"]["same-distances"]),
            ]
            for row in rows
        ],
    )


def _best(result: Mapping[str, Any]) -> Table:
    return Table(
        title="The best head of each kind",
        caption="Chosen on the validation documents by its ratio to same-distances, scored on the test documents.",
        head=["kind", "model", "layer", "head", "ratio"],
        rows=[
            [row["kind"], row["model"], str(row["layer"]), str(row["head"]), interval(row["ratio"])]
            for row in sorted(result["best"], key=lambda row: str(row["kind"]))
        ],
    )


def interval(values: Sequence[float | None]) -> str:
    """`1.23 (1.10 to 1.40)`."""
    value, low, high = values
    if value is None:
        return "–"
    return f"{value:.2f}" + (f" ({low:.2f} to {high:.2f})" if low is not None and high is not None else "")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _numbers(cells: Sequence[Sequence[float | None]]) -> NDArray[np.float64]:
    return np.array([[np.nan if each is None else each for each in row] for row in cells])


def _reach(ratios: NDArray[np.float64]) -> float:
    """The least reach that holds 19 of 20 cells."""
    far = np.abs(np.log2(ratios[ratios > 0]))
    return next((reach for reach in REACHES if not len(far) or np.quantile(far, 0.95) <= reach), max(REACHES))


def _frame(plot: "mpl.axes.Axes", layers: int, heads: int) -> None:
    plot.set_xticks(range(heads))
    plot.set_yticks(range(layers))
    plot.tick_params(length=0, labelsize=7)
    for spine in plot.spines.values():
        spine.set_visible(False)


def _write(plot: "mpl.axes.Axes", value: NDArray[np.float64], sure: NDArray[np.bool_], reach: float) -> None:
    for (layer, head), each in np.ndenumerate(value):
        if not np.isnan(each):
            said = f"{each:.0f}" if each >= 10 else f"{each:.2f}"
            dark = abs(np.log2(max(each, 1e-9))) > 0.6 * reach
            weight = "bold" if sure[layer, head] else "normal"
            ink = "#fff" if dark else "#111"
            plot.text(head, layer, said, ha="center", va="center", fontsize=6, fontweight=weight, color=ink)
