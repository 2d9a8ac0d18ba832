"""The example sentences of VerbNet 3.3's frames, each with the slots that our tables make of its frame.

A frame's SYNTAX names the roles in the order in which they stand in its EXAMPLE. The phrases themselves are not marked
there: who reads the examples has to find them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lexicons.compile.corpora import wordnet_3_0
from lexicons.compile.verbnet import PARTICLE, VerbClass, verb_classes
from lexicons.verbnet import Slot, slot_of


@dataclass(frozen=True, slots=True)
class Example:
    """One sentence of one frame."""

    verb_class: str
    """The class whose own frame it is: `give-13.1`."""
    description: str
    """VerbNet's description of the frame: `NP V NP PP.recipient`."""
    text: str
    verbs: frozenset[str]
    """Lemmas that may be the sentence's verb: the members of the class and of the classes below it."""
    forms: frozenset[str]
    """Those of the sentence's words, in small letters, that WordNet takes for a form of such a verb: `fought`."""
    slots: tuple[Slot, ...]
    """In VerbNet's order, which is that of the sentence."""


def examples(nltk_data: Path) -> Iterator[Example]:
    """Every example of every frame, class by class; a frame with two examples gives two.

    nltk_data: the folder that holds `corpora/verbnet3.zip` and `corpora/wordnet.zip`. Raises LookupError (NLTK's) if
    one is missing.
    """
    wordnet = wordnet_3_0(nltk_data)
    for verb_class in verb_classes(nltk_data):
        verbs = _verbs(verb_class)
        for frame in verb_class.element.findall("FRAMES/FRAME"):
            slots = tuple(slot_of(written, frozenset()) for written in verb_class.slots(frame))
            found = frame.find("DESCRIPTION")
            description = "" if found is None else found.get("primary", "")
            for example in frame.findall("EXAMPLES/EXAMPLE"):
                text = " ".join((example.text or "").split())
                if text:
                    said = {word.lower() for word in re.findall(r"[\w'-]+", text)}
                    forms = frozenset(word for word in said if verbs & set(wordnet._morphy(word, "v")))
                    yield Example(verb_class.element.get("ID", ""), description, text, verbs, forms, slots)


def _verbs(verb_class: VerbClass) -> frozenset[str]:
    """The verbs of members; of a particle verb the verb alone, since a parser's word is one word."""
    members = (member.get("name", "").lower().replace("_", " ") for member in verb_class.element.iter("MEMBER"))
    return frozenset(PARTICLE.sub(" ", member).split()[0] for member in members if member.strip())
