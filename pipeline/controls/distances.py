"""The same distances: those from query to key are dealt out anew among the bonds of a kind in a document."""

import numpy as np
from numpy.typing import NDArray

from pipeline.bonds.pairs import run_start
from pipeline.controls.draws import Rows, ordinal, with_keys, word_draws
from pipeline.records import KINDS, Bonds, Words

ROUNDS = 48
"""In each, all bonds meet a partner of their kind and document, and exchange distances if both then lead somewhere."""


def same_distances(words: Words, bonds: Bonds, seed: int) -> Bonds:
    """Every document keeps its distances by kind, every query its number of bonds; no pair is there twice.

    A chain of exchanges from the true bonds, as degree-preserving graphs are drawn (Maslov and Sneppen 2002): where
    hardly any is possible (two bonds, one length), they stay what they are.
    """
    query, kind = bonds.query.astype(np.int64), bonds.kind.astype(np.int64)
    group = words.document[query].astype(np.int64) * len(KINDS) + kind
    begin = np.searchsorted(words.document, words.document[query], side="left")
    end = np.searchsorted(words.document, words.document[query], side="right")
    distance, place = bonds.key - query, ordinal(query, bonds.kind)
    for again in range(ROUNDS):
        one, other = _couples(group, word_draws(words, seed, query, kind, place, again))
        key_one, key_other = query[one] + distance[other], query[other] + distance[one]
        good = (key_one >= begin[one]) & (key_one < end[one]) & (key_other >= begin[other]) & (key_other < end[other])
        wanted = np.append(_triple(query[one], key_one, kind[one]), _triple(query[other], key_other, kind[other]))
        # neither there now, nor wanted by another couple
        _, code, count = np.unique(wanted, return_inverse=True, return_counts=True)
        fresh = ~np.isin(wanted, _triple(query, query + distance, kind)) & (count[code] == 1)
        good &= fresh[: len(one)] & fresh[len(one) :]
        one, other = one[good], other[good]
        distance[one], distance[other] = distance[other], distance[one]
    return with_keys(bonds, query, query + distance)


def _couples(group: Rows, chance: NDArray[np.uint64]) -> tuple[Rows, Rows]:
    """Rows paired at random with another of their group; of an odd number one stays alone."""
    order = np.lexsort((chance, group))
    rank = np.arange(len(order)) - run_start(group[order])
    first = np.flatnonzero(rank[:-1] % 2 == 0)
    first = first[group[order[first]] == group[order[first + 1]]]
    return order[first], order[first + 1]


def _triple(query: Rows, key: Rows, kind: Rows) -> Rows:
    return (query << 33) | (key << 3) | kind
