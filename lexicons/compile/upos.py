"""Which pairs of tags may be joined by an arc: how much oftener than their distance explains.

Of all pairs of words at distance d in one sentence of the treebank, an arc joins the share p(d). For an unordered pair
of tags, *expected* is the sum of p(d) over its pairs of words, *arcs* what the treebank has, and
lift = (arcs + PRIOR) / (expected + PRIOR). Tags whose lift is at least THRESHOLD are compatible. Distance is taken out
because next neighbours of any tags are joined often; what is left is grammar.

THRESHOLD is the highest step of 0.05 that keeps 97% of the arcs of EWT's development part (97.4%), which took no part
in the counting (`docs/lexicons.md` has the curve).
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lexicons.compile.conllu import sentences
from lexicons.upos import UPOS, UPOS_INDEX

THRESHOLD = 0.25
"""Least lift of a compatible pair."""
PRIOR = 1.0
"""Arcs added to both counts, so that a pair of tags seen once or twice says nothing."""
FAR = 50
"""Words farther apart are counted as this far apart."""

Counts = NDArray[np.int64]


def compile_upos(ewt_train: Path, out: Path) -> Path:
    """Write `upos.tsv`, one row an unordered pair of tags with its counts, lift and verdict; return its path."""
    pairs, arcs = count_pairs(ewt_train)
    expected = (pairs * _arc_rate(pairs, arcs)).sum(axis=-1)
    found, total = arcs.sum(axis=-1), pairs.sum(axis=-1)
    rows = [
        f"# Lift of an arc between two tags over what their distance explains, from {ewt_train.name};",
        f"# compatible: lift of at least {THRESHOLD}. Made by lexicons/compile/upos.py; not edited by hand.",
        "tag\tother\tpairs\tarcs\texpected\tlift\tcompatible",
    ]
    for one, tag in enumerate(UPOS):
        for other in range(one, len(UPOS)):
            lift = (found[one, other] + PRIOR) / (expected[one, other] + PRIOR)
            verdict = "yes" if lift >= THRESHOLD else "no"
            counted = f"{total[one, other]}\t{found[one, other]}\t{expected[one, other]:.1f}\t{lift:.3f}"
            rows.append(f"{tag}\t{UPOS[other]}\t{counted}\t{verdict}")
    path = out / "upos.tsv"
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
