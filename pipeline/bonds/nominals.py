"""The noun phrases of a shard as binding theory sees them: which word heads one, what governs it, how oblique it is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lexicons.pronouns import Pronoun
from lexicons.upos import UPOS_INDEX
from pipeline.annotate import pronoun_entries
from pipeline.bonds.clauses import Clauses, feature_is, first_conjunct
from pipeline.bonds.pairs import first_child
from pipeline.records import Strings, Words

Mask = NDArray[np.bool_]
Rows = NDArray[np.int32]

SUBJECT, RECEIVER, OBJECT, OBLIQUE, POSSESSOR, IN_PHRASE, OUTSIDE = range(7)
FUNCTION: dict[str, int] = {
    "nsubj": SUBJECT,
    "csubj": SUBJECT,
    "iobj": RECEIVER,
    "obj": OBJECT,
    "obl": OBLIQUE,
    "nmod:poss": POSSESSOR,
    "nmod": IN_PHRASE,
    "appos": IN_PHRASE,
}
"""Obliqueness of a relation, least first (Pollard & Sag 1992); the last three stand inside a noun phrase."""
NO_PHRASE = ("compound", "flat", "fixed", "goeswith", "expl", "reparandum", "det", "case", "mark", "cc", "discourse")
"""Relations of words that head no phrase of their own, or one that stands for nothing."""
NO_PHRASE_SUBTYPES = ("nmod:desc", "nmod:unmarked", "obl:unmarked")
"""Titles, measures and times: "**Mr.** Smith", "two **years** old", "left **yesterday**"."""
ANTECEDENT_KINDS = {"personal", "possessive", "indefinite", "demonstrative"}
"""Pronouns that may themselves be antecedents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nominals:
    """Columns beside a shard's words [W]."""

    phrase: Mask
    """Heads a phrase that may be an antecedent."""
    named: Mask
    """An R-expression: a phrase headed by a noun or name."""
    anaphor: Mask
    """A pronoun under principle A."""
    pronominal: Mask
    """A pronoun under principle B."""
    demonstrative: Mask
    coordinated: Mask
    """First conjunct of several, which stands for them all: plural too."""
    form: Strings
    """The name of the pronoun's entry (pipeline.annotate)."""
    first: Rows
    """First conjunct of the coordination that the word stands in, else itself."""
    governor: Rows
    """Head of that conjunct, -1 for a root."""
    function: NDArray[np.int8]
    """Obliqueness of that conjunct's relation: SUBJECT … OUTSIDE."""


def nominals(words: Words, said: Clauses) -> Nominals:
    """The noun phrases of annotated words. O(W)."""
    form, known = pronoun_entries(words)
    is_pronoun = ~form.isin([""]) & ~feature_is(words, "PronType=Rel", "PronType=Int")
    noun = np.isin(words.upos, [UPOS_INDEX["NOUN"], UPOS_INDEX["PROPN"]])
    heads = ~said.relation.isin(NO_PHRASE) & ~words.relation.isin(NO_PHRASE_SUBTYPES)
    other = is_pronoun & _which(form, [bool(entry) and _may_be_antecedent(entry) for entry in known])
    first = first_conjunct(words, said.relation)
    conjunct = said.relation.isin(["conj"]) & (noun | is_pronoun)
    stands = [FUNCTION.get(v, FUNCTION.get(v.partition(":")[0], OUTSIDE)) for v in words.relation.values]
    demonstrative = _which(form, [entry is not None and entry.kind == "demonstrative" for entry in known])
    return Nominals(
        phrase=heads & (noun | other),
        named=heads & noun,
        anaphor=is_pronoun & _which(form, [entry is not None and entry.principle == "A" for entry in known]),
        pronominal=is_pronoun
        & ~said.relation.isin(["expl"])
        & _which(form, [entry is not None and entry.principle == "B" for entry in known]),
        demonstrative=is_pronoun & demonstrative,
        coordinated=first_child(words.head, conjunct) >= 0,
        form=form,
        first=first,
        governor=words.head[first],
        function=np.array(stands, dtype=np.int8)[words.relation.code[first]],
    )


def _may_be_antecedent(entry: Pronoun | None) -> bool:
    return entry is not None and entry.principle != "A" and bool(ANTECEDENT_KINDS & set(entry.kinds))


def _which(form: Strings, verdicts: list[bool]) -> Mask:
    return np.array(verdicts, dtype=bool)[form.code]
