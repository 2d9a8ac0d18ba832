"""Dependency bonds: a word and its head, and the other words of its tree that may well be its head, or it theirs.

Query = the deeper word of the tree, key = the other. Every arc of the parse is a bond, punctuation too; its rule is the
relation: `nsubj`. A parser errs in one arc of seven, though, and a mask that cuts the true arc cannot be mended by
training. So the nearest kin (pipeline.bonds.kin) are ranked by the chance that the treebank has an arc where the parse
has none (pipeline.bonds.chance), and the likely ones are bonds as well; their rule is the relation
of the query and the way through the tree: `punct up 1 down 1` for a comma and what hangs beside it. Words at most two
apart are seen by every view and need no bond beside the arc.

The closure does double service: a head word carries its phrase's meaning upwards (Tesnière 1959), and siblings meet.
Compatible tags are part of the chance, as log-odds a pair of tags: "the" and "reads" are no likely pair on any way.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lexicons.upos import UPOS
from pipeline.bonds.chance import (
    FAMILIES,
    HOPS,
    RELATIONS,
    SEEN,
    SIDES,
    Codes,
    Floats,
    distance_codes,
    log_odds_of,
    relation_codes,
    weights,
)
from pipeline.bonds.config import BondConfig
from pipeline.bonds.kin import KIN, kin_of, tree_of
from pipeline.bonds.pairs import best, make_bonds
from pipeline.records import Bonds, Strings, Words, concatenate_strings, distinct

WAY = {kin: number for number, kin in enumerate(KIN)}


@dataclass(frozen=True, slots=True)
class Candidates:
    """Pairs that one way through the tree leads to, in parallel columns [E]."""

    hop: int
    """Position in HOPS."""
    query: NDArray[np.int64]
    key: NDArray[np.int64]
    index: dict[str, Codes]
    """By family of pipeline.bonds.chance, the column of each pair; of `turn` and `tags`, the entry."""
    row: dict[str, int]
    """By family, the row that all of these pairs have; of `turn` and `tags`, 0."""

    def entries(self) -> dict[str, Codes]:
        """By family, the entry of each pair."""
        return {
            family: self.row[family] * len(FAMILIES[family][1]) + codes.astype(np.int64)
            for family, codes in self.index.items()
        }

    def odds(self, table: Mapping[str, Floats]) -> Floats:
        """The sum of the entries; one row of a family at a time is a small table, and stays in the fastest cache."""
        total = np.zeros(len(self.query), dtype=np.float32)
        for family, codes in self.index.items():
            first = self.row[family] * len(FAMILIES[family][1])
            total += table[family][first:].take(codes)
        return total


def dependency_bonds(words: Words, config: BondConfig) -> Bonds:
    """At most `config.dependency_cap` bonds a word, its head first, then the likeliest. O(W · ways)."""
    arc = np.flatnonzero(words.head >= 0)
    queries, keys = [arc], [words.head[arc].astype(np.int64)]
    hops, worth = [np.full(len(arc), -1)], [np.full(len(arc), np.inf, np.float32)]
    if config.dependency_cap > 1 and config.hops > 1:
        table, least = weights(), log_odds_of(config.least_chance)
        for found in candidates(words, config.hops):
            odds = found.odds(table)
            good = np.flatnonzero(odds >= least)
            queries.append(found.query[good])
            keys.append(found.key[good])
            hops.append(np.full(len(good), found.hop))
            worth.append(odds[good])
    query, key, hop = np.concatenate(queries), np.concatenate(keys), np.concatenate(hops)
    kept = best(query, key, np.concatenate(worth), config.dependency_cap)
    query, key, hop = query[kept], key[kept], hop[kept]
    return make_bonds("dependency", query, key, _rules(words, query, hop))


def candidates(words: Words, hops: int) -> Iterator[Candidates]:
    """The kin of every word over at most `hops` arcs, nearer pairs than views show left out; each pair once."""
    rows = np.arange(len(words))
    relation = relation_codes(words).astype(np.int64)
    tag = words.upos.astype(np.int64)
    for kin, there, above in kin_of(tree_of(words)):
        if kin.up + kin.down > hops:
            continue
        apart = there - rows
        good = (there >= 0) & (np.abs(apart) > SEEN)
        if kin.up == kin.down:
            good &= apart < 0
        query = np.flatnonzero(good)
        key, top = there[query], above[query]
        before = key < query
        hop = HOPS.index(kin.hop)
        ours, theirs = tag[query], tag[key]
        side = before * 4 + (top < query) * 2 + (top < key)
        yield Candidates(
            hop=hop,
            query=query,
            key=key,
            row={"way": WAY[kin], "distance": hop, "from": hop, "to": hop, "sides": hop, "turn": 0, "tags": 0},
            index={
                "way": np.zeros(len(query), dtype=np.int8),
                "distance": distance_codes(query, key),
                "from": relation[query],
                "to": relation[key],
                "sides": side,
                "turn": relation[query] * len(SIDES) + side,
                "tags": np.where(before, theirs * len(UPOS) + ours, ours * len(UPOS) + theirs),
            },
        )


def _rules(words: Words, query: NDArray[np.int64], hop: NDArray[np.int64]) -> Strings:
    """The relation of each arc; of the others the query's relation and the way, for few strings make a small cache."""
    arc = hop < 0
    relation = relation_codes(words).astype(np.int64)
    said = hop[~arc] * len(RELATIONS) + relation[query[~arc]]
    used, code = distinct(said, len(HOPS) * len(RELATIONS))
    values = [f"{RELATIONS[one % len(RELATIONS)]} {HOPS[one // len(RELATIONS)]}" for one in used.tolist()]
    column = concatenate_strings([words.relation.take(query[arc]), Strings(code.astype(np.int32), tuple(values))])
    place = np.empty(len(query), dtype=np.int64)
    place[arc], place[~arc] = np.arange(arc.sum()), arc.sum() + np.arange(len(code))
    return column.take(place)
