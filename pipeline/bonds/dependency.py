"""Dependency bonds: a word and its head, and the heads above that one, along the arcs of the parse.

Query = the dependent, key = the head or a further ancestor up to `hops` arcs away. The rule is the path of relations
read from the dependent: `nsubj` for an arc, `nmod>obl` for two. Every arc of the parse is kept, punctuation too; a
longer path is kept only where an arc between words of the two tags is usual (lexicons.upos.compatible), which keeps
"book → reads" in "the book's reader reads" and drops "the → reads".

Ancestors, because a head word carries its phrase's meaning upwards (Tesnière 1959), and because siblings meet there:
what two dependents of one verb have to say to each other goes over their common head.
"""

import numpy as np
from numpy.typing import NDArray

from lexicons.upos import compatible
from pipeline.bonds.config import BondConfig
from pipeline.bonds.pairs import distinct, make_bonds
from pipeline.records import Bonds, Strings, Words


def dependency_bonds(words: Words, config: BondConfig) -> Bonds:
    """One bond from each word to each of its nearest `config.hops` ancestors. O(W · hops)."""
    head = words.head.astype(np.int64)
    query, key = np.flatnonzero(head >= 0), head[head >= 0]
    path = words.relation.take(query)
    queries, keys, paths = [query], [key], [path]
    for _ in range(config.hops - 1):
        climbs = head[key] >= 0
        query, path, via = query[climbs], path.take(climbs), key[climbs]
        key = head[via]
        path = _longer(path, words.relation.take(via))
        usual = compatible()[words.upos[query], words.upos[key]]
        queries.append(query[usual])
        keys.append(key[usual])
        paths.append(path.take(usual))
    return make_bonds("dependency", np.concatenate(queries), np.concatenate(keys), _joined(paths))


def _longer(path: Strings, relation: Strings) -> Strings:
    """Each path with one more relation at its end; strings are built once per distinct pair."""
    width = max(len(relation.values), 1)
    pair, code = distinct(path.code.astype(np.int64) * width + relation.code, len(path.values) * width)
    values = tuple(f"{path.values[p // width]}>{relation.values[p % width]}" for p in pair.tolist())
    return Strings(code.astype(np.int32), values)


def _joined(paths: list[Strings]) -> Strings:
    offset: NDArray[np.int64] = np.cumsum([0, *(len(path.values) for path in paths[:-1])])
    code = np.concatenate([path.code + before for path, before in zip(paths, offset, strict=True)])
    return Strings(code.astype(np.int32), tuple(value for path in paths for value in path.values))
