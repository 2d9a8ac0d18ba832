"""The page: eight sections of Markdown, and the pictures beside it."""

import os
from pathlib import Path

from flows.study_report.answers import answers, told
from flows.study_report.load import load_study
from flows.study_report.method import method
from flows.study_report.pictures import pictures
from flows.study_report.records import Study
from flows.study_report.rows import grid_tables
from flows.study_report.sections import curves, differences, leaks, steps
from flows.study_report.tuning import tuning

PICTURES = "pictures"


def write_results(file: Path, out: Path) -> Study:
    """Read a study's lines and articles; write the page, and its pictures into a folder beside it.

    The same study gives the same bytes. Errors: as `load_study`.
    """
    study = load_study(file)
    drawn = pictures(study)
    folder = out.parent / PICTURES
    folder.mkdir(parents=True, exist_ok=True)
    for kind in drawn.values():
        for name, picture in kind.values():
            (folder / name).write_text(picture, encoding="utf-8")
    source = Path(os.path.relpath(file, out.parent)).as_posix()
    paths = {kind: {title: f"{PICTURES}/{name}" for title, (name, _) in each.items()} for kind, each in drawn.items()}
    out.write_text(page(study, source, paths), encoding="utf-8")
    return study


def page(study: Study, source: str, paths: dict[str, dict[str, str]]) -> str:
    """source: the study's file, as a link; paths: of pictures on the page, by kind and title."""
    spoken = told(study)
    parts = [
        "# Results",
        f"Made by `valency report` from [{Path(source).name}]({source}) and the articles beside it; no number of ours "
        "comes from elsewhere, and no sentence about them was written by hand.",
        answers(study),
        method(study),
        grid_tables(study, spoken),
        differences(study, paths["differences"], spoken),
        curves(paths["curves"]),
        steps(study, paths["steps"], spoken),
        tuning(study),
        leaks(study),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
