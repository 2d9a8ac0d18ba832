"""Random trees: every sentence gets a random recursive tree (Smythe and Mahmoud 1995) for its parse."""

import numpy as np

from pipeline.bonds.pairs import run_start
from pipeline.controls.draws import word_draws
from pipeline.records import Strings, Words


def random_tree(words: Words, seed: int) -> Words:
    """Words come in a random order; the first is the root, and each hangs on one of those before it, all alike likely.

    Relations stay at their words, `root` goes to the new one.
    """
    rows = np.arange(len(words))
    first = words.sentence_first().astype(np.int64)
    order = np.lexsort((word_draws(words, seed, rows), first))
    rank = rows - run_start(first[order])
    picked = (word_draws(words, seed + 1, order) % np.maximum(rank, 1).astype(np.uint64)).astype(np.int64)
    head = np.empty(len(words), np.int32)
    head[order] = np.where(rank > 0, order[rows - rank + picked], -1)
    relation = words.relation.to_list()
    for row in np.flatnonzero((head < 0) != (words.head < 0)).tolist():
        relation[row] = "root" if head[row] < 0 else "dep"
    return words.with_columns(head=head, relation=Strings.of(relation))
