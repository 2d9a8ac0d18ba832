"""The best tree of a sentence: the maximum spanning arborescence with one root (Chu and Liu 1965; Edmonds 1967).

One root by a penalty on every arc from the root that outweighs all else, so that the best tree has as few as can be:
one, since any word may head any other.
"""

import numpy as np
from numpy.typing import NDArray

LEAST = -60.0
"""No arc is worse than this: a probability of e**-60 is none, and finite sums can be compared."""

Scores = NDArray[np.float64]


def best_heads(scores: Scores) -> NDArray[np.int64]:
    """Head of each word: 0 the root, j + 1 word j. Exactly one word has the root.

    scores [n, n + 1]: of word i and head 0 (root) or j + 1; log-probabilities; what word i has for itself is not read.
    """
    words = len(scores)
    full = np.full((words + 1, words + 1), -np.inf)  # row: word (0 the root, which has no head), column: head
    full[1:] = np.maximum(scores, LEAST)
    full[1:, 0] -= 2 * (words + 1) * (np.abs(full[1:]).max() + 1)
    np.fill_diagonal(full, -np.inf)
    heads: NDArray[np.int64] = _arborescence(full)[1:]
    return heads


def _arborescence(scores: Scores) -> NDArray[np.int64]:
    """Head of each node of the best arborescence from node 0, whose own is 0. scores [m, m]: row node, column head."""
    heads: NDArray[np.int64] = scores.argmax(1)
    heads[0] = 0
    cycle = find_cycle(heads)
    if cycle is None:
        return heads
    # The cycle becomes one node, the last; an arc into it costs the cycle's own arc to the word that it enters by.
    inside = np.zeros(len(heads), bool)
    inside[cycle] = True
    kept = np.flatnonzero(~inside)
    entering = scores[np.ix_(cycle, kept)] - scores[cycle, heads[cycle]][:, None]
    leaving = scores[np.ix_(kept, cycle)]
    smaller = np.full((len(kept) + 1, len(kept) + 1), -np.inf)
    smaller[:-1, :-1] = scores[np.ix_(kept, kept)]
    smaller[-1, :-1] = entering.max(0)
    smaller[:-1, -1] = leaving.max(1)
    found = _arborescence(smaller)
    for place in range(1, len(kept)):  # node 0 is never on a cycle, so it is the first of the kept
        head = found[place]
        heads[kept[place]] = cycle[leaving[place].argmax()] if head == len(kept) else kept[head]
    entered = found[-1]
    heads[cycle[entering[:, entered].argmax()]] = kept[entered]
    return heads


def find_cycle(heads: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Nodes of some cycle of heads, None if all lead to node 0."""
    state = np.zeros(len(heads), np.int8)  # 1: on the way that is being walked, 2: leads to the root
    state[0] = 2
    for start in range(1, len(heads)):
        way, node = [], start
        while not state[node]:
            state[node] = 1
            way.append(node)
            node = int(heads[node])
        if state[node] == 1:
            return np.array(way[way.index(node) :])
        state[way] = 2
    return None
