"""From VerbNet's restrictions on a phrase to ours, and from its prepositions to lists of words.

- `+location` becomes `[+concrete | +location]`: in VerbNet's hierarchy a location is a region, a place or any object
  (books are put on tables), while WordNet's locations hold no tables.
- `eventive` is `event`.
- `+animate +organization` and `+concrete +organization` without a word for "or" can only mean it: nothing is both.
- `+refl` and `+plural` are facts of a phrase and no features of a word (two singulars joined by "and" are plural);
  `+elongated`, `+nonrigid` and `+pointy` have no synset in WordNet that would hold their words; `-region` would forbid
  putting things in towns or on top. A restriction to one of these is left out and the rest of its bracket stands; an
  `or` with one of them restricts nothing.
"""

import re
from functools import cache
from xml.etree.ElementTree import Element

from lexicons.compile.corpora import hand_made
from lexicons.restriction import Atom, Restriction

NOT_EXPRESSED = frozenset({"+refl", "+plural", "+elongated", "+nonrigid", "+pointy", "-region"})
"""Restrictions that no feature of a word can decide."""

READ_AS: dict[str, Restriction | Atom] = {
    "+location": Restriction("or", (Atom(True, "concrete"), Atom(True, "location"))),
    "+eventive": Atom(True, "event"),
}

EXCLUSIVE: tuple[set[Atom], ...] = tuple(
    {Atom(True, feature), Atom(True, "organization")} for feature in ("animate", "concrete")
)
"""Pairs that no word can meet together."""


def restriction_of(element: Element) -> str:
    """The restriction in an element's SELRESTRS, as text; empty if there is none that we can express."""
    found = element.find("SELRESTRS")
    said = None if found is None else _read(found)
    if isinstance(said, Atom):
        said = Restriction("and", (said,))
    return str(said or "")


def _read(element: Element) -> Atom | Restriction | None:
    """None: whatever stands here restricts nothing."""
    if element.tag == "SELRESTR":
        sign, feature = element.get("Value", ""), element.get("type", "")
        if sign + feature in NOT_EXPRESSED:
            return None
        return READ_AS.get(sign + feature) or Atom(sign == "+", feature)
    parts = [_read(child) for child in element]
    said = tuple(part for part in parts if part is not None)
    either = (element.get("logic") == "or" and len(parts) > 1) or any(set(said) == pair for pair in EXCLUSIVE)
    if not said or (either and len(said) < len(parts)):
        return None
    return said[0] if len(said) == 1 else Restriction("or" if either else "and", said)


def prepositions_of(element: Element) -> str:
    """The prepositions of a PREP or LEX element, sorted and joined by ", "; empty if VerbNet leaves them open."""
    text = re.sub(r"\boff of\b", "off_of", element.get("value", "").strip().lstrip("?"))
    words = re.split(r"\s*\|\s*", text) if "|" in text else text.split()
    chosen = {word.strip() for word in words}
    for said in element.iter("SELRESTR"):
        members = preposition_classes()[said.get("type", "")]
        chosen = chosen | members if said.get("Value") == "+" else chosen - members
    return ", ".join(sorted(word.replace("_", " ") for word in chosen))


@cache
def preposition_classes() -> dict[str, frozenset[str]]:
    """The words of each class of `prepositions.tsv`, those of the classes that it takes in included."""
    words: dict[str, frozenset[str]] = {}
    for row in hand_made("prepositions.tsv"):
        inside = [words[name] for name in row["also"].split()]
        words[row["class"]] = frozenset(row["words"].split()).union(*inside)
    return words
