"""GAP: pronouns of Wikipedia with two names each and which of them they stand for (Webster et al. 2018).

The file is tab-separated: ID, Text, Pronoun, Pronoun-offset, A, A-offset, A-coref, B, B-offset, B-coref, URL.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.corpus import Document
from pipeline.records import Words

COLUMNS = ("ID", "Text", "Pronoun", "Pronoun-offset", "A", "A-offset", "A-coref", "B", "B-offset", "B-coref")


@dataclass(frozen=True, slots=True)
class Case:
    """One pronoun: its snippet, and where pronoun and true antecedents begin and end in it."""

    document: Document
    pronoun: tuple[int, int]
    antecedents: tuple[tuple[int, int], ...]
    """Empty if it stands for neither name."""
    names: tuple[tuple[int, int], tuple[int, int]]
    """The two names that it may stand for."""


def read_gap(path: Path) -> list[Case]:
    """The cases of a file, in order. ValueError if a column is missing."""
    with path.open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        if missing := [name for name in COLUMNS if name not in (rows.fieldnames or ())]:
            raise ValueError(f"{path} has no column {missing[0]!r}; give a file of GAP such as gap-development.tsv")
        return [_case(row) for row in rows]


def _case(row: dict[str, str]) -> Case:
    def span(name: str) -> tuple[int, int]:
        begin = int(row[f"{name}-offset"])
        return begin, begin + len(row[name])

    document = Document(id=row["ID"], source="gap", split="test", language="en", text=row["Text"])
    true = tuple(span(name) for name in "AB" if row[f"{name}-coref"] == "TRUE")
    return Case(document, span("Pronoun"), true, (span("A"), span("B")))


def rows_of(words: Words, cases: Sequence[Case]) -> list[tuple[list[int], list[int]]]:
    """Of each case the rows of its pronoun, and of the heads of its antecedents: words of the name that hang outside.

    words: of the cases' documents, in any order; a document without words has no rows.
    """
    place = {name: number for number, name in enumerate(words.documents)}
    bounds = np.searchsorted(words.document, np.arange(len(place) + 1)).tolist()
    found = []
    for case in cases:
        number = place.get(case.document.id)
        first, stop = (bounds[number], bounds[number + 1]) if number is not None else (0, 0)
        heads = []
        for span in case.antecedents:
            name = _covering(words, first, stop, span)
            heads += [row for row in name if int(words.head[row]) not in name]
        found.append((_covering(words, first, stop, case.pronoun), heads))
    return found


def _covering(words: Words, first: int, stop: int, span: tuple[int, int]) -> list[int]:
    """Rows of the words of a document that share a character with the span."""
    inside = (words.end[first:stop] > span[0]) & (words.start[first:stop] < span[1])
    return (first + np.flatnonzero(inside)).tolist()
