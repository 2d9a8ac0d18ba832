"""The page: what was counted, what was trained, and the pictures, put into one HTML template."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jinja2

from flows.report.pictures import bonds_per_word, learning_curves, masks
from flows.report.sentence import sentence_of
from flows.report.views import masks_of
from model.config import load_recipe
from model.run import RECIPE, load_result, read_curve
from pipeline.cache import Cache
from pipeline.records import KINDS

QUARANTINED_SHOWN = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """A finished run directory as the report shows it."""

    name: str
    result: Mapping[str, Any]
    """result.json."""
    views: Sequence[str]
    """The view of each head."""
    curve: Sequence[tuple[int, float]]
    """(step, held-out bits per byte)."""

    @classmethod
    def read(cls, name: str, folder: Path) -> "RunFolder":
        wanted = "validation_bits_per_byte"
        points = [(line["step"], line[wanted]) for line in read_curve(folder) if wanted in line]
        result = load_result(folder)
        if result is None:
            raise ValueError(f"{folder} holds no finished run; train it first")
        views = [str(view) for view in load_recipe(folder / RECIPE).model.head_views()]
        return cls(name=name, result=asdict(result), views=views, curve=points)

    @property
    def mark(self) -> str:
        return "leak-free" if self.result["leak_free"] else "leaky"


def write_report(
    cache: Cache,
    runs: Sequence[RunFolder],
    summary: Mapping[str, Any],
    quarantined: Mapping[str, str],
    file: Path,
) -> None:
    """Write the report.

    summary: what `valency run --json` gives; quarantined: reason by document. All numbers of the page come from these
    and from the runs.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    views, pieces = masks_of(cache, [run.views for run in runs])
    page = environment.get_template("report.html").render(
        title=f"Bonds and two models: {summary['corpus']}",
        figures=_figures(summary),
        runs=[_row(run) for run in runs],
        verdict=_verdict(runs),
        leak_note=_leak_note(runs),
        curves=learning_curves({run.name: run.curve for run in runs}, {run.name: run.mark for run in runs}),
        sentence=sentence_of(cache),
        rates=bonds_per_word(_rates(summary)),
        rates_note=f"Counted over all {summary['words']:,} words; a bond counts once, at the word that looks.",
        masks=masks(views, pieces),
        quarantined=list(quarantined.items())[:QUARANTINED_SHOWN],
        command=summary["command"],
        provenance=_provenance(summary, runs),
    )
    file.write_text(page, encoding="utf-8")


def _figures(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    counted = [(name, f"{summary[name]:,}") for name in ("documents", "sentences", "words", "bonds", "pieces")]
    return [*counted, ("cache", f"{summary['cache_bytes'] / 1e6:.1f} MB")]


def _rates(summary: Mapping[str, Any]) -> dict[str, float]:
    made = summary["bonds_by_kind"]
    return {kind: made[kind] / max(summary["words"], 1) for kind in KINDS if made.get(kind)}


def _row(run: RunFolder) -> dict[str, object]:
    scores = run.result["bits_per_byte"]
    same = {name: run.result[name] for name in ("parameters", "steps", "pieces_per_second", "leak_free")}
    return same | {
        "name": run.name,
        "views": grouped(run.views),
        "validation": scores["validation"],
        "test": scores.get("test"),
        "mark": run.mark,
    }


def grouped(views: Sequence[str]) -> str:
    """`2 × dense, 6 × sentence`."""
    return ", ".join(f"{views.count(view)} × {view}" for view in dict.fromkeys(views))


def _verdict(runs: Sequence[RunFolder]) -> str:
    """What the held-out numbers say, in words that claim no more than one seed allows."""
    scores = {run.name: run.result["bits_per_byte"]["validation"] for run in runs}
    best = min(scores, key=scores.__getitem__)
    others = [
        f"{name} needs {100 * (score / scores[best] - 1):.1f}% more" for name, score in scores.items() if name != best
    ]
    return f"On held-out documents “{best}” needs {scores[best]:.4f} bits per byte; {'; '.join(others)}. One seed each."


def _leak_note(runs: Sequence[RunFolder]) -> str:
    said = ", ".join(f"{run.name} {run.result['max_change']:.1e}" for run in runs)
    return (
        "Leak-free is measured, not declared: held-out documents are cut, inside words too, what follows is replaced, "
        "everything is computed again, and nothing that the model was given before the cut may move. "
        f"Largest relative change of a logit: {said}."
    )


def _provenance(summary: Mapping[str, Any], runs: Sequence[RunFolder]) -> list[tuple[str, str]]:
    versions = ", ".join(f"{name} {number}" for name, number in summary["versions"].items())
    seeds = ", ".join(f"{run.name} {run.result['seed']}" for run in runs)
    return [("commit", summary["commit"]), ("device", summary["device"]), ("seeds", seeds), ("versions", versions)]
