"""Test suites that a run is put to, by name, where each lies under VALENCY_DATA, and what to fetch if it does not."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from model.evaluate.blimp import blimp
from model.evaluate.gap import gap
from model.evaluate.imdb import imdb
from model.evaluate.text import TextModel

Told = Callable[[str, int, int], None]
"""Called with a part's name, how much of it is done, and of how much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A test suite."""

    files: tuple[str, ...]
    """What must be there, from the folder of the corpora."""
    source: str
    """Where it comes from, and its licence."""
    most: int | None
    """Cases that are read if nobody says how many; None: all."""
    score: Callable[[TextModel, Path, int | None, int, Told], Mapping[str, object]]
    """(run, folder of the corpora, most, seed, told) -> scores."""


def _blimp(text: TextModel, data: Path, most: int | None, seed: int, told: Told) -> Mapping[str, object]:
    file = data / SUITES["blimp"].files[0]
    return blimp(text, file, most, seed, lambda _name, done, total: told("sets of blimp", done, total))


def _gap(text: TextModel, data: Path, most: int | None, seed: int, told: Told) -> Mapping[str, object]:
    def told_of(name: str) -> Callable[[int, int], None]:
        return lambda done, total: told(name, done, total)

    files = [Path(file) for file in SUITES["gap"].files]
    return {file.stem: gap(text, data / file, most, seed, told_of(file.stem)) for file in files}


def _imdb(text: TextModel, data: Path, most: int | None, seed: int, told: Told) -> Mapping[str, object]:
    return imdb(text, data / "lra" / "imdb", most, seed, told)


SUITES: dict[str, Suite] = {
    "blimp": Suite(
        files=("blimp/blimp_data.zip",),
        source="the 67 sets of github.com/alexwarstadt/blimp (CC BY 4.0), zipped",
        most=None,
        score=_blimp,
    ),
    "gap": Suite(
        files=("gap/gap-development.tsv", "gap/gap-validation.tsv"),
        source="github.com/google-research-datasets/gap-coreference (Apache-2.0)",
        most=None,
        score=_gap,
    ),
    "imdb": Suite(
        files=("lra/imdb/train.jsonl.xz", "lra/imdb/test.jsonl.xz"),
        source="the Large Movie Review Dataset 1.0 of Maas et al. 2011, a JSON object with label and text a line",
        most=2_000,
        score=_imdb,
    ),
}


def check_data(name: str, data: Path) -> None:
    """Errors: ValueError that says what to fetch, and where to put it, if a suite's files are not there."""
    suite = SUITES[name]
    for file in suite.files:
        if not (data / file).is_file():
            raise ValueError(
                f"{name} is not at {data / file}; fetch {suite.source}, lay it at {file} in a folder of corpora, and "
                "let VALENCY_DATA (or --data) name that folder"
            )
