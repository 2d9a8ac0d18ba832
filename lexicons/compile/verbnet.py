"""From VerbNet's XML to `verbnet.json`: members, and classes with their roles, frames and what they inherit.

A subclass has the roles and frames of its parents besides its own. A role that it declares anew replaces the parent's
in its own frames; in inherited ones the parent's holds (`put` would otherwise take abstract objects alone). What a
frame demands of a phrase holds together with what the role demands. Clauses are not restricted: what VerbNet demands
of a Topic it demands of its noun, and the verb of a clause is no communication.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

from lexicons.compile.corpora import verbnet_3_3
from lexicons.compile.verbnet_frames import slots_of
from lexicons.compile.verbnet_restrictions import restriction_of
from lexicons.restriction import restriction

PARTICLE = re.compile(r"-(?=(?:away|back|by|down|in|off|on|out|over|through|up)$)")
"""VerbNet writes particle verbs both ways: give-up, give_up."""


class VerbClass(NamedTuple):
    element: Element
    frames: list[list[list[str]]]
    """Slots [role, position, prepositions, restriction] of each frame, inherited frames first."""
    roles: dict[str, str]
    """The restriction of each role, as text; its own before its parents'."""

    def slots(self, frame: Element) -> list[list[str]]:
        """Slots of one of the class's own frames."""
        return [_demanding(slot, self.roles) for slot in slots_of(frame, self.element.get("ID", ""))]


def compile_verbnet(nltk_data: Path, out: Path) -> Path:
    """Write `verbnet.json`, one member and one class a line, so that a person can find a verb; return its path."""
    members: dict[str, set[str]] = defaultdict(set)
    classes: dict[str, Any] = {}
    for verb_class in verb_classes(nltk_data):
        name = verb_class.element.get("ID", "")
        classes[name] = _described(verb_class)
        for member in verb_class.element.findall("MEMBERS/MEMBER"):
            for lemma in spellings(member.get("name", "")):
                members[lemma].add(name)
    path = out / "verbnet.json"
    tables = {"members": {lemma: sorted(names) for lemma, names in members.items()}, "classes": classes}
    path.write_text(_one_line_each(tables), encoding="utf-8", newline="\n")
    return path


def verb_classes(nltk_data: Path) -> Iterator[VerbClass]:
    """Every class of VerbNet 3.3, subclasses behind their parents; LookupError (NLTK's) if the corpus is missing."""
    verbnet = verbnet_3_3(nltk_data)
    for file in sorted(verbnet.fileids()):
        yield from _with_subclasses(verbnet.vnclass(file), {}, [])


def spellings(name: str) -> set[str]:
    """A member in lower case with spaces; a particle verb that is written with a hyphen in both ways."""
    lemma = name.lower().replace("_", " ")
    return {lemma, PARTICLE.sub(" ", lemma)}


def _with_subclasses(element: Element, roles: dict[str, str], frames: list[list[list[str]]]) -> Iterator[VerbClass]:
    """The class and every class below it, with what they inherit. roles, frames: of the parent."""
    own = {role.get("type", "").lstrip("?"): restriction_of(role) for role in element.findall("THEMROLES/THEMROLE")}
    roles, frames = {**roles, **own}, list(frames)
    verb_class = VerbClass(element, frames, roles)
    for frame in element.findall("FRAMES/FRAME"):
        slots = verb_class.slots(frame)
        if slots and slots not in frames:  # some frames differ in their semantics alone
            frames.append(slots)
    yield verb_class
    for below in element.findall("SUBCLASSES/VNSUBCLASS"):
        yield from _with_subclasses(below, roles, frames)


def _demanding(slot: list[str], roles: dict[str, str]) -> list[str]:
    """The slot with what its role demands added to what the frame demands."""
    role, position, prepositions, said = slot
    demanded = "" if position == "clause" else str(restriction(roles.get(role, "")) & restriction(said))
    return [role, position, prepositions, demanded]


def _described(verb_class: VerbClass) -> dict[str, Any]:
    granted = [{role for role, *_ in slots} for slots in verb_class.frames]
    return {
        "required": sorted(set.intersection(*granted)) if granted else [],
        "frames": verb_class.frames,
    }


def _one_line_each(tables: dict[str, dict[str, Any]]) -> str:
    written = (
        f"{json.dumps(name)}: {{\n"
        + ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in sorted(table.items()))
        + "\n}"
        for name, table in tables.items()
    )
    return "{\n" + ",\n".join(written) + "\n}\n"
