"""Binding bonds: a pronoun and the words it may stand for, under the principles of binding theory (Chomsky 1981).

Query = the pronoun, key = the head word of a possible antecedent. The rule names the principle and what the antecedent
must agree in: `principle B: she ~ [third singular feminine]`.

A. A reflexive or reciprocal is bound in its local domain, by an agreeing phrase that c-commands it.
B. A personal or possessive pronoun is free in its local domain: its antecedents are agreeing phrases outside, in this
   sentence and the `binding_reach` before it, the nearest `binding_cap` of them.
C. A name or noun is free everywhere: it makes no bond itself, and no pronoun takes one that it c-commands.

C-command (Reinhart 1976) is a relation between constituents. On dependency trees it is approximated in the way of
Lappin & Leass (1994, sections 2.1.1 and 2.1.2), with arguments ranked by obliqueness (Pollard & Sag 1992): among the
dependents of one head the subject commands the receiver, the receiver the object, the object all else, each with
everything inside them; a possessor commands the rest of its noun phrase. The local domain of a phrase is the clause or
noun phrase of its governor; for a reflexive, the smallest one around it that has a subject or possessor. What stands
before a subject pronoun is not commanded by it ("in John's office, he …"), unless it was moved there from the place of
an object or complement ("John's mother, he loves"; Reinhart 1976, chapter 3).

First and second person pronouns have no other antecedents than earlier pronouns of their own person. The `it` and
`there` that the parse calls expletives neither make bonds nor take them.
"""

import numpy as np
from numpy.typing import NDArray

from lexicons.features import AGREEMENT, mask, names
from pipeline.bonds import nominals
from pipeline.bonds.agreement import agree
from pipeline.bonds.clauses import Clauses, clauses
from pipeline.bonds.config import BondConfig
from pipeline.bonds.nominals import IN_PHRASE, OBJECT, OBLIQUE, POSSESSOR, RECEIVER, SUBJECT, Nominals
from pipeline.bonds.pairs import Pairs, first_child, make_bonds, merge, nearest, ranges
from pipeline.records import Bonds, Strings, Words

Mask = NDArray[np.bool_]

LEVELS = 6
"""Most governors that a search climbs: a reflexive's for a subject, a fronted pronoun's for its noun."""
SCAN = 64
"""Most earlier phrases that a pronoun looks at, so that a sentence of a thousand nouns costs no more than others."""


def binding_bonds(words: Words, config: BondConfig) -> Bonds:
    """At most `config.binding_cap` bonds a pronoun, nearest first. Needs annotated words. O(W + pronouns · SCAN)."""
    said = clauses(words)
    phrases = nominals.nominals(words, said)
    parts = []
    for principle, (query, key) in (
        ("A", _binders(words, said, phrases)),
        ("B", _free(words, said, phrases, config)),
    ):
        good = agree(words, phrases, query, key)
        query, key = query[good], key[good]
        kept = nearest(query, key, config.binding_cap)
        query, key = query[kept], key[kept]
        parts.append(make_bonds("binding", query, key, _rules(words, phrases, principle, query)))
    return merge(parts)


def _rules(words: Words, phrases: Nominals, principle: str, query: NDArray[np.int64]) -> Strings:
    """The rule of each bond; one string a form."""
    form, sample, code = np.unique(phrases.form.code[query], return_index=True, return_inverse=True)
    agreement = [names(int(bits) & mask(*AGREEMENT)) for bits in words.features[query[sample]].tolist()]
    texts = tuple(
        f"principle {principle}: {phrases.form.values[one]} ~ [{' '.join(bits)}]"
        for one, bits in zip(form.tolist(), agreement, strict=True)
    )
    return Strings(code.astype(np.int32), texts)


def _binders(words: Words, said: Clauses, phrases: Nominals) -> Pairs:
    """Principle A: pairs of an anaphor and the phrases that command it in the smallest domain with a subject."""
    anaphor = np.flatnonzero(phrases.anaphor)
    roles = (
        (SUBJECT, said.subject),
        (RECEIVER, first_child(words.head, words.relation.isin(["iobj"]))),
        (OBJECT, first_child(words.head, words.relation.isin(["obj"]))),
        (POSSESSOR, first_child(words.head, words.relation.isin(["nmod:poss"]))),
    )
    # "the president himself": the anaphor modifies its antecedent
    emphatic = anaphor[words.relation.isin(["nmod:unmarked", "appos"])[anaphor]]
    queries, keys = [emphatic], [words.head[emphatic]]
    inside, node = anaphor, phrases.first[anaphor]
    for _ in range(LEVELS):
        governor, function = words.head[node], phrases.function[node]
        good = governor >= 0
        inside, node, governor, function = inside[good], node[good], governor[good], function[good]
        complete = np.zeros(len(inside), dtype=bool)
        for rank, role in roles:
            binder = role[governor]
            # a possessor commands all else in its phrase; among a clause's arguments the less oblique commands
            commands = (binder >= 0) & (binder != node) & (binder != inside)
            commands &= (function > rank) | (rank == SUBJECT) | ((rank == POSSESSOR) & (function != POSSESSOR))
            queries.append(inside[commands])
            keys.append(binder[commands])
            complete |= commands & ((rank == SUBJECT) | (rank == POSSESSOR))
        inside, node = inside[~complete], phrases.first[governor[~complete]]
    query, key = np.concatenate(queries), np.concatenate(keys)
    relative = said.antecedent[key] >= 0
    return np.append(query, query[relative]), np.append(key, said.antecedent[key[relative]]).astype(np.int64)


def _free(words: Words, said: Clauses, phrases: Nominals, config: BondConfig) -> Pairs:
    """Principle B: pairs of a pronoun and the phrases in reach that are outside its local domain and not commanded."""
    pronoun = np.flatnonzero(phrases.pronominal)
    query, key = _earlier(words, phrases, pronoun, config.binding_reach)
    later_query, later_key = _later(words, said, phrases, pronoun)
    query, key = np.append(query, later_query), np.append(key, later_key)
    good = (key != query) & ~_local(words, said, phrases, query, key) & ~_commanded(words, phrases, query, key)
    return query[good], key[good]


def _earlier(words: Words, phrases: Nominals, pronoun: NDArray[np.int64], reach: int) -> Pairs:
    """Phrases before the pronoun, back to the beginning of the `reach`-th sentence before its own."""
    phrase = np.flatnonzero(phrases.phrase)
    begins = np.flatnonzero(words.sentence_first() == np.arange(len(words)))
    number = np.searchsorted(begins, pronoun, side="right") - 1  # of the sentence, in the shard
    document = np.searchsorted(words.document, words.document[pronoun], side="left")
    first = np.maximum(begins[np.maximum(number - reach, 0)], document) if len(begins) else document
    stop = np.searchsorted(phrase, pronoun)
    owner, place = ranges(np.maximum(np.searchsorted(phrase, first), stop - SCAN), stop)
    return pronoun[owner], phrase[place]


def _later(words: Words, said: Clauses, phrases: Nominals, pronoun: NDArray[np.int64]) -> Pairs:
    """Backward anaphora, "when she came, Mary …": later nouns, arguments of a clause above the pronoun's.

    The pronoun's governor is below that clause, so that the pronoun cannot command them (principle C).
    """
    others = [first_child(words.head, words.relation.isin([relation])) for relation in ("obj", "iobj")]
    third = (words.features[pronoun] & np.uint64(mask("third"))) != 0
    query, above = pronoun[third], phrases.governor[pronoun[third]]
    queries, keys = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for _ in range(LEVELS):
        query, above = query[above >= 0], words.head[above[above >= 0]]
        for argument in (said.subject, *others):
            noun = argument[above]
            good = (above >= 0) & (noun > query) & phrases.named[noun]
            queries.append(query[good])
            keys.append(noun[good])
    return np.concatenate(queries), np.concatenate(keys).astype(np.int64)


def _local(words: Words, said: Clauses, phrases: Nominals, query: NDArray[np.int64], key: NDArray[np.int64]) -> Mask:
    """Is the key inside the query's local domain, or a phrase that holds the query as its complement or possessor?"""
    governor, ours, theirs = phrases.governor[query], phrases.function[query], phrases.function[key]
    same = (governor == phrases.governor[key]) & (governor >= 0)
    clause = (ours <= OBLIQUE) & (theirs <= OBLIQUE)
    phrase = ((ours == POSSESSOR) | (ours == IN_PHRASE)) & ((theirs == POSSESSOR) | (theirs == IN_PHRASE))
    # "John is his brother", but not "John is at his house": the predicate's phrase is about the subject itself
    predicate = (ours > OBLIQUE) & (theirs == SUBJECT) & ~_marked(words)[governor]
    local: Mask = same & (clause | phrase | predicate)
    # "John wants to see him": the subject is understood
    local |= (ours <= OBLIQUE) & (governor >= 0) & (said.subject[governor] == phrases.first[key])
    holder = governor
    within = (ours == POSSESSOR) | (ours == IN_PHRASE)
    for _ in range(3):  # "the owner of the house with his name": no phrase is its own part
        local |= within & (holder == key)
        within = within & (holder >= 0) & np.isin(phrases.function[holder], (POSSESSOR, IN_PHRASE))
        holder = np.where(within, phrases.governor[holder], -1)
    return local


def _marked(words: Words) -> Mask:
    """Words with a preposition or a possessive 's."""
    marked: Mask = first_child(words.head, words.relation.isin(["case"])) >= 0
    return marked


def _commanded(words: Words, phrases: Nominals, query: NDArray[np.int64], key: NDArray[np.int64]) -> Mask:
    """Principle C for earlier nouns: is the key in an object or complement moved before the pronoun that is subject?"""
    fronted = words.relation.isin(["obj", "iobj", "ccomp", "xcomp"])
    commanded = np.zeros(len(query), dtype=bool)
    near = phrases.named[key] & (phrases.function[query] == SUBJECT) & (key < query)
    near &= words.sentence[query] == words.sentence[key]
    pair = np.flatnonzero(near)
    node, governor = key[pair], phrases.governor[query[pair]]
    for _ in range(2 * LEVELS):
        above = words.head[node]
        reached = (above == governor) & (governor >= 0)
        commanded[pair[reached]] = fronted[node[reached]]
        climbs = ~reached & (above >= 0)
        pair, node, governor = pair[climbs], above[climbs], governor[climbs]
    return commanded
