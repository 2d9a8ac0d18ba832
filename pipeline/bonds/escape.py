"""Escape bonds: the few long edges that keep a hard mask safe where sentences and trees let it down.

Query = a word, key = one of an earlier sentence, or farther back in its own. Three rules:

`border: head ~ child 2`  over the border to an earlier sentence, where the parser may have cut one sentence in two:
                           pairs of heads, first and last words and their neighbours in the tree, ranked by the chance
                           that the treebank has an arc there (pipeline.bonds.chance). After a full stop and a space,
                           that is hardly ever, after "Regards" without one it is often; never over a blank line
`first word`               from the head of every `escape_sentences`-th sentence to the first word of its document,
                           which has seen nothing and so is where attention may rest (Xiao et al. 2024)
`long`                     from every `escape_every`-th word of a document to an earlier one drawn from position alone,
                           so that any two words are few steps apart (Zaheer et al. 2020). Content plays no part.

Budget: at most `escape_cap` bonds a word, in the order of this list. Positions count from the document's beginning.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lexicons.upos import UPOS, UPOS_INDEX
from pipeline.bonds.chance import (
    BORDER_PAIRS,
    BORDERS,
    SEEN,
    STOPS,
    Codes,
    distance_codes,
    log_odds_of,
    score,
    weights,
)
from pipeline.bonds.config import BondConfig
from pipeline.bonds.kin import Tree, tree_of
from pipeline.bonds.pairs import best, make_bonds
from pipeline.records import Bonds, Strings, Words

Rows = NDArray[np.int64]

MIXER = np.uint64(0x9E3779B97F4A7C15)
"""Knuth's multiplicative hashing: the golden ratio in 64 bits."""


def escape_bonds(words: Words, config: BondConfig) -> Bonds:
    """At most `config.escape_cap` bonds a word. O(W)."""
    table, least = weights(), log_odds_of(config.least_chance)
    queries, keys, rules, worth = [], [], [], []
    for pair, query, key, index in border_candidates(words):
        odds = score(index, table)
        good = np.flatnonzero(odds >= least)
        queries.append(query[good])
        keys.append(key[good])
        rules.append(np.full(len(good), pair))
        worth.append(odds[good])
    for number, (query, key) in enumerate(
        (_to_first(words, config.escape_sentences), long_edges(words, config.escape_every))
    ):
        queries.append(query)
        keys.append(key)
        rules.append(np.full(len(query), len(BORDER_PAIRS) + number))
        worth.append(np.full(len(query), -100.0 - number, np.float32))
    query, key, rule = np.concatenate(queries), np.concatenate(keys), np.concatenate(rules)
    kept = best(query, key, np.concatenate(worth), config.escape_cap)
    return make_bonds("escape", query[kept], key[kept], Strings(rule[kept].astype(np.int32), RULES))


RULES = (*(f"border: {before} ~ {after}" for before, after in BORDER_PAIRS), "first word", "long")


def border_candidates(words: Words) -> Iterator[tuple[int, Rows, Rows, dict[str, Codes]]]:
    """Pairs over the borders of sentences: (position in BORDER_PAIRS, query, key, entries of the chance's families)."""
    if not len(words):
        return
    begins = np.flatnonzero(words.sentence_first() == np.arange(len(words)))
    ends = np.append(begins[1:], len(words)) - 1
    head = np.full(len(begins), -1, dtype=np.int64)
    roots = np.flatnonzero(words.head < 0)
    head[np.searchsorted(begins, roots, side="right") - 1] = roots
    document = words.document[begins]
    later = np.arange(1, len(begins))
    later = later[document[later] == document[later - 1]]
    gap = words.start[begins[later]] - words.end[ends[later - 1]]
    later = later[gap < 2]  # a break of lines is a border for sure
    border = _borders(words, ends[later - 1], begins[later])
    tree = tree_of(words)
    before = _ends(tree, head[later - 1], begins[later - 1], ends[later - 1])
    before["earlier head"] = np.where((later > 1) & (document[later - 2] == document[later]), head[later - 2], -1)
    after = _ends(tree, head[later], begins[later], ends[later])
    tag = words.upos.astype(np.int64)
    for number, (one, other) in enumerate(BORDER_PAIRS):
        key, query = before[one], after[other]
        good = np.flatnonzero((key >= 0) & (query >= 0) & (query - key > SEEN))
        query, key = query[good], key[good]
        index = {
            "border": number * len(BORDERS) + border[good],
            "border tags": tag[key] * len(UPOS) + tag[query],
            "border distance": distance_codes(query, key),
        }
        yield number, query, key, index


def _ends(tree: Tree, head: Rows, first: Rows, last: Rows) -> dict[str, Rows]:
    """The words of sentences that an arc over the border may touch, by their names in BORDER_PAIRS."""
    child, back = tree.first[head], tree.left[tree.last[head]]
    return {
        "head": head,
        "first": first,
        "first's head": tree.head[first],
        "last": last,
        "last's head": tree.head[last],
        "child 1": child,
        "child 2": tree.right[child],
        "child 3": tree.right[tree.right[child]],
        "child -1": tree.last[head],
        "child -2": back,
        "child -3": tree.left[back],
    }


def _borders(words: Words, last: Rows, first: Rows) -> Rows:
    """int64 [B]: position in BORDERS; last, first: the rows on either side."""
    gap = np.clip(words.start[first].astype(np.int64) - words.end[last], 0, 1)
    stop = np.array([value.endswith(STOPS) for value in words.text.values], dtype=bool)[words.text.code[last]]
    mark = words.upos[last] == UPOS_INDEX["PUNCT"]
    border: Rows = gap * 3 + np.where(stop, 2, np.where(mark, 1, 0))
    return border


def _to_first(words: Words, every: int) -> tuple[Rows, Rows]:
    """The head of every so many sentences and the first word of its document."""
    head = np.flatnonzero((words.head < 0) & (words.sentence % every == 0))
    first = np.searchsorted(words.document, words.document[head], side="left")
    far = head - first > SEEN
    return head[far], first[far]


def long_edges(words: Words, every: int) -> tuple[Rows, Rows]:
    """Every so many words of a document one edge to an earlier word, drawn from the position alone."""
    index = words.index().astype(np.int64)
    query = np.flatnonzero((index % every == 0) & (index > SEEN))
    place = index[query]
    drawn = ((place.astype(np.uint64) * MIXER) >> np.uint64(32)).astype(np.int64)
    return query, query - place + drawn % (place - SEEN)
