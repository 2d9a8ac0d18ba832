"""All that the lexicons know of one lemma, as JSON values, each part with the table that it stands in."""

import difflib
from typing import Any

import numpy as np

from lexicons import taxonomy, verbnet, wordnet
from lexicons.features import AGREEMENT, SEMANTIC_BITS, names
from lexicons.morphology import unknown_noun
from lexicons.pronouns import pronoun
from lexicons.upos import UPOS_INDEX
from lexicons.verbnet import Frame, Slot

SOURCES: dict[str, str] = {
    "wordnet": "WordNet 3.0, through anchors.tsv (wordnet_*.npy, taxonomy_*)",
    "name": "WordNet 3.0, senses written with a capital (wordnet_*.npy)",
    "verbnet": "VerbNet 3.3 (verbnet.json, prepositions.tsv)",
    "pronoun": "written by hand (pronouns.tsv)",
    "make": "the make of the word, where WordNet has no such noun (lexicons/morphology.py)",
}
"""Where each part of an entry comes from."""


def entry(lemma: str) -> dict[str, Any]:
    """The parts of SOURCES that have something to say of the lemma, with their sources; case does not matter.

    Raises ValueError, with the nearest lemmas, for one of which nothing is known.
    """
    parts: dict[str, Any] = {
        "wordnet": {tag: said for tag in wordnet.PART if (said := _senses(lemma, tag))},
        "name": list(names(int(wordnet.named([lemma])[0]))),
        "verbnet": [_verb_class(name) for name in verbnet.classes(lemma)],
        "pronoun": _pronoun(lemma),
    }
    if "NOUN" not in parts["wordnet"] and not parts["pronoun"]:
        parts["make"] = list(names(unknown_noun(lemma)))
    found = {part: said for part, said in parts.items() if said}
    if not found:
        near = nearest(lemma)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "nothing like it is known either"
        raise ValueError(f"the lexicons have no entry for {lemma!r}; {hint}")
    return {"lemma": lemma.lower(), **found, "sources": {part: SOURCES[part] for part in found}}


def nearest(lemma: str, count: int = 3) -> list[str]:
    """The known lemmas that are spelt most like this one, of its first letter and about its length; the best first."""
    small = lemma.lower()
    known = sorted({*wordnet.lemmas(), *verbnet.lemmas()})
    near = [word for word in known if word[:1] == small[:1] and abs(len(word) - len(small)) <= 2]
    return difflib.get_close_matches(small, near, n=count, cutoff=0.7)


def _senses(lemma: str, tag: str) -> dict[str, Any] | None:
    """Features of the lemma under a tag; of a noun, its most usual sense and the concepts above it, nearest first."""
    tags = np.array([UPOS_INDEX[tag]], dtype=np.uint8)
    possible = int(wordnet.possible([lemma], tags)[0])
    node = int(wordnet.nodes([lemma], tags)[0])
    if not possible and node < 0:
        return None
    typical = int(wordnet.semantic([lemma], tags)[0])
    said: dict[str, Any] = {"typical": list(names(typical)), "possible_besides": list(names(possible & ~typical))}
    if node >= 0:
        said["most_usual_sense"] = taxonomy.name(node)
        said["above"] = [taxonomy.name(higher) for higher in taxonomy.above(node)]
    return said


def _verb_class(name: str) -> dict[str, Any]:
    """The class's roles, each with every restriction that some frame states, and its frames."""
    frames = verbnet.class_frames(name)
    slots = [slot for frame in frames for slot in frame.slots]
    roles = {
        role: sorted({str(slot.restriction) for slot in slots if slot.role == role} - {""})
        for role in dict.fromkeys(slot.role for slot in slots)
    }
    required = sorted({slot.role for slot in slots if slot.required})
    return {"class": name, "required": required, "roles": roles, "frames": [_frame(frame) for frame in frames]}


def _frame(frame: Frame) -> list[dict[str, Any]]:
    return [_slot(slot) for slot in frame.slots]


def _slot(slot: Slot) -> dict[str, Any]:
    return {
        "role": slot.role,
        "position": slot.position,
        "prepositions": list(slot.prepositions),
        "restriction": str(slot.restriction),
        "required": slot.required,
    }


def _pronoun(form: str) -> dict[str, Any] | None:
    found = pronoun(form)
    if found is None:
        return None
    agreement = [name for name in names(found.features) if name in AGREEMENT]
    semantic = list(names(found.features & SEMANTIC_BITS))
    return {"kinds": list(found.kinds), "principle": found.principle, "agreement": agreement, "semantic": semantic}
