"""The kinds of bond as a causal model may use them: the later word looks back, and nothing later says whether it may.

Every bond leads from a word to an earlier one and is a function of the words up to the query and of the arcs between
them, which are closed when the query is. With `--parser prefix`, whose words, tags and arcs never change when text is
added, these bonds keep law 1; a tree parser has seen the sentence before it said anything, and a model on its causal
bonds is leaky all the same.

`dependency`  arcs, whichever end comes first (`nsubj`: to the head; `has nsubj`: from it), and the words above the
              head as far as they are closed (`obl up 2`); nearest kin of later words is not known yet
`role`        a verb and what stands in a place (pipeline.bonds.places) for which one of its classes has a role that
              allows it; no reading of the whole clause, for it is not over
`binding`     pronouns to earlier agreeing nominals, the nearest first; principle B by arcs that are closed; a reflexive
              to those of its sentence
`cohesion`    as ever: it looks back and asks no tree
`escape`      first words of sentences to the document's first word, and the long edges
`open`        pipeline.bonds.open
`blocked`     pipeline.bonds.closed_blocked: what a restriction or principle B forbids
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lexicons.features import AGREEMENT, mask, names
from pipeline.bonds.causal_pairs import by_verb_and_place, closed_candidates
from pipeline.bonds.chance import SEEN
from pipeline.bonds.closed_blocked import closed_blocked
from pipeline.bonds.cohesion import cohesion_bonds
from pipeline.bonds.config import BondConfig
from pipeline.bonds.escape import long_edges
from pipeline.bonds.open import open_bonds
from pipeline.bonds.pairs import best, make_bonds, nearest
from pipeline.bonds.places import places
from pipeline.records import Bonds, Strings, Words

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]


def closed_dependency(words: Words, config: BondConfig) -> Bonds:
    """At most `config.dependency_cap` bonds a word: its head, its dependents from the nearest on, then those above."""
    row, head = np.arange(len(words)), words.head.astype(np.int64)
    arc = np.flatnonzero(head >= 0)
    query, key = np.maximum(arc, head[arc]), np.minimum(arc, head[arc])
    above = head[arc] < arc
    relation = words.relation.code[arc].astype(np.int64)
    size = len(words.relation.values)
    queries, keys, rules = [query], [key], [np.where(above, relation, size + relation)]
    worth = [np.where(above, np.inf, 0).astype(np.float32)]
    query = row[(head >= 0) & (head < row)]
    node = head[query]
    for up in range(2, config.hops + 1):
        node = head[node]
        closed = (node >= 0) & (node < query)
        query, node = query[closed], node[closed]
        far = query - node > SEEN
        queries.append(query[far])
        keys.append(node[far])
        rules.append(up * size + words.relation.code[query[far]].astype(np.int64))
        worth.append(np.full(int(far.sum()), -up, np.float32))
    query, key, rule = np.concatenate(queries), np.concatenate(keys), np.concatenate(rules)
    kept = best(query, key, np.concatenate(worth), config.dependency_cap)
    values = words.relation.values
    ways = [*values, *(f"has {value}" for value in values)]
    ways += [f"{value} up {up}" for up in range(2, config.hops + 1) for value in values]
    return make_bonds("dependency", query[kept], key[kept], Strings(rule[kept].astype(np.int32), tuple(ways)))


def closed_role(words: Words, config: BondConfig) -> Bonds:
    """At most `config.role_cap` bonds a word, the nearest first. Python once per distinct verb and place."""
    place = places(words)
    filler = np.flatnonzero(place >= 0)
    verb = words.head[filler].astype(np.int64)
    rule, texts = np.full(len(filler), -1), dict[str, int]()
    for rows, roles in by_verb_and_place(words, verb, place[filler]):
        bits = words.features[filler[rows]]
        for text, restriction in roles:
            free = rule[rows] < 0
            if not free.any():
                break
            rule[rows[free & restriction.allows(bits)]] = texts.setdefault(text, len(texts))
    good = rule >= 0
    query, key = np.maximum(verb, filler)[good], np.minimum(verb, filler)[good]
    kept = nearest(query, key, config.role_cap)
    return make_bonds("role", query[kept], key[kept], Strings(rule[good][kept].astype(np.int32), tuple(texts)))


def closed_binding(words: Words, config: BondConfig) -> Bonds:
    """At most `config.binding_cap` bonds a pronoun, the nearest first. O(W + pronouns · SCAN)."""
    found = closed_candidates(words, config)
    same_sentence = words.sentence[found.query] == words.sentence[found.key]
    good = np.where(found.anaphor, same_sentence, ~found.local)
    query, key, anaphor = found.query[good], found.key[good], found.anaphor[good]
    kept = nearest(query, key, config.binding_cap)
    query, key, anaphor = query[kept], key[kept], anaphor[kept]
    form, sample, code = np.unique(found.form.code[query], return_index=True, return_inverse=True)
    texts = []
    for one, row in zip(form.tolist(), sample.tolist(), strict=True):
        said = " ".join(names(int(words.features[query[row]]) & mask(*AGREEMENT)))
        texts.append(f"principle {'A' if anaphor[row] else 'B'}: {found.form.values[one]} ~ [{said}]")
    return make_bonds("binding", query, key, Strings(code.astype(np.int32), tuple(texts)))


def closed_escape(words: Words, config: BondConfig) -> Bonds:
    """At most `config.escape_cap` bonds a word: to the first word of the document, and a long edge by position."""
    begins = np.flatnonzero(words.sentence_first() == np.arange(len(words)))
    some = begins[words.sentence[begins] % config.escape_sentences == 0]
    first = np.searchsorted(words.document, words.document[some], side="left")
    far = some - first > SEEN
    query, key = long_edges(words, config.escape_every)
    rule = np.repeat(np.arange(2), (int(far.sum()), len(query)))
    query, key = np.append(some[far], query), np.append(first[far], key)
    kept = best(query, key, -rule.astype(np.float32), config.escape_cap)
    return make_bonds("escape", query[kept], key[kept], Strings(rule[kept].astype(np.int32), ("first word", "long")))


CAUSAL_KINDS: dict[str, Callable[[Words, BondConfig], Bonds]] = {
    "role": closed_role,
    "binding": closed_binding,
    "dependency": closed_dependency,
    "cohesion": cohesion_bonds,
    "escape": closed_escape,
    "open": open_bonds,
    "blocked": closed_blocked,
}
"""The kinds by name, as in BOND_KINDS."""
