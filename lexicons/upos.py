"""The 17 universal part-of-speech tags, and which two of them may be joined by an arc.

The matrix is estimated on UD English EWT (train) and stands in `lexicons/tables/upos.tsv`, where a person can read
every number; `lexicons/compile/upos.py` says how it was counted.
"""

import csv
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lexicons.tables import table

UPOS: tuple[str, ...] = (
    *("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM"),
    *("PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X"),
)
"""The tags of Universal Dependencies v2, in alphabetical order; a tag's number is its position."""

UPOS_INDEX: dict[str, int] = {tag: position for position, tag in enumerate(UPOS)}


@cache
def compatible(file: Path | None = None) -> NDArray[np.bool_]:
    """bool [17, 17], read-only: may a word of the row's tag and one of the column's tag be joined by an arc?

    Symmetric: which of the two is the head is not asked. file: as for `lift_table`.
    """
    matrix = np.zeros((len(UPOS), len(UPOS)), dtype=bool)
    for row in lift_table(file):
        one, other = UPOS_INDEX[row["tag"]], UPOS_INDEX[row["other"]]
        matrix[one, other] = matrix[other, one] = row["compatible"] == "yes"
    matrix.flags.writeable = False
    return matrix


@cache
def lift_table(file: Path | None = None) -> tuple[dict[str, str], ...]:
    """The table as it is written, a row an unordered pair: tag, other, pairs, arcs, expected, lift, compatible.

    file: one that `valency fit upos` made from another treebank; None: the one that ships.
    """
    lines = (file or table("upos.tsv")).read_text(encoding="utf-8").splitlines()
    return tuple(csv.DictReader((line for line in lines if not line.startswith("#")), delimiter="\t"))
