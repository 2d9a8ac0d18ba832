"""Figures on one HTML page that loads nothing, and beside it as SVG and PNG files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import matplotlib as mpl
from matplotlib.figure import Figure

from flows.report.pictures import svg

DOTS = 150
"""Of an inch of a PNG."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A figure on a page."""

    name: str
    """Of its files: letters and dashes."""
    title: str
    caption: str
    figure: Figure | str
    """A figure, or SVG that something else has drawn, which is on the page alone."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under a head."""

    title: str
    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def write_page(
    file: Path, title: str, lead: str, shown: Sequence[Shown], tables: Sequence[Table] = (), command: str = ""
) -> list[Path]:
    """Write the page, and each figure as `<page>-<name>.svg` and `.png` beside it; returns all files written."""
    drawn, files = [], [file]
    file.parent.mkdir(parents=True, exist_ok=True)
    for each in shown:
        if isinstance(each.figure, str):
            drawn.append(each.figure)
            continue
        with mpl.rc_context({"svg.hashsalt": "valency", "svg.fonttype": "path"}):
            drawn.append(svg(each.figure, each.title))
        picture = file.with_name(f"{file.stem}-{each.name}.svg")
        picture.write_text(drawn[-1], encoding="utf-8")
        each.figure.savefig(picture.with_suffix(".png"), dpi=DOTS, metadata={"Software": "valency"})
        files += [picture, picture.with_suffix(".png")]
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("flows", "pictures"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    page = templates.get_template("page.html").render(
        title=title, lead=lead, shown=list(zip(shown, drawn, strict=True)), tables=tables, command=command
    )
    file.write_text(page, encoding="utf-8")
    return files
