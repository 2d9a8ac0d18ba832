"""The arguments of the verbs of a shard, in the places of the active sentence; pipeline.bonds.role says what for."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lexicons.upos import UPOS_INDEX
from pipeline.bonds.clauses import Clauses, clauses
from pipeline.bonds.pairs import canonical, children, first_child
from pipeline.records import Strings, Words

POSITIONS: tuple[str, ...] = ("subject", "object", "second_object", "oblique", "clause")
SUBJECT, OBJECT, SECOND_OBJECT, OBLIQUE, CLAUSE = range(5)
PLACE_OF: dict[str, int] = {
    "nsubj": SUBJECT,
    "csubj": SUBJECT,
    "obl:agent": SUBJECT,
    "obj": OBJECT,
    "iobj": SECOND_OBJECT,
    "obl": OBLIQUE,
    "ccomp": CLAUSE,
    "xcomp": CLAUSE,
    "advcl": CLAUSE,
}
"""The place of each relation in an active clause; a subtype that is not named stands where its relation does."""
NO_PLACE = ("nsubj:outer", "advcl:relcl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """One entry an argument [A], sorted by verb, then slot, then filler."""

    verb: NDArray[np.int64]
    """Row of a verb that VerbNet knows."""
    filler: NDArray[np.int64]
    """Row of the argument's head word."""
    slot: NDArray[np.int64]
    """Position and preposition in one number; `place` reads it."""
    features: NDArray[np.uint64]
    """What is known of the filler."""
    prepositions: tuple[str, ...]

    def place(self, slot: int) -> tuple[str, str]:
        """Position and preposition of a slot."""
        return POSITIONS[slot // len(self.prepositions)], self.prepositions[slot % len(self.prepositions)]


def arguments_of(words: Words) -> Arguments:
    """Every argument of every verb that has a VerbNet class. O(W + A log A)."""
    said = clauses(words)
    known = np.array([bool(value) for value in words.verb_class.values], dtype=bool)
    verbs = (words.upos == UPOS_INDEX["VERB"]) & known[words.verb_class.code] if len(words) else np.zeros(0, bool)
    preposition = _prepositions(words)
    verb, filler, position = _dependents(words, verbs, preposition)
    understood = np.flatnonzero(verbs & ~said.own & (said.subject >= 0))
    verb = np.concatenate([verb, understood])
    filler = np.concatenate([filler, said.subject[understood]])
    position = np.concatenate([position, np.full(len(understood), SUBJECT)])
    code = preposition.code[filler].astype(np.int64) * np.isin(position, (OBLIQUE, CLAUSE))
    position = _active(words, said, verb, filler, position)
    verb, filler, slot = _with_company(words, said, verb, filler, position * len(preposition.values) + code)
    order = np.lexsort((filler, slot, verb))
    verb, filler, slot = verb[order], filler[order], slot[order]
    features = words.features[filler]
    return Arguments(verb=verb, filler=filler, slot=slot, features=features, prepositions=preposition.values)


def _dependents(
    words: Words, verbs: NDArray[np.bool_], preposition: Strings
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Verb, filler and position of the dependents that stand in a place."""
    values = words.relation.values
    place = np.array([-1 if v in NO_PLACE else PLACE_OF.get(v, PLACE_OF.get(v.partition(":")[0], -1)) for v in values])
    position = place[words.relation.code] if len(words) else np.zeros(0, np.int64)
    good = (position >= 0) & (words.head >= 0) & verbs[words.head]
    # An adverbial clause is an argument only behind a preposition: "dreamt of going".
    good &= ~words.relation.isin(["advcl"]) | (preposition.code != 0)
    filler = np.flatnonzero(good)
    return words.head[filler].astype(np.int64), filler, position[filler].astype(np.int64)


def _prepositions(words: Words) -> Strings:
    """The preposition [W] that marks each word, in small letters, "" if none.

    `case` of a noun or `mark` of a clause; a second one next to the first joins it, as in "out of".
    """
    marks = words.relation.isin(["case", "mark"]) & (words.head >= 0)
    first = first_child(words.head, marks)
    after = np.minimum(first + 1, len(words) - 1)
    # "out of the box": two `case` words in EWT; "because of": the second is `fixed` under the first.
    double = (first >= 0) & ((words.relation.isin(["fixed"])[after] & (words.head[after] == first)) |
                             (marks[after] & (words.head[after] == words.head[first]))) & (after > first)  # fmt: skip
    lemma = Strings.of(value.casefold() for value in words.lemma.values)
    code = lemma.code[words.lemma.code].astype(np.int64) + 1 if len(words) else np.zeros(0, np.int64)
    width = len(lemma.values) + 1
    marked = np.flatnonzero(first >= 0)
    pair = code[first[marked]] * width + np.where(double, code[after], 0)[marked]
    found, place = np.unique(np.append(0, pair), return_inverse=True)  # 0 comes first: no preposition
    which = np.zeros(len(words) + 1, np.int32)
    which[marked + 1] = place[1:]
    spelt = ("", *lemma.values)
    values = tuple(f"{spelt[p // width]} {spelt[p % width]}".strip() for p in found.tolist())
    column = canonical(Strings(which, values))  # frames choose in this order: it must not hang on
    return Strings(column.code[1:], column.values)  # what else is in the shard; "" is the first in any alphabet


def _active(
    words: Words, said: Clauses, verb: NDArray[np.int64], filler: NDArray[np.int64], position: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Positions with the subjects of passive verbs turned back into objects; their agents are subjects already."""
    has_object = first_child(words.head, words.relation.isin(["obj"]))[verb] >= 0
    turned = said.passive[verb] & (position == SUBJECT) & ~words.relation.isin(["obl:agent"])[filler]
    return np.where(turned, np.where(has_object, SECOND_OBJECT, OBJECT), position)


def _with_company(
    words: Words, said: Clauses, verb: NDArray[np.int64], filler: NDArray[np.int64], slot: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The arguments, the antecedents of relative pronouns among them, and the further conjuncts of both."""
    relative = np.flatnonzero(said.antecedent[filler] >= 0)
    verb, slot = np.concatenate([verb, verb[relative]]), np.concatenate([slot, slot[relative]])
    filler = np.concatenate([filler, said.antecedent[filler[relative]]])
    owner, conjunct = children(words.head, filler, said.relation.isin(["conj"]))
    return np.concatenate([verb, verb[owner]]), np.concatenate([filler, conjunct]), np.concatenate([slot, slot[owner]])
