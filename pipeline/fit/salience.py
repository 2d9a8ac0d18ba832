"""The table `lexicons/tables/salience.tsv`: what makes a word what a pronoun stands for, learnt from GAP.

Every candidate of a pronoun that agrees with it and that the principles allow is one observation of a logistic
regression with a Gaussian prior; its variables are the families of pipeline.bonds.salience, and the true antecedents
are those that the corpus names. A true antecedent may be mentioned more than once, and GAP marks one mention.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.annotate import annotate
from pipeline.bonds.binding import antecedents
from pipeline.bonds.clauses import clauses
from pipeline.bonds.config import BondConfig
from pipeline.bonds.mentions import mentions
from pipeline.bonds.nominals import nominals
from pipeline.bonds.salience import FAMILIES, entries
from pipeline.fit.regression import Row, named_rows, regression, write_table
from pipeline.gap import Case, read_gap, rows_of
from pipeline.parsers import Parser
from pipeline.records import Words

PRIOR = 3.0
"""Precision of the prior on each log-odds, chosen by fitting on one half of GAP development for the other."""


def fit_salience(gap: Path, parser: Parser, out: Path, prior: float = PRIOR) -> dict[str, int]:
    """Write the table from a file of GAP; returns what was counted. ValueError if a text cannot be parsed."""
    cases = read_gap(gap)
    words, failed = parser.parse([case.document for case in cases])
    if failed:
        raise ValueError(f"{len(failed)} texts of {gap} cannot be parsed, first {next(iter(failed.items()))}")
    rows, counts = fit_rows(annotate(words), cases, prior)
    title = [
        f"# Log-odds that a candidate is what a pronoun stands for, from {gap.name} of GAP (Webster et al. 2018;",
        "# Apache licence 2.0); a candidate's are the sum over families. Made by pipeline/fit/salience.py.",
    ]
    write_table(title, rows, out)
    return counts


def fit_rows(words: Words, cases: Sequence[Case], prior: float = PRIOR) -> tuple[list[Row], dict[str, int]]:
    """The rows of the table, and the candidates, antecedents and pronouns counted; words: annotated."""
    said = clauses(words)
    phrases, named = nominals(words, said), mentions(words)
    found = antecedents(words, said, phrases, named, BondConfig())
    general, sexed = entries(words, phrases, named, found.query, found.key, found.inside)
    asked = np.zeros(len(words), dtype=bool)
    true: set[tuple[int, int]] = set()
    for pronoun, heads in rows_of(words, cases):
        asked[pronoun] = True
        true |= {(row, head) for row in pronoun for head in heads}
    counted = np.flatnonzero(asked[found.query])
    pairs = zip(found.query[counted].tolist(), found.key[counted].tolist(), strict=True)
    truth = np.fromiter((pair in true for pair in pairs), bool, len(counted))
    index = {family: codes[counted] for family, codes in (general | sexed).items()}
    counts = {"candidates": len(counted), "antecedents": int(truth.sum()), "pronouns": len(cases)}
    return named_rows(regression(index, FAMILIES, truth, prior), FAMILIES), counts
