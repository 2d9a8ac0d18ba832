"""Blocked pairs as a causal model may use them: the later word looks back at what a rule forbids it.

`refuses: give-13.1 Recipient [+animate | +organization]`   a verb and what stands in a place (pipeline.bonds.places)
                                    for which its classes have roles, all restricted, and every one of them refuses
`principle B: him`                  an agreeing earlier phrase inside the pronoun's local domain, by closed arcs

Principles A and C need to know where a clause ends, and are left to those who read whole sentences
(pipeline.bonds.blocked). Names are refused nothing: what WordNet knows of one bearer says nothing of the others.
"""

import numpy as np

from lexicons.upos import UPOS_INDEX
from pipeline.bonds.causal_pairs import by_verb_and_place, closed_candidates
from pipeline.bonds.config import BondConfig
from pipeline.bonds.pairs import make_bonds, nearest
from pipeline.bonds.places import places
from pipeline.records import Bonds, Strings, Words, concatenate_strings


def closed_blocked(words: Words, config: BondConfig) -> Bonds:
    """At most `config.blocked_cap` pairs a word, the nearest first. O(W · caps)."""
    refused, candidates = _refused(words), closed_candidates(words, config)
    cut = candidates.local & ~candidates.anaphor
    query, key = candidates.query[cut], candidates.key[cut]
    form = candidates.form
    principle = Strings(form.code[query], tuple(f"principle B: {each}" for each in form.values))
    made = make_bonds(
        "blocked",
        np.concatenate([refused.query, query]),
        np.concatenate([refused.key, key]),
        concatenate_strings([refused.rule, principle]),
    )  # of several rules for a pair the first stays
    kept = np.sort(nearest(made.query, made.key, config.blocked_cap))
    return make_bonds("blocked", made.query[kept], made.key[kept], made.rule.take(kept))


def _refused(words: Words) -> Bonds:
    """Verbs with the arguments that every role of their place refuses. Python once per distinct verb and place."""
    place = places(words)
    filler = np.flatnonzero((place >= 0) & (words.upos != UPOS_INDEX["PROPN"]))
    verb = words.head[filler].astype(np.int64)
    rule, texts = np.full(len(filler), -1), dict[str, int]()
    for rows, roles in by_verb_and_place(words, verb, place[filler]):
        if not roles or not all(restriction for _, restriction in roles):
            continue
        bits = words.features[filler[rows]]
        none = ~np.logical_or.reduce([restriction.allows(bits) for _, restriction in roles])
        rule[rows[none & (bits != 0)]] = texts.setdefault(f"refuses: {roles[0][0]}", len(texts))
    cut = rule >= 0
    query, key = np.maximum(verb, filler)[cut], np.minimum(verb, filler)[cut]
    return make_bonds("blocked", query, key, Strings(rule[cut].astype(np.int32), tuple(texts)))
