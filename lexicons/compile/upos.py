"""Which pairs of tags may be joined by an arc: how much oftener than their distance explains.

Of all pairs of words at distance d in one sentence of the treebank, an arc joins the share p(d). For an unordered pair
of tags, *expected* is the sum of p(d) over its pairs of words, *arcs* what the treebank has, and
lift = (arcs + PRIOR) / (expected + PRIOR). Tags whose lift is at least THRESHOLD are compatible. Distance is taken out
because next neighbours of any tags are joined often; what is left is grammar.

THRESHOLD is the highest step of 0.05 that keeps 97% of the arcs of EWT's development part (97.4%), which took no part
in the counting (`docs/lexicons.md` has the curve). `fit_upos` does the same for the treebank of any language.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lexicons.compile.conllu import sentences
from lexicons.upos import UPOS, UPOS_INDEX

THRESHOLD = 0.25
"""Least lift of a compatible pair."""
PRIOR = 1.0
"""Arcs added to both counts, so that a pair of tags seen once or twice says nothing."""
LEAST_ARCS = 0.97
"""Share of a development part's arcs that compatible pairs must keep."""
STEPS = (*(round(0.05 * step, 2) for step in range(1, 21)), 1.25, 1.5, 2.0)
"""Thresholds of the curve."""
FAR = 50
"""Words farther apart are counted as this far apart."""

Counts = NDArray[np.int64]


def compile_upos(train: Path, out: Path, threshold: float = THRESHOLD) -> Path:
    """Write `upos.tsv`, one row an unordered pair of tags with its counts, lift and verdict; return its path."""
    return _write(train, count_pairs(train), out / "upos.tsv", threshold)


def fit_upos(train: Path, dev: Path, out: Path, least_arcs: float = LEAST_ARCS) -> dict[str, Any]:
    """Write the table of any treebank to the file `out`; the threshold is the highest step of 0.05 that keeps
    `least_arcs` of the arcs of dev. Returns threshold and curve, measured on dev.

    Raises ValueError if a treebank has no arcs, or if no step keeps as many.
    """
    counted = count_pairs(train)
    curve = list(threshold_curve(_lift(*counted)[1], dev))
    fitting = [row["threshold"] for row in curve if row["arcs"] >= least_arcs and row["threshold"] <= 1]
    if not fitting:
        raise ValueError(f"no threshold keeps {least_arcs:.0%} of the arcs of {dev.name}; ask for fewer, at most 0.99")
    _write(train, counted, out, max(fitting))
    return {"threshold": max(fitting), "curve": curve}


def threshold_curve(lift: NDArray[np.float64], treebank: Path) -> Iterator[dict[str, float]]:
    """One row a threshold: threshold, tag pairs kept (unordered), share of arcs, share of pairs of words (density).

    lift: float64 [17, 17]; its upper triangle counts.
    """
    pairs, arcs = (counts.sum(axis=-1) for counts in count_pairs(treebank))
    if not arcs.sum():
        raise ValueError(f"{treebank} has no arcs; give a CoNLL-U file with heads")
    for threshold in STEPS:
        kept = np.triu(lift >= threshold)
        shares = {"arcs": arcs[kept].sum() / arcs.sum(), "pairs_of_words": pairs[kept].sum() / pairs.sum()}
        rounded = {name: round(float(share), 4) for name, share in shares.items()}
        yield {"threshold": threshold, "tag_pairs": int(kept.sum()), **rounded}


def _lift(pairs: Counts, arcs: Counts) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """float64 [17, 17] twice: the arcs that distances alone would make, and the lift; as written, to three places."""
    expected = (pairs * _arc_rate(pairs, arcs)).sum(axis=-1)
    return expected, np.round((arcs.sum(axis=-1) + PRIOR) / (expected + PRIOR), 3)


def _write(train: Path, counted: tuple[Counts, Counts], path: Path, threshold: float) -> Path:
    total, found = (counts.sum(axis=-1) for counts in counted)
    expected, lifts = _lift(*counted)
    rows = [
        f"# Lift of an arc between two tags over what their distance explains, from {train.name};",
        f"# compatible: lift of at least {threshold}. Made by lexicons/compile/upos.py; not edited by hand.",
        "tag\tother\tpairs\tarcs\texpected\tlift\tcompatible",
    ]
    for one, tag in enumerate(UPOS):
        for other in range(one, len(UPOS)):
            verdict = "yes" if lifts[one, other] >= threshold else "no"
            counts = f"{total[one, other]}\t{found[one, other]}\t{expected[one, other]:.1f}\t{lifts[one, other]:.3f}"
            rows.append(f"{tag}\t{UPOS[other]}\t{counts}\t{verdict}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n", encoding="utf-8", newline="\n")
    return path


def count_pairs(treebank: Path) -> tuple[Counts, Counts]:
    """int64 [17, 17, FAR + 1] twice: pairs of words of one sentence, and those among them that an arc joins.

    Indexed by the two tags, the lower first, and their distance.
    """
    pairs = np.zeros((len(UPOS), len(UPOS), FAR + 1), dtype=np.int64)
    arcs = np.zeros_like(pairs)
    for words in sentences(treebank):
        tag = np.array([UPOS_INDEX[word.upos] for word in words])
        first, second = np.triu_indices(len(words), k=1)
        _add(pairs, tag, first, second)
        child = np.array([index for index, word in enumerate(words) if word.head >= 0], dtype=np.int64)
        _add(arcs, tag, child, np.array([words[index].head for index in child], dtype=np.int64))
    return pairs, arcs


def _add(counts: Counts, tag: Counts, one: Counts, other: Counts) -> None:
    distance = np.minimum(np.abs(one - other), FAR)
    low, high = np.minimum(tag[one], tag[other]), np.maximum(tag[one], tag[other])
    np.add.at(counts, (low, high, distance), 1)


def _arc_rate(pairs: Counts, arcs: Counts) -> NDArray[np.float64]:
    """float64 [FAR + 1]: share of the pairs at each distance that an arc joins."""
    seen = pairs.sum(axis=(0, 1))
    return np.asarray(arcs.sum(axis=(0, 1)) / np.maximum(seen, 1))
