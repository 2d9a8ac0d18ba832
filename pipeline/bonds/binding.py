"""Binding bonds: a pronoun and the words it may stand for, under the principles of binding theory (Chomsky 1981).

Query = the pronoun, key = the head word of a possible antecedent. The rule names the principle and what the antecedent
must agree in: `principle B: she ~ [third singular feminine]`.

A. A reflexive or reciprocal is bound in its local domain, by an agreeing phrase that c-commands it.
B. A personal or possessive pronoun is free in its local domain: its antecedents are agreeing phrases outside, in this
   sentence and the `binding_reach` before it, the `binding_cap` most salient of them (pipeline.bonds.salience).
C. A name or noun is free everywhere: it makes no bond itself, and no pronoun takes one that it c-commands. Later nouns
   of the same sentence are taken where it does not: "in her autobiography, Gold says …".

C-command (Reinhart 1976) is a relation between constituents. On dependency trees it is approximated in the way of
Lappin & Leass (1994, sections 2.1.1 and 2.1.2), with arguments ranked by obliqueness (Pollard & Sag 1992): among the
dependents of one head the subject commands the receiver, the receiver the object, the object all else, each with
everything inside them; a possessor commands the rest of its noun phrase. The local domain of a phrase is the clause or
noun phrase of its governor; for a reflexive, the smallest one around it that has a subject or possessor. What stands
before a subject pronoun is not commanded by it ("in John's office, he …"), unless it was moved there from the place of
an object or complement ("John's mother, he loves"; Reinhart 1976, chapter 3).

Parsers err most inside noun phrases, and what they call an apposition is often the subject ("in his last bout Oliveira
won"). So a phrase inside the pronoun's own is no sure exception: it weighs less, as do the other marks of salience. For
pronouns with a sex every name is a candidate, however tagged and wherever it hangs (pipeline.bonds.mentions).

First and second person pronouns have no other antecedents than earlier pronouns of their own person. The `it` and
`there` that the parse calls expletives neither make bonds nor take them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lexicons.features import AGREEMENT, mask, names
from pipeline.bonds import nominals
from pipeline.bonds.agreement import agree
from pipeline.bonds.chance import STOPS, log_odds_of
from pipeline.bonds.clauses import Clauses, clauses
from pipeline.bonds.config import BondConfig
from pipeline.bonds.mentions import Mentions, mentions
from pipeline.bonds.nominals import IN_PHRASE, OBJECT, OBLIQUE, POSSESSOR, RECEIVER, SUBJECT, Nominals
from pipeline.bonds.pairs import Pairs, best, first_child, make_bonds, merge, nearest, ranges
from pipeline.bonds.salience import salience, sexed_pronouns
from pipeline.records import Bonds, Strings, Words

Mask = NDArray[np.bool_]

LEVELS = 6
"""Most governors that a search climbs: a reflexive's for a subject, a fronted pronoun's for its noun."""
SCAN = 64
"""Most earlier phrases that a pronoun looks at, so that a sentence of a thousand nouns costs no more than others."""
LEAST = 3
"""Candidates that a pronoun keeps however unlikely. GAP, which the weights are from, marks names alone: where there are
few, "the king" is what `he` stands for."""
AFTER = 16
"""Most later phrases of its sentence that a pronoun looks at."""


def binding_bonds(words: Words, config: BondConfig) -> Bonds:
    """At most `config.binding_cap` bonds a pronoun. Needs annotated words. O(W + pronouns · (SCAN + AFTER))."""
    said = clauses(words)
    phrases = nominals.nominals(words, said)
    named = mentions(words)
    query, key = _binders(words, said, phrases)
    good = agree(words, phrases, named.name, query, key)
    query, key = query[good], key[good]
    kept = nearest(query, key, config.binding_cap)
    bound = make_bonds("binding", query[kept], key[kept], _rules(words, phrases, "A", query[kept]))
    found = antecedents(words, said, phrases, named, config)
    if "salience" in config.binding_without:
        worth, likely = np.zeros(len(found.query), np.float32), np.ones(len(found.query), dtype=bool)
    else:
        worth = salience(words, phrases, named, found.query, found.key, found.inside)
        likely = (worth >= log_odds_of(config.binding_chance)) | ~sexed_pronouns(words)[found.query]
        likely[best(found.query, found.key, worth, min(LEAST, config.binding_cap))] = True
    query, key = found.query[likely], found.key[likely]
    kept = best(query, key, worth[likely], config.binding_cap)
    free = make_bonds("binding", query[kept], key[kept], _rules(words, phrases, "B", query[kept]))
    return merge([bound, free])


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


@dataclass(frozen=True, slots=True)
class Antecedents:
    """Pronouns and what they may stand for, in parallel columns [E], sorted by query, then key."""

    query: NDArray[np.int64]
    key: NDArray[np.int64]
    inside: Mask
    """Does the parse have the key inside the noun phrase that the pronoun stands in?"""


def antecedents(words: Words, said: Clauses, phrases: Nominals, named: Mentions, config: BondConfig) -> Antecedents:
    """Principle B: every pronoun with the agreeing phrases in reach that it may stand for."""
    without = config.binding_without
    pronoun = np.flatnonzero(phrases.pronominal)
    query, key = _in_reach(words, phrases, named, pronoun, config.binding_reach, "names" not in without)
    if "agreement" not in without:
        good = agree(words, phrases, named.name, query, key)
        query, key = query[good], key[good]
    good, later = np.ones(len(query), dtype=bool), key > query
    if "local domain" not in without:
        good &= ~_local(words, said, phrases, named, query, key)
    if "command" not in without:
        good &= ~_fronted(words, phrases, query, key)
        good[later] &= _cataphoric(words, phrases, query[later], key[later])
    if "later nouns" in without:
        good &= ~later
    query, key = query[good], key[good]
    return Antecedents(query, key, _inside(words, phrases, query, key))


def _in_reach(
    words: Words, phrases: Nominals, named: Mentions, pronoun: NDArray[np.int64], reach: int, names: bool
) -> Pairs:
    """Phrases from the beginning of the `reach`-th sentence before the pronoun's own to the end of its own.

    Names that the parse has as no phrase are for pronouns with a sex only, and only if `names`; pronouns are for
    pronouns behind them.
    """
    phrase = np.flatnonzero(phrases.phrase | (named.stands & names))
    begins = np.flatnonzero(words.sentence_first() == np.arange(len(words)))
    number = np.searchsorted(begins, pronoun, side="right") - 1  # of the sentence, in the shard
    document = np.searchsorted(words.document, words.document[pronoun], side="left")
    first = np.maximum(begins[np.maximum(number - reach, 0)], document) if len(begins) else document
    end = _ends(words, begins)[number] if len(begins) else document
    here = np.searchsorted(phrase, pronoun)
    after = np.minimum(np.searchsorted(phrase, end), here + AFTER)
    owner, place = ranges(np.maximum(np.searchsorted(phrase, first), here - SCAN), after)
    query, key = pronoun[owner], phrase[place]
    sexed = sexed_pronouns(words)[query] & names
    good = (key != query) & np.where(sexed & named.name[key], named.stands[key], phrases.phrase[key])
    good &= (key < query) | phrases.named[key] | (sexed & named.stands[key])
    good &= (key < query) | ((words.features[query] & np.uint64(mask("third"))) != 0)
    return query[good], key[good]


def _ends(words: Words, begins: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where a pronoun's view ends: behind its sentence; where the parser cut without a full stop, behind the next."""
    ends = np.append(begins[1:], len(words))
    stop = np.array([value.endswith(STOPS) for value in words.text.values], dtype=bool)[words.text.code[ends - 1]]
    goes_on = ~stop[:-1] & (words.document[begins[1:]] == words.document[begins[:-1]])
    goes_on &= words.start[begins[1:]] - words.end[ends[:-1] - 1] < 2  # no break of lines
    ends[:-1] = np.where(goes_on, ends[1:], ends[:-1])
    return ends


def _cataphoric(words: Words, phrases: Nominals, query: NDArray[np.int64], key: NDArray[np.int64]) -> Mask:
    """May the pronoun stand for a later noun? It must not command it (principle C).

    What a subject, object or oblique commands is its clause. Without a sex to go by, only the arguments of a clause
    above the pronoun's are taken.
    """
    governor = phrases.governor[query]
    arguments = phrases.function[query] <= OBLIQUE
    other = words.relation.isin(["conj", "parataxis"])  # a clause beside the pronoun's own
    commanded, node, below = np.zeros(len(query), dtype=bool), words.head[key], key
    for _ in range(2 * LEVELS):
        commanded |= arguments & (node == governor) & (governor >= 0) & ~other[below]
        below, node = np.where(node >= 0, node, 0), np.where(node >= 0, words.head[node], -1)
    # "though he was ill, Gvinjia served": however the parse joins the two, he does not command what follows the comma
    subordinate = first_child(words.head, words.relation.isin(["mark"]))
    commas = np.cumsum(words.text.isin([","]))
    marked = (governor >= 0) & (subordinate[governor] >= 0) & (subordinate[governor] < query)
    commanded &= ~(marked & (commas[key] > commas[query]))
    core = words.relation.isin(["nsubj", "nsubj:pass", "obj", "iobj"])[key]
    above, node = np.zeros(len(query), dtype=bool), np.where(governor >= 0, words.head[governor], -1)
    for _ in range(LEVELS):
        above |= (node == words.head[key]) & (node >= 0)
        node = np.where(node >= 0, words.head[node], -1)
    allowed: Mask = ~commanded & (sexed_pronouns(words)[query] | core & above)
    return allowed


def _inside(words: Words, phrases: Nominals, query: NDArray[np.int64], key: NDArray[np.int64]) -> Mask:
    """Is the key, in the parse, inside the noun phrase that the pronoun is a possessor or complement of?"""
    ours, theirs = phrases.function[query], phrases.function[key]
    part = (ours == POSSESSOR) | (ours == IN_PHRASE)
    holder = words.head[query]
    inside, node = np.zeros(len(query), dtype=bool), words.head[key]
    for _ in range(LEVELS):
        inside |= (key > query) & ((node == holder) | (key == holder)) & (holder >= 0)
        node = np.where(node >= 0, words.head[node], -1)
    same = (phrases.governor[query] == phrases.governor[key]) & (phrases.governor[query] >= 0)
    within: Mask = part & (inside | same & ((theirs == POSSESSOR) | (theirs == IN_PHRASE)))
    return within


def _local(
    words: Words, said: Clauses, phrases: Nominals, named: Mentions, query: NDArray[np.int64], key: NDArray[np.int64]
) -> Mask:
    """Is the key inside the query's local domain, or a phrase that holds the query as its complement or possessor?"""
    governor, ours, theirs = phrases.governor[query], phrases.function[query], phrases.function[key]
    same = (governor == phrases.governor[key]) & (governor >= 0)
    clause = (ours <= OBLIQUE) & (theirs <= OBLIQUE)
    # "John is his brother", but not "John is at his house": the predicate's phrase is about the subject itself
    predicate = (ours > OBLIQUE) & (theirs == SUBJECT) & ~_marked(words)[governor]
    local: Mask = same & (clause | predicate)
    # "John wants to see him": the subject is understood, and surely so under control
    control = (governor >= 0) & said.relation.isin(["xcomp"])[governor]
    local |= (ours <= OBLIQUE) & control & (said.subject[governor] == phrases.first[key])
    holder = governor
    within = (ours == POSSESSOR) | (ours == IN_PHRASE)
    for _ in range(3):  # "the owner of the house with his name": no phrase is its own part
        # but "in his career Castillo began" is misread with Castillo as the phrase: names weigh less, no more
        local |= within & (holder == key) & ~named.name[key]
        within = within & (holder >= 0) & np.isin(phrases.function[holder], (POSSESSOR, IN_PHRASE))
        holder = np.where(within, phrases.governor[holder], -1)
    return local


def _marked(words: Words) -> Mask:
    """Words with a preposition or a possessive 's."""
    marked: Mask = first_child(words.head, words.relation.isin(["case"])) >= 0
    return marked


def _fronted(words: Words, phrases: Nominals, query: NDArray[np.int64], key: NDArray[np.int64]) -> Mask:
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
