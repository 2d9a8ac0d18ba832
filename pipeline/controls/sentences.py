"""Another sentence: each gets the bonds of another one in its document, as long as it or nearly so."""

import numpy as np

from pipeline.bonds.pairs import ranges, run_start
from pipeline.controls.draws import with_keys, word_draws
from pipeline.records import Bonds, Words


def other_sentence(words: Words, bonds: Bonds, seed: int) -> Bonds:
    """What both sentences have room for; a key in an earlier sentence stays as many sentences and words away."""
    begins = np.unique(words.sentence_first()).astype(np.int64)
    size = np.diff(np.append(begins, len(words)))
    document = words.document[begins].astype(np.int64)
    # neighbours in length exchange their bonds, in a circle through each pair or trio of the same document
    order = np.lexsort((word_draws(words, seed, begins), size, document))
    partner = np.empty(len(begins), np.int64)
    number = np.arange(len(order)) - run_start(document[order])
    total = np.bincount(document, minlength=len(words.documents))[document[order]]
    lone_end = (number == total - 1) & (number % 2 == 0)  # of an odd number the last three go round
    step = np.where(number % 2 == 0, 1, -1)
    step = np.where(lone_end, -2, step)
    step = np.where((number == total - 2) & (total % 2 == 1), 1, step)
    step = np.where(total == 1, 0, step)
    partner[order] = order[np.arange(len(order)) + step]
    # bonds of the partner, moved here
    sentence = np.searchsorted(begins, np.arange(len(words)), side="right") - 1
    owner_of_bond = sentence[bonds.query]
    first = np.searchsorted(owner_of_bond, partner, side="left")
    here, bond = ranges(first, np.searchsorted(owner_of_bond, partner, side="right"))
    there = partner[here]
    query = bonds.query[bond] - begins[there] + begins[here]
    target = here + sentence[bonds.key[bond]] - there
    inside = (target >= 0) & (target < len(begins))
    target = np.where(inside, target, 0)
    key = bonds.key[bond] - begins[sentence[bonds.key[bond]]] + begins[target]
    good = inside & (document[target] == document[here]) & (there != here) & (query != key)
    good &= (query < begins[here] + size[here]) & (key < begins[target] + size[target])
    kept = bond[good]
    moved = Bonds(query=bonds.query[kept], key=bonds.key[kept], kind=bonds.kind[kept], rule=bonds.rule.take(kept))
    return with_keys(moved, query[good], key[good])
