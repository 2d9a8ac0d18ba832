"""What causal kinds and the pairs that they forbid have in common: roles by place, pronouns with earlier phrases."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lexicons.restriction import Restriction
from lexicons.upos import UPOS_INDEX
from lexicons.verbnet import class_frames, classes
from pipeline.annotate import pronoun_entries
from pipeline.bonds.agreement import agree
from pipeline.bonds.arguments import POSITIONS
from pipeline.bonds.clauses import clauses
from pipeline.bonds.config import BondConfig
from pipeline.bonds.nominals import Nominals, nominals
from pipeline.bonds.pairs import Pairs, ranges
from pipeline.records import Strings, Words

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]
Roles = tuple[tuple[str, Restriction], ...]

SCAN = 64
"""Most earlier phrases that a pronoun looks at."""


def by_verb_and_place(words: Words, verb: Rows, place: Rows) -> Iterator[tuple[Rows, Roles]]:
    """The rows of `verb` and `place` that have one verb lemma and one place in common, and the verb's roles for it."""
    lemma = words.lemma.code[verb].astype(np.int64)
    pattern, which = np.unique(lemma * len(POSITIONS) + place, return_inverse=True)
    order = np.argsort(which, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(which[order])) + 1) if len(order) else []
    for code, rows in zip(pattern.tolist(), groups, strict=True):
        yield rows, roles_of(words.lemma.values[code // len(POSITIONS)], code % len(POSITIONS))


@lru_cache(maxsize=1 << 15)
def roles_of(lemma: str, place: int) -> Roles:
    """The roles that a verb has for a place, with what they ask for; the class that is named after the verb first."""
    found: dict[str, Restriction] = {}
    for name in sorted(classes(lemma), key=lambda name: name.partition("-")[0] != lemma.lower()):
        for slot in (slot for frame in class_frames(name) for slot in frame.slots):
            if slot.position == POSITIONS[place]:
                found.setdefault(f"{name} {slot.role} {slot.restriction}".rstrip(), slot.restriction)
    return tuple(found.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Pronouns with earlier phrases that agree with them, one entry a pair [P]."""

    query: Rows
    key: Rows
    anaphor: Mask
    """Is the query a reflexive or reciprocal?"""
    local: Mask
    """Does the phrase stand in the pronoun's local domain, as far as closed arcs tell?"""
    form: Strings
    """[W]: forms of all words as the table of pronouns has them."""


def closed_candidates(words: Words, config: BondConfig) -> Candidates:
    """As far back as `config.binding_reach` sentences. O(W + pronouns · SCAN)."""
    # without relations, what a nominal is follows from the word alone
    plain = words.with_columns(relation=Strings(np.zeros(len(words), np.int32), ("dep",)))
    phrases = nominals(plain, clauses(plain))
    phrases = replace(phrases, coordinated=np.zeros(len(words), dtype=bool))
    query, key = _in_reach(words, phrases, config.binding_reach)
    good = agree(words, phrases, words.upos == UPOS_INDEX["PROPN"], query, key)
    query, key = query[good], key[good]
    local = _local(plain, query, key)
    return Candidates(query=query, key=key, anaphor=phrases.anaphor[query], local=local, form=phrases.form)


def _in_reach(words: Words, phrases: Nominals, reach: int) -> Pairs:
    """Pronouns with the phrases before them, as far back as the `reach`-th sentence before their own."""
    pronoun = np.flatnonzero(phrases.pronominal | phrases.anaphor)
    phrase = np.flatnonzero(phrases.phrase)
    begins = np.flatnonzero(words.sentence_first() == np.arange(len(words)))
    number = np.searchsorted(begins, pronoun, side="right") - 1 - reach
    document = np.searchsorted(words.document, words.document[pronoun], side="left")
    first = np.maximum(begins[np.maximum(number, 0)], document) if len(begins) else document
    here = np.searchsorted(phrase, pronoun)
    owner, place = ranges(np.maximum(np.searchsorted(phrase, first), here - SCAN), here)
    return pronoun[owner], phrase[place]


def _local(words: Words, query: Rows, key: Rows) -> Mask:
    """Principle B by closed arcs: do both hang on one word that is closed, and neither as a possessor? Or is one the
    other's head?"""
    form, known = pronoun_entries(words)
    owns = np.array([entry is not None and entry.kind == "possessive" for entry in known], dtype=bool)[form.code]
    ours, theirs = words.head[query], words.head[key]
    together = (ours >= 0) & (ours <= query) & (ours == theirs) & ~owns[query] & ~owns[key]
    local: Mask = together | ((ours == key) & ~owns[query]) | ((theirs == query) & ~owns[key])
    return local
