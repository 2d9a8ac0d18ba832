"""Who is the subject of what: subjects said, shared and understood, read off a dependency tree.

A verb's own subject is its `nsubj`. Where it has none, the subject is understood, as in Enhanced Universal
Dependencies (Schuster & Manning 2016) and one step further:
· conjoined verbs share it: "she came and **saw**" (`conj`);
· the object of a control verb is it, or else its subject: "told him to **leave**", "wants to **leave**" (`xcomp`);
· participles take the noun they modify: "the man **giving** books", "the book **given** away" (`acl`);
· non-finite adverbial clauses take the subject of their clause: "he left to **buy** books" (`advcl`).
"Promise" and its like give their own subject away although they have an object.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.bonds.pairs import first_child
from pipeline.records import Strings, Words

Rows = NDArray[np.int32]
Mask = NDArray[np.bool_]

LENDINGS = 4
"""How many verbs in a row may lend each other a subject: "she came, saw, and began to plan to leave"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clauses:
    """Columns beside a shard's words [W]."""

    subject: Rows
    """Row of the word's subject, said or understood; -1 if none."""
    own: Mask
    """Is that subject said, as a dependent of the word itself?"""
    passive: Mask
    """Is the word a passive predicate, so that its subject is what the active verb has as object?"""
    antecedent: Rows
    """Of a relative pronoun, the row of the noun that its clause modifies; -1 for all else."""
    relation: Strings
    """Relations without subtypes: `nsubj` for `nsubj:pass`."""


def clauses(words: Words) -> Clauses:
    """The subjects of a shard. O(W · LENDINGS)."""
    relation = base_relation(words)
    head = words.head
    nominal = relation.isin(["nsubj"]) & ~words.relation.isin(["nsubj:outer"])
    subject = first_child(head, nominal)
    own = subject >= 0
    free = ~own & (first_child(head, relation.isin(["csubj"])) < 0)
    participle, past = feature_is(words, "VerbForm=Part"), feature_is(words, "Tense=Past")
    nonfinite = participle | feature_is(words, "VerbForm=Ger") | feature_is(words, "VerbForm=Inf")
    modifier = free & words.relation.isin(["acl"]) & (participle | feature_is(words, "VerbForm=Ger"))
    passive = _passive(words) | (modifier & past)

    controlled = free & relation.isin(["xcomp"])
    object_ = first_child(head, words.relation.isin(["obj", "iobj"]))
    giving = words.lemma.isin(["promise", "threaten", "vow"])  # the subject stays: "John promised Mary to help her"
    via_object = controlled & (object_[head] >= 0) & ~giving[head]
    subject[via_object] = object_[head[via_object]]
    subject[modifier] = head[modifier]

    shares = relation.isin(["conj"]) | words.relation.isin(["advcl"]) & nonfinite | controlled
    borrower = np.flatnonzero(free & shares & ~via_object & (head >= 0))
    lender = head[borrower]
    # A conjoined participle without auxiliary is as passive as its lender: "he was seen and arrested".
    bare = relation.isin(["conj"])[borrower] & (participle & past)[borrower]
    bare &= first_child(head, relation.isin(["aux"]))[borrower] < 0
    for _ in range(LENDINGS):
        subject[borrower] = subject[lender]
        passive[borrower] |= bare & passive[lender]
    return Clauses(subject=subject, own=own, passive=passive, antecedent=_antecedents(words), relation=relation)


def base_relation(words: Words) -> Strings:
    """Relations without their subtypes; several codes may stand for one value."""
    return Strings(words.relation.code, tuple(value.partition(":")[0] for value in words.relation.values))


def feature_is(words: Words, *wanted: str) -> Mask:
    """bool [W]: does the word have one of these UD features, each written `Key=Value`?"""
    return _value_mask(words.feats, (bool(set(wanted) & set(value.split("|"))) for value in words.feats.values))


def first_conjunct(words: Words, relation: Strings) -> Rows:
    """int32 [W]: the first conjunct of the coordination that the word is a later conjunct of, else the word itself.

    Universal Dependencies hangs every conjunct on the first one, so that one step does; a conjunct of a conjunct (a
    coordination inside another) takes a second.
    """
    row = np.arange(len(words), dtype=np.int32)
    step = np.where(relation.isin(["conj"]) & (words.head >= 0), words.head, row).astype(np.int32)
    return step[step]


def _antecedents(words: Words) -> Rows:
    antecedent = np.full(len(words), -1, dtype=np.int32)
    relative_clause = words.relation.isin(["acl:relcl"])
    pronoun = np.flatnonzero(feature_is(words, "PronType=Rel"))
    place = words.head[pronoun]
    for _ in range(LENDINGS):  # "the man whose brother's dog she saw": a few steps up to the clause's verb
        inside = place >= 0
        pronoun, place = pronoun[inside], place[inside]
        found = relative_clause[place]
        antecedent[pronoun[found]] = words.head[place[found]]
        pronoun, place = pronoun[~found], words.head[place[~found]]
    return antecedent


def _passive(words: Words) -> Mask:
    marked = words.relation.isin(["aux:pass", "nsubj:pass", "csubj:pass"]) & (words.head >= 0)
    passive = np.zeros(len(words), dtype=bool)
    passive[words.head[marked]] = True
    return passive


def _value_mask(column: Strings, verdicts: Iterable[bool]) -> Mask:
    return np.fromiter(verdicts, bool, len(column.values))[column.code]
