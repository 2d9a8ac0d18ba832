"""VerbNet 3.3 as slots: which roles a verb grants, where each stands in the sentence, and what may fill it.

Kipper Schuler 2005, "VerbNet: a broad-coverage, comprehensive verb lexicon". `lexicons/compile/verbnet.py` says how
frames became slots; `lexicons/tables/verbnet.json` is the result.
"""

import json
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, cast

from lexicons.restriction import Restriction, restriction
from lexicons.tables import table

Position = Literal["subject", "object", "second_object", "oblique", "clause"]
"""Where a role stands, in the words of Universal Dependencies (of the active voice):

subject nsubj · object obj · second_object iobj (the receiver in "gave **me** a book", although it comes first)
· oblique obl with one of the slot's prepositions · clause csubj, ccomp, xcomp (predicative nouns and adjectives too:
"painted it **red**"), or advcl when the slot has prepositions ("dreamt of **going**").
"""


@dataclass(frozen=True, slots=True)
class Slot:
    """One role of one frame."""

    role: str
    """VerbNet's thematic role: Agent, Theme, Recipient …"""
    position: Position
    prepositions: tuple[str, ...]
    """The prepositions that may stand before it, in small letters, sorted; `out of` is written with a space. Empty on
    an oblique: VerbNet leaves the preposition open, or there is none ("cut the budget **10%**", "put it **there**")."""
    restriction: Restriction
    required: bool
    """Does every frame of the class have this role?"""


@dataclass(frozen=True, slots=True)
class Frame:
    """One way in which the verbs of a class build a sentence."""

    verb_class: str
    """VerbNet's name of the class, with its number: `give-13.1-1`."""
    slots: tuple[Slot, ...]
    """In the order of VerbNet's syntax, so that the subject usually comes first."""


def classes(lemma: str) -> tuple[str, ...]:
    """The VerbNet classes that have this verb as a member, sorted; () for a verb that VerbNet does not know.

    Particle verbs are written with a space: `give up`. Case does not matter.
    """
    return tuple(_verbnet()["members"].get(lemma.lower().replace("_", " "), ()))


@cache
def frames(lemma: str) -> tuple[Frame, ...]:
    """The frames of every class of the verb, inherited ones included; () for a verb that VerbNet does not know."""
    return tuple(frame for verb_class in classes(lemma) for frame in class_frames(verb_class))


@cache
def class_frames(verb_class: str) -> tuple[Frame, ...]:
    """The frames of a class and of its parents, most general first.

    Raises KeyError for a name that is no class of VerbNet 3.3.
    """
    described = _verbnet()["classes"][verb_class]
    required = frozenset(described["required"])
    return tuple(Frame(verb_class, tuple(slot_of(slot, required) for slot in slots)) for slots in described["frames"])


@cache
def lemmas() -> tuple[str, ...]:
    """Every member verb, sorted."""
    return tuple(_verbnet()["members"])


@cache
def _verbnet() -> dict[str, Any]:
    return cast(dict[str, Any], json.loads(table("verbnet.json").read_text(encoding="utf-8")))


def slot_of(written: list[str], required: frozenset[str]) -> Slot:
    """A slot from the four texts of the table: role, position, prepositions joined by ", ", restriction."""
    role, position, prepositions, said = written
    return Slot(
        role=role,
        position=cast(Position, position),
        prepositions=tuple(prepositions.split(", ")) if prepositions else (),
        restriction=restriction(said),
        required=role in required,
    )
