"""May this pronoun stand for that word? Person, number, gender, animacy: a clash of two known values says no."""

import numpy as np
from numpy.typing import NDArray

from lexicons.features import GENDER_BITS, PERSON_BITS, SEMANTIC_BITS, mask
from lexicons.upos import UPOS_INDEX
from pipeline.bonds.nominals import Nominals
from pipeline.records import Words

Bits = NDArray[np.uint64]
Mask = NDArray[np.bool_]

FIRST_OR_SECOND = mask("first", "second")
SEXED = mask("masculine", "feminine")
LIVING = mask("animate", "human", "animal")
PEOPLE = LIVING | mask("organization", "group")


def agree(words: Words, phrases: Nominals, names: Mask, query: NDArray[np.integer], key: NDArray[np.integer]) -> Mask:
    """bool [E]: pairs of a pronoun's row and a possible antecedent's row that agree. Needs annotated words.

    names: bool [W], words of names, as pipeline.bonds.mentions finds them.
    """
    ours, theirs = words.features[query], words.features[key]
    # "John and Mary": the first conjunct stands for all of them, as one and as many
    theirs = np.where(phrases.coordinated[key], theirs | np.uint64(mask("plural")), theirs)
    pronoun = words.upos[key] == UPOS_INDEX["PRON"]
    name = names[key]
    # taggers take "Stevens" for a plural: a plural name may be one
    theirs = np.where(name & _has(theirs, mask("plural")), theirs | np.uint64(mask("singular")), theirs)
    demonstrative = phrases.demonstrative[key]
    return (
        _person(ours, theirs, pronoun)
        & _number(ours, theirs, pronoun)
        & _gender(ours, theirs)
        & _animacy(ours, theirs, name, demonstrative)
    )


def _has(bits: Bits, wanted: int) -> Mask:
    has: Mask = (bits & np.uint64(wanted)) != 0
    return has


def _clash(ours: Bits, theirs: Bits, group: int) -> Mask:
    """Both have said something about this group of features, and nothing that they share."""
    return _has(ours, group) & _has(theirs, group) & ~_has(ours & theirs, group)


def _person(ours: Bits, theirs: Bits, pronoun: Mask) -> Mask:
    """`I`, `you` and their kin stand only for pronouns of their own person."""
    speaker = _has(ours, FIRST_OR_SECOND)
    return ~_clash(ours, theirs, PERSON_BITS) & (~speaker | pronoun & _has(theirs, FIRST_OR_SECOND))


def _number(ours: Bits, theirs: Bits, pronoun: Mask) -> Mask:
    """`they` has third person and no number: it takes plurals, and one human being or group of whom no sex is said."""
    they = _has(ours, mask("third")) & ~_has(ours, mask("singular", "plural"))
    one = _has(theirs, mask("singular")) & ~_has(theirs, mask("plural"))
    known = _has(theirs, SEMANTIC_BITS)
    one_of_people = np.where(pronoun, ~_has(theirs, GENDER_BITS), ~known | _has(theirs, PEOPLE))
    return ~_clash(ours, theirs, mask("singular", "plural")) & (~(they & one) | one_of_people)


def _gender(ours: Bits, theirs: Bits) -> Mask:
    return ~_clash(ours, theirs, GENDER_BITS)


def _animacy(ours: Bits, theirs: Bits, name: Mask, demonstrative: Mask) -> Mask:
    """`he` and `she` are for the living, `it` for what is no human being.

    What WordNet knows of a name is of one bearer among many (Paris, Jordan): it forbids nothing to `he` and `she`.
    """
    known, living = _has(theirs, SEMANTIC_BITS), _has(theirs, LIVING)
    person = ~known | living | name
    # a word that is typically both (an ape and a lout) may be either
    thing = ~_has(theirs, mask("human")) | _has(theirs, mask("organization", "group", "animal"))
    sexed, neuter = _has(ours, SEXED), _has(ours, mask("neuter"))
    return (~sexed | person & ~demonstrative) & (~neuter | thing)
