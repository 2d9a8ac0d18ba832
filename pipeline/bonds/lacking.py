"""Which role a verb still lacks: one that every frame of one of its VerbNet classes has, with its places still empty.

A role counts as filled by whatever stands in a place that some frame of the class has for it, and lacking only if some
such place is yet to come, which the subject's is not. The classes are those of the lemma alone: a particle that makes
another verb of it ("give **up**") comes later.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lexicons.upos import UPOS_INDEX
from lexicons.verbnet import class_frames, classes
from pipeline.bonds.arguments import POSITIONS, SUBJECT
from pipeline.bonds.pairs import first_child
from pipeline.bonds.places import places
from pipeline.records import Words

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Lacking:
    """When which place of a verb is filled, and what it then lacks."""

    first: NDArray[np.int32]
    """[POSITIONS, W] row of the first dependent in each place, -1 for none."""
    rule: NDArray[np.int64]
    """[lemmas + 1, 2 ** POSITIONS] by filled places, position in `texts`, -1: nothing; the last row is of no verb."""
    lemma: Rows
    """[W] row of `rule`."""
    texts: tuple[str, ...]
    """`give-13.1 lacks Recipient`."""

    def at(self, query: Rows, key: Rows) -> Rows:
        """int64 [E]: position in `texts` of what the key lacks at the query, -1 for nothing."""
        filled = np.zeros(len(query), dtype=np.int64)
        for place, first in enumerate(self.first):
            there = first[key]
            filled |= ((there >= 0) & (there < query)).astype(np.int64) << place
        found: Rows = self.rule[self.lemma[key], filled]
        return found


def lacking(words: Words) -> Lacking:
    """What the verbs of a shard lack. Python once per distinct lemma and set of places."""
    place = places(words)
    first = np.stack([first_child(words.head, place == number) for number in range(len(POSITIONS))])
    verb = words.upos == UPOS_INDEX["VERB"]
    used, code = np.unique(words.lemma.code[verb], return_inverse=True)
    lemma = np.full(len(words), len(used), dtype=np.int64)
    lemma[verb] = code
    texts: dict[str, int] = {}
    rule = np.full((len(used) + 1, 1 << len(POSITIONS)), -1, dtype=np.int64)
    for number, one in enumerate(used.tolist()):
        for filled, text in enumerate(_lacks(words.lemma.values[one])):
            if text:
                rule[number, filled] = texts.setdefault(text, len(texts))
    return Lacking(first, rule, lemma, tuple(texts))


@lru_cache(maxsize=1 << 14)
def _lacks(lemma: str) -> tuple[str, ...]:
    """By filled places, the first role that the verb lacks; the class that is named after the verb is asked first."""
    return tuple(_first_lack(lemma, filled) for filled in range(1 << len(POSITIONS)))


def _first_lack(lemma: str, filled: int) -> str:
    for name in sorted(classes(lemma), key=lambda name: name.partition("-")[0] != lemma.lower()):
        for role, where in required_roles(name).items():
            if not filled & where and where & ~(1 << SUBJECT):
                return f"{name} lacks {role}"
    return ""


@lru_cache(maxsize=1 << 10)
def required_roles(verb_class: str) -> dict[str, int]:
    """The roles that every frame of a class has, each with the places that some frame has for it, as bits."""
    roles: dict[str, int] = {}
    for frame in class_frames(verb_class):
        for slot in frame.slots:
            if slot.required:
                roles[slot.role] = roles.get(slot.role, 0) | 1 << POSITIONS.index(slot.position)
    return roles
