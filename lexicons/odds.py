"""Fitted tables of log-odds that a person can read: one number a row, what is likely is the sum of a few.

attachment.tsv   two words are joined by an arc that the parser missed (pipeline/fit/attachment.py made it)
salience.tsv     a word is what a pronoun stands for (pipeline/fit/salience.py)
"""

import csv
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lexicons.tables import table

Families = Mapping[str, tuple[Sequence[str], Sequence[str]]]
"""Family → the names of its rows and columns; an entry's number is row · columns + column."""


@cache
def log_odds(file: Path) -> Mapping[tuple[str, str, str], float]:
    """(family, one, other) → natural log-odds; what is not there counts nothing."""
    lines = (line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    rows = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    return {(family, one, other): float(value) for family, one, other, value in rows if family != "family"}


def weights(families: Families, name: str) -> dict[str, NDArray[np.float32]]:
    """float32 [rows · columns] by family; name: of the table, such as `attachment.tsv`."""
    told = log_odds(table(name))
    return {
        family: np.array([told.get((family, one, other), 0.0) for one in ones for other in others], dtype=np.float32)
        for family, (ones, others) in families.items()
    }
