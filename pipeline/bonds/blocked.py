"""Blocked pairs: what a restriction or a binding rule forbids, for the mode `full`. Not bonds but their opposite.

Query and key as in the kinds that they are cut from; the mask cuts the pair in either direction. Rules:

`give-13.1 Recipient refuses: [+animate | +organization]`   an argument that some frame of the verb has a slot for, and
                                    every such slot of all of its classes refuses; the first of them is named
`principle A: himself`              a phrase of the reflexive's sentence that agrees with it but does not command it
                                    from inside its local domain
`principle B: him`                  an agreeing phrase inside the pronoun's local domain
`principle C: he`                   an agreeing noun that the pronoun commands

Pairs that do not agree are no candidates of any principle: the compatibility score speaks of them.
"""

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lexicons.restriction import Restriction
from lexicons.upos import UPOS_INDEX
from lexicons.verbnet import class_frames
from pipeline.bonds.agreement import agree
from pipeline.bonds.arguments import arguments_of
from pipeline.bonds.binding import antecedents, binding_bonds
from pipeline.bonds.clauses import clauses
from pipeline.bonds.config import BondConfig
from pipeline.bonds.mentions import mentions
from pipeline.bonds.nominals import OBLIQUE, POSSESSOR, Nominals, nominals
from pipeline.bonds.pairs import Pairs, first_child, make_bonds, nearest, ranges
from pipeline.bonds.salience import sexed_pronouns
from pipeline.records import Bonds, Strings, Words, concatenate_strings

Rows = NDArray[np.int64]
SCAN = 16
"""Most phrases of its sentence, before and after, that a reflexive looks at."""


def blocked_bonds(words: Words, config: BondConfig) -> Bonds:
    """At most `config.blocked_cap` pairs a word, the nearest first. Needs annotated words. O(W · caps)."""
    said = clauses(words)
    phrases, named = nominals(words, said), mentions(words)
    parts = [_refused(words)]
    free = replace(config, binding_without=("local domain", "command"))
    own = first_child(words.head, words.lemma.isin(["own"]))[np.maximum(phrases.governor, 0)] >= 0
    # not under B (Reinhart & Reuland 1993): "took the book with her", "his own boss"
    exempt = (phrases.function == OBLIQUE) | ((phrases.function == POSSESSOR) & own)
    every = antecedents(words, said, phrases, named, free)
    for rule, skipped in (("B", "command"), ("C", "local domain")):
        allowed = antecedents(words, said, phrases, named, replace(config, binding_without=(skipped,)))
        cut = ~np.isin(_number(words, every.query, every.key), _number(words, allowed.query, allowed.key))
        if rule == "C":  # later nouns of `it` and `they` are left out for want of evidence, not by principle C
            cut &= (every.key < every.query) | sexed_pronouns(words)[every.query]
        else:
            cut &= ~exempt[every.query]
        query, key = every.query[cut], every.key[cut]
        parts.append((query, key, _principle(phrases, rule, query)))
    query, key = _unbound(words, phrases, named.name, config)
    parts.append((query, key, _principle(phrases, "A", query)))
    query, key = (np.concatenate([part[side] for part in parts]) for side in (0, 1))
    rule_column = concatenate_strings([part[2] for part in parts])
    made = make_bonds("blocked", query, key, rule_column)  # of several rules for a pair the first stays
    kept = np.sort(nearest(made.query, made.key, config.blocked_cap))
    return make_bonds("blocked", made.query[kept], made.key[kept], made.rule.take(kept))


def _number(words: Words, query: NDArray[np.integer], key: NDArray[np.integer]) -> Rows:
    return query.astype(np.int64) * len(words) + key


def _principle(phrases: Nominals, principle: str, query: Rows) -> Strings:
    return Strings(phrases.form.code[query], tuple(f"principle {principle}: {form}" for form in phrases.form.values))


def _unbound(words: Words, phrases: Nominals, names: NDArray[np.bool_], config: BondConfig) -> Pairs:
    """Reflexives with the agreeing phrases of their sentence that principle A does not give them."""
    anaphor, phrase = np.flatnonzero(phrases.anaphor), np.flatnonzero(phrases.phrase)
    first = words.sentence_first()
    stop = np.searchsorted(first, first[anaphor], side="right")
    here = np.searchsorted(phrase, anaphor)
    owner, place = ranges(
        np.maximum(np.searchsorted(phrase, first[anaphor]), here - SCAN),
        np.minimum(np.searchsorted(phrase, stop), here + SCAN),
    )
    query, key = anaphor[owner], phrase[place]
    good = (query != key) & agree(words, phrases, names, query, key)
    query, key = query[good], key[good]
    bound = binding_bonds(words, replace(config, binding_without=("salience",)))
    free = ~np.isin(_number(words, query, key), _number(words, bound.query, bound.key))
    # without a binder it is exempt (Pollard & Sag 1992); a pronoun, as binder or beside it, may be any of the others
    free &= np.isin(query, bound.query) & phrases.named[key]
    free &= ~np.isin(query, bound.query[~phrases.named[bound.key]])
    return query[free], key[free]


def _refused(words: Words) -> tuple[Rows, Rows, Strings]:
    """Verbs with the arguments that every slot for their place refuses. Python once per distinct verb and place."""
    arguments = arguments_of(words)
    width = int(arguments.slot.max(initial=0)) + 1
    pattern, which = np.unique(
        words.verb_class.code[arguments.verb].astype(np.int64) * width + arguments.slot, return_inverse=True
    )
    order = np.argsort(which, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(which[order])) + 1) if len(order) else []
    code, texts = np.full(len(which), -1), dict[str, int]()
    for one, rows in zip(pattern.tolist(), groups, strict=True):
        slots = _slots(words.verb_class.values[one // width], *arguments.place(one % width))
        if not slots or not all(restriction for _, restriction in slots):
            continue
        bits = arguments.features[rows]
        refused = ~np.logical_or.reduce([restriction.allows(bits) for _, restriction in slots])
        code[rows[refused]] = texts.setdefault(slots[0][0], len(texts))
    # what WordNet knows of one bearer of a name says nothing of the others: Hudson is not the river
    cut = np.flatnonzero((code >= 0) & (words.upos[arguments.filler] != UPOS_INDEX["PROPN"]))
    return arguments.verb[cut], arguments.filler[cut], Strings(code[cut].astype(np.int32), tuple(texts))


@lru_cache(maxsize=1 << 15)
def _slots(verb_classes: str, position: str, preposition: str) -> tuple[tuple[str, Restriction], ...]:
    """What each slot of these classes says that an argument in this place may fill: rule and restriction."""
    found = {}
    for name in verb_classes.split():
        for slot in (slot for frame in class_frames(name) for slot in frame.slots):
            anything = slot.position == "oblique" and not slot.prepositions
            if slot.position == position and (anything or preposition in (slot.prepositions or ("",))):
                found[f"{name} {slot.role} refuses: {slot.restriction}"] = slot.restriction
    return tuple(found.items())
