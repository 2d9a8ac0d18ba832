"""The chance that two words are joined by an arc although the parse says otherwise: log-odds summed over families.

A family is a small table over two things that are known of a pair, such as the way through the tree and the relation
of the word it starts from. Numbers: lexicons.odds. What is asked for is always a sum of one entry a family.
"""

from collections.abc import Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray

from lexicons import odds
from lexicons.upos import UPOS
from pipeline.bonds.kin import KIN
from pipeline.records import Words

Floats = NDArray[np.float32]
Codes = NDArray[np.integer]

RELATIONS: tuple[str, ...] = (
    *("acl", "advcl", "advmod", "amod", "appos", "aux", "case", "cc", "ccomp", "clf", "compound", "conj", "cop"),
    *("csubj", "dep", "det", "discourse", "dislocated", "expl", "fixed", "flat", "goeswith", "iobj", "list", "mark"),
    *("nmod", "nsubj", "nummod", "obj", "obl", "orphan", "parataxis", "punct", "reparandum", "root", "vocative"),
    "xcomp",
)
"""The universal relations of UD v2, without subtypes; any other counts as `dep`."""
SEEN = 2
"""Words that every view sees before and after each: pairs no farther apart need no bond beside the arcs."""
EDGES = (4, 5, 6, 7, 8, 10, 12, 15, 20, 30)
"""Distances, in words, at which a new bucket begins."""
DISTANCES = ("3", "4", "5", "6", "7", "8-9", "10-11", "12-14", "15-19", "20-29", "30+")
HOPS = tuple(dict.fromkeys(kin.hop for kin in KIN))
SIDES = tuple(
    f"{'before' if before else 'after'}, ancestor {'before' if ours else 'after'} us, {'before' if theirs else 'after'}"
    for before in (0, 1)
    for ours in (0, 1)
    for theirs in (0, 1)
)
"""Where the other word stands, and where the ancestor of both stands, seen from us and from there."""
BORDER_PAIRS: tuple[tuple[str, str], ...] = (
    *(("head", after) for after in ("head", "first", "first's head", "child 1", "child 2", "child 3", "last")),
    *((before, "head") for before in ("last", "last's head", "child -1", "child -2", "child -3", "child 1", "child 2")),
    *(("earlier head", after) for after in ("head", "first", "child 1", "child 2")),
    ("child 1", "child 1"),
)
"""Pairs over a border of sentences: which word before it, which after it. Children are the head's, counted from the
left or, negative, from the right; `earlier head` is that of the last sentence but one."""
STOPS = (".", "!", "?", "…", '."', ".”", '!"', '?"')
"""What ends a word that ends a sentence."""
BORDERS = tuple(f"{gap}, after {end}" for gap in ("no space", "space") for end in ("word", "mark", "stop"))
"""What stands at a border: nothing or one space (over more there is no arc), after a word, a mark that ends no
sentence, or one that does."""

FAMILIES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "way": (tuple(map(str, KIN)), ("",)),
    "distance": (HOPS, DISTANCES),
    "from": (HOPS, RELATIONS),
    "to": (HOPS, RELATIONS),
    "sides": (HOPS, SIDES),
    "turn": (RELATIONS, SIDES),
    "tags": (UPOS, UPOS),
    "border": (tuple(map(" ~ ".join, BORDER_PAIRS)), BORDERS),
    "border tags": (UPOS, UPOS),
    "border distance": (("",), DISTANCES),
}
"""Family → the names of its rows and columns; an entry's number is row · columns + column."""


@cache
def weights() -> Mapping[str, Floats]:
    """float32 [rows · columns] by family, from the table that ships."""
    return odds.weights(FAMILIES, "attachment.tsv")


def relation_codes(words: Words) -> Codes:
    """int16 [W]: position of each word's relation in RELATIONS, subtypes dropped."""
    place = {relation: number for number, relation in enumerate(RELATIONS)}
    base = [place.get(value.partition(":")[0], place["dep"]) for value in words.relation.values]
    code: Codes = np.array(base, dtype=np.int16)[words.relation.code]
    code[words.head < 0] = place["root"]
    return code


def distance_codes(query: Codes, key: Codes) -> Codes:
    """int8 [E]: bucket of the distance; 0 for what is nearer than any bucket."""
    bucket: Codes = _BUCKET[np.minimum(np.abs(query - key), len(_BUCKET) - 1)]
    return bucket


_BUCKET = np.searchsorted(EDGES, np.arange(EDGES[-1] + 1), side="right").astype(np.int8)


def score(index: Mapping[str, Codes], table: Mapping[str, Floats]) -> Floats:
    """float32 [E]: the log-odds of pairs; index: entry of each pair in each family."""
    total = np.zeros(len(next(iter(index.values()))), dtype=np.float32)
    for family, codes in index.items():
        total += table[family].take(codes)
    return total


def log_odds_of(chance: float) -> float:
    """The log-odds of a chance between 0 and 1."""
    return float(np.log(chance / (1 - chance)))
