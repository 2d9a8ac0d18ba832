"""How the frames of VerbNet read what stands around a verb: each frame claims the places that it has a slot for.

Plain Python over tuples, remembered per distinct verb and places; pipeline.bonds.role weighs the readings.
"""

from dataclasses import dataclass
from functools import cache, lru_cache
from operator import itemgetter
from threading import Lock

from lexicons.restriction import Restriction
from lexicons.verbnet import Slot, class_frames

Place = tuple[str, str]
"""Where an argument stands: position and preposition ("" if none), as in lexicons.verbnet.Slot."""
Rule = tuple[str, Restriction]
"""A bond's rule, and what the filler must be."""
Reading = tuple[int, ...]
"""What one frame makes of a verb's places, in their order: the number of the claiming slot's rule, NO_RULE if none."""

NO_RULE = -1
_RULES: dict[Rule, int] = {}
"""Rules get a number when they are first met, once per process; the numbers never reach a bond."""
_NUMBERING = Lock()


def numbered_rules() -> tuple[Rule, ...]:
    """Every rule met so far, at its number."""
    return tuple(_RULES)


@lru_cache(maxsize=1 << 17)
def readings_of(lemma: str, verb_class: str, places: tuple[Place, ...]) -> tuple[Reading, ...]:
    """The different readings of a verb's places by the frames of its classes, the best first among equal counts."""
    claims = [
        (name.partition("-")[0] != lemma, size, reading)
        for name in verb_class.split()
        for size, reading in _claims(name, places)
    ]
    # Of the class named after the verb first, then the fewest slots first, then in VerbNet's order.
    in_order = sorted(claims, key=itemgetter(0, 1))
    return tuple(dict.fromkeys(reading for _, _, reading in in_order))  # no reading twice, order kept


@lru_cache(maxsize=1 << 16)
def _claims(name: str, places: tuple[Place, ...]) -> tuple[tuple[int, Reading], ...]:
    """Number of slots and reading of each frame of a class that claims any of the places; many verbs share a class."""
    claims = ((len(slots), _claim(slots, places)) for slots in _slots(name))
    return tuple(dict.fromkeys((size, reading) for size, reading in claims if reading))


@dataclass(frozen=True, slots=True)
class _Slot:
    """A slot of lexicons.verbnet, made ready for many comparisons."""

    position: str
    prepositions: frozenset[str]
    """Those that may head it; of a place without preposition, "" alone."""
    any_preposition: bool
    rule: int


@cache
def _slots(name: str) -> tuple[tuple[_Slot, ...], ...]:
    """Slots of each frame of a class; those that name their prepositions stand first, because they choose first."""
    return tuple(
        tuple(_slot(name, slot) for slot in sorted(frame.slots, key=lambda slot: not slot.prepositions))
        for frame in class_frames(name)
    )


def _slot(verb_class: str, slot: Slot) -> _Slot:
    rule = (f"{verb_class} {slot.role} {slot.restriction}".rstrip(), slot.restriction)
    return _Slot(
        position=slot.position,
        prepositions=frozenset(slot.prepositions or [""]),
        any_preposition=slot.position == "oblique" and not slot.prepositions,
        rule=_number(rule),
    )


def _number(rule: Rule) -> int:
    with _NUMBERING:
        return _RULES.setdefault(rule, len(_RULES))


def _claim(slots: tuple[_Slot, ...], places: tuple[Place, ...]) -> Reading | None:
    """Each slot takes the first free place that fits; None if nothing fits anything."""
    reading = [NO_RULE] * len(places)
    for slot in slots:
        for number, (position, preposition) in enumerate(places):
            fits = position == slot.position and reading[number] == NO_RULE
            if fits and (slot.any_preposition or preposition in slot.prepositions):
                reading[number] = slot.rule
                break
    return tuple(reading) if max(reading) > NO_RULE else None
