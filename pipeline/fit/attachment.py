"""The table `lexicons/tables/attachment.tsv`: which words a parser leaves apart although the treebank joins them.

A parser makes few errors on what it was trained on, so each treebank file comes with a parser that has not seen it: two
halves of a treebank, each parsed by a pipeline that `valency fit parser` made from the other half (jack-knifing). Over
all pairs that dependency and escape bonds may choose from, a logistic regression tells those with a gold arc from those
without. Its coefficients, with a Gaussian prior around zero, are the log-odds of the table; families of
pipeline.bonds.chance are its variables. Dependency and border pairs are fitted apart, each with its own intercept,
which is dealt out over the rows of the first family.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.annotate import annotate
from pipeline.bonds.chance import FAMILIES, Codes
from pipeline.bonds.dependency import candidates
from pipeline.bonds.escape import border_candidates
from pipeline.bonds.kin import ANCESTORS
from pipeline.corpus import Document, read_documents
from pipeline.fit.regression import Row, named_rows, regression, write_table
from pipeline.overlap import among, gold_arcs
from pipeline.parsers import Parser, load_parser
from pipeline.records import Words

Design = tuple[dict[str, Codes], NDArray[np.bool_]]
"""Entries by family [E], and whether the pair has a gold arc [E]."""

PRIOR = 3.0
"""Precision of the prior on each log-odds, chosen on EWT dev; 1 and 6 are within 0.001 of its recall."""
MOST_HOPS = ANCESTORS


def fit_attachment(treebanks: Sequence[tuple[Path, Parser]], out: Path, prior: float = PRIOR) -> dict[str, int]:
    """Write the table; treebanks: files, each with a parser that has not been trained on it. Returns what was counted.

    Raises ValueError for a treebank that cannot be parsed.
    """
    parsed = [gold_and_parsed(path, parser) for path, parser in treebanks]
    names = " and ".join(path.name for path, _ in treebanks)
    rows, counts = fit_rows(parsed, prior)
    title = [
        f"# Log-odds that the treebank joins two words that the parse leaves apart, from {names};",
        "# a pair's are the sum over families. Made by pipeline/fit/attachment.py; not edited by hand.",
    ]
    write_table(title, rows, out)
    return counts


def fit_rows(parsed: Sequence[tuple[Words, Words]], prior: float = PRIOR) -> tuple[list[Row], dict[str, int]]:
    """The rows of the table from (gold words, parser's words) of the same documents, and pairs and arcs counted."""
    rows: list[Row] = []
    counts: dict[str, int] = {}
    for name, index, truth in (
        ("tree", *_joined(design(gold, words, border=False) for gold, words in parsed)),
        ("border", *_joined(design(gold, words, border=True) for gold, words in parsed)),
    ):
        counts |= {f"{name}_pairs": len(truth), f"{name}_arcs": int(truth.sum())}
        rows += named_rows(regression(index, FAMILIES, truth, prior), FAMILIES)
    return rows, counts


def gold_and_parsed(path: Path, parser: Parser) -> tuple[Words, Words]:
    """The words of a treebank and those that a parser finds in its texts, annotated, document for document.

    Raises ValueError if the file is no sound treebank, or if the parser fails on a document.
    """
    documents = list(read_documents([path]))
    sound = [document for document in documents if isinstance(document, Document)]
    gold, unread = load_parser("conllu", str(path)).parse(sound)
    words, failed = parser.parse(sound)
    broken = unread | failed | {one.id: one.reason for one in documents if not isinstance(one, Document)}
    if broken:
        name, reason = next(iter(broken.items()))
        raise ValueError(f"{len(broken)} documents of {path} fail; repair the file. The first, {name}: {reason}")
    return gold, annotate(words)


def design(gold: Words, words: Words, *, border: bool) -> Design:
    """All pairs that dependency (or border) bonds of the words choose from, each once."""
    size = len(words)
    arcs = gold_arcs(gold, words)
    told = [np.minimum(a, b)[there] * size + np.maximum(a, b)[there] for a, b, there in arcs.readings()]
    truth = np.unique(np.concatenate(told))
    if border:
        found = [(query, key, index) for _, query, key, index in border_candidates(words)]
    else:
        found = [(each.query, each.key, each.entries()) for each in candidates(words, MOST_HOPS)]
    query, key = (np.concatenate([each[side] for each in found]) for side in (0, 1))
    index = {family: np.concatenate([each[2][family] for each in found]) for family in found[0][2]}
    return index, among(np.minimum(query, key) * size + np.maximum(query, key), truth)


def _joined(parts: Iterable[Design]) -> Design:
    every = list(parts)
    families = every[0][0]
    index = {family: np.concatenate([each[family] for each, _ in every]) for family in families}
    return index, np.concatenate([truth for _, truth in every])
