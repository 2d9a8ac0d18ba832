"""How well arcs and open words fit a treebank, on its own words: what a causal model could be told, and how much of it
is right."""

import numpy as np

from pipeline.fit.examples import Examples
from pipeline.prefix.arcs import ArcReader, Pairs
from pipeline.prefix.network import Places


def score_arcs(reader: ArcReader, gold: Examples) -> dict[str, float]:
    """Fractions in [0, 1] but for the two means.

    `upos`, `feats`: of words. `arc_recall`: gold arcs that are proposed when the later of their words closes, at
    `proposals_per_word`; `arc_direction`: of these, with the right head. `open_recall`: gold arcs of a word whose
    earlier word was open when the word before it closed, at `open_words`.
    """
    said = reader.read(gold.form, gold.first)
    words = len(gold)
    row = np.flatnonzero(gold.head >= 0)
    later, earlier = np.maximum(row, gold.head[row]), np.minimum(row, gold.head[row])
    proposed = _places(said.arcs, later, earlier, words)
    found = proposed >= 0
    right_head = said.later_is_head[proposed[found]] == (gold.head[row][found] == later[found])
    feats = np.array(reader.feats, dtype=object)[said.label] == np.array(gold.feats.to_list(), dtype=object)
    return {
        "upos": float((said.tag == gold.tag).mean()),
        "feats": float(feats.mean()),
        "arc_recall": float(found.mean()),
        "proposals_per_word": len(said.arcs) / words,
        "arc_direction": float(right_head.mean()) if found.any() else 0.0,
        "open_recall": float((_places(said.open, later - 1, earlier, words) >= 0).mean()),
        "open_words": len(said.open) / words,
    }


def _places(pairs: Pairs, later: Places, earlier: Places, words: int) -> Places:
    """int64, as `later`: where each pair stands among the pairs, -1 if it does not."""
    if not len(pairs):
        return np.full(len(later), -1)
    key, wanted = pairs.later * words + pairs.earlier, later * words + earlier  # sorted, as pairs are
    place = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
    return np.where(key[place] == wanted, place, -1)
