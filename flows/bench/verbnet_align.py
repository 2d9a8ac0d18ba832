"""Which phrase of a parsed example fills which slot of its frame.

VerbNet does not mark the phrases of its examples, but it names their roles in the order of the sentence. So the
phrases around the verb are put beside the slots without crossing: of all such pairings the one whose relations and
prepositions agree best (`fit`). What stays without partner is counted, never guessed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from lexicons.compile.verbnet_examples import Example
from lexicons.upos import UPOS_INDEX
from lexicons.verbnet import Slot
from pipeline.records import Words

CLAUSES = frozenset({"ccomp", "xcomp", "csubj", "advcl", "acl"})
NOMINAL = frozenset({"nsubj", "obj", "iobj", "obl", "nmod", "dep", "dislocated", "parataxis"})
MISREAD = frozenset({"compound", "flat", "appos"})
"""Relations of a phrase to a verb that the parser took for a name: "Ellen alerted Helen"."""
NO_PHRASE = frozenset({"nmod:poss", "nmod:desc", "nmod:unmarked"})
NAMING = tuple(UPOS_INDEX[tag] for tag in ("NOUN", "PROPN", "PRON", "NUM", "SYM", "X"))

BEST: dict[str, str] = {"subject": "nsubj", "object": "obj", "second_object": "iobj", "oblique": "obl"}
"""The relation that a slot's position is the name of."""

FILLED = 3.0
"""Worth of a filled slot, whatever fills it: the example has all phrases of its frame, the parse may misname them."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """One phrase around the verb."""

    row: int
    """Of its head in the words."""
    relation: str
    """UD relation without subtype; `nmod` hangs on another phrase, where parsers like to put what belongs to verbs."""
    prepositions: frozenset[str]
    """In small letters; empty for a bare phrase."""
    before: bool
    """Does it stand before the verb?"""


def find_verb(words: Words, rows: Sequence[int], example: Example) -> int | None:
    """The row of the word that is a form of one of the example's verbs, verbs and those near the root first.

    If there is none, the root if it is a verb; else None.
    """
    tags = [words.upos[row] in (UPOS_INDEX["VERB"], UPOS_INDEX["AUX"]) for row in rows]
    ranked = sorted(
        (not tag, _depth(words, row), row)
        for row, tag in zip(rows, tags, strict=True)
        if words.text[row].lower() in example.forms or words.lemma[row].lower() in example.verbs
    )
    if ranked:
        return ranked[0][2]
    return next((row for row, tag in zip(rows, tags, strict=True) if tag and words.head[row] < 0), None)


def phrases_around(words: Words, verb: int) -> list[Phrase]:
    """The phrases that hang on the verb, and those that hang on these as `nmod`, in text order; expletives are none.

    Where the parser took the verb for part of a noun phrase ("the ball rolled": a ball that was rolled), the noun above
    it and what hangs there are phrases too.
    """
    children: dict[int, list[int]] = {}
    for row, head in enumerate(words.head.tolist()):
        children.setdefault(head, []).append(row)
    naming = np.isin(words.upos, NAMING)

    def phrase(row: int, relation: str) -> Phrase:
        cases = [row for row in children.get(row, ()) if words.relation[row].partition(":")[0] == "case"]
        cases += [part for one in cases for part in children.get(one, ()) if words.relation[part] == "fixed"]
        return Phrase(row, relation, frozenset(words.text[one].lower() for one in cases), row < verb)

    def below(head: int, relations: frozenset[str]) -> Iterator[Phrase]:
        for row in children.get(head, ()):
            relation = words.relation[row].partition(":")[0]
            if row == verb or words.relation[row] in NO_PHRASE or relation not in relations:
                continue
            if relation in MISREAD and not naming[row]:
                continue
            yield phrase(row, "dep" if relation in MISREAD else relation)
            if relation in NOMINAL or naming[row]:
                yield from below(row, frozenset({"nmod"}))

    found = list(below(verb, CLAUSES | NOMINAL | MISREAD))
    above = int(words.head[verb])
    if above >= 0 and naming[above]:
        found += [phrase(above, "dep"), *below(above, CLAUSES | NOMINAL | MISREAD)]
    return sorted(found, key=lambda phrase: phrase.row)


def fit(slot: Slot, phrase: Phrase) -> float:
    """How well a phrase fits a slot; 0 if it cannot stand there."""
    if slot.position == "clause":
        return 3.0 if phrase.relation in CLAUSES else 0.5  # "elected him **governor**": parsers see an object
    if phrase.relation in CLAUSES and phrase.relation != "xcomp":
        return 0.0
    if slot.position == "oblique":
        return _fit_oblique(slot, phrase)
    if phrase.prepositions or phrase.relation == "nmod":
        return 0.0
    if phrase.relation == BEST[slot.position]:
        return 3.0
    if slot.position == "subject":
        return 1.0 if phrase.before else 0.5  # "there followed **a war**"
    return 0.0 if phrase.before and phrase.relation == "nsubj" else 1.0


def _fit_oblique(slot: Slot, phrase: Phrase) -> float:
    if slot.prepositions:
        if not any(set(words.split()) <= phrase.prepositions for words in slot.prepositions):
            return 0.0
        return 3.0 if phrase.relation == "obl" else 2.0
    if phrase.relation == "nsubj":
        return 0.0
    return 2.5 if phrase.relation == "obl" else 1.0


def align(slots: Sequence[Slot], phrases: Sequence[Phrase]) -> list[int | None]:
    """The phrase of each slot, None where it has none; order is kept, most slots are filled, by those that fit best."""

    @cache
    def best(slot: int, phrase: int) -> tuple[float, tuple[int | None, ...]]:
        if slot == len(slots):
            return 0.0, ()
        without, rest = best(slot + 1, phrase)
        found: tuple[float, tuple[int | None, ...]] = (without, (None, *rest))
        for place in range(phrase, len(phrases)):
            good = fit(slots[slot], phrases[place])
            if good > 0:
                total, rest = best(slot + 1, place + 1)
                if FILLED + good + total > found[0]:
                    found = (FILLED + good + total, (place, *rest))
        return found

    return list(best(0, 0)[1])


def _depth(words: Words, row: int) -> int:
    depth, head = 0, int(words.head[row])
    while head >= 0:
        depth, head = depth + 1, int(words.head[head])
    return depth


def rows_of_documents(words: Words) -> dict[str, list[int]]:
    """The rows of each document, by its id."""
    starts = np.searchsorted(words.document, np.arange(len(words.documents) + 1))
    return {
        name: list(range(first, last))
        for name, first, last in zip(words.documents, starts[:-1].tolist(), starts[1:].tolist(), strict=True)
    }
