"""`valency lexicon`: an entry of lexicons.entry as text that a person can read."""

from typing import Any

LONGEST = 8
"""Prepositions of a slot that are spelt out; the rest is counted."""


def lexicon_text(entry: dict[str, Any]) -> str:
    """One paragraph a source, each under the name of what it comes from."""
    sources = entry["sources"]
    lines = [entry["lemma"]]
    for part, write in (("wordnet", _wordnet), ("name", _features), ("verbnet", _verbnet), ("pronoun", _pronoun)):
        if part in entry:
            lines += ["", f"{part}: {sources[part]}", *write(entry[part])]
    if "make" in entry:
        lines += ["", f"make: {sources['make']}", *_features(entry["make"])]
    if "senses" in entry:
        lines += ["", "senses: WordNet 3.0, weighed by how often they were tagged", *map(_sense, entry["senses"])]
    return "\n".join(lines)


def _sense(said: dict[str, Any]) -> str:
    mark = " (name)" if said["name"] else ""
    return f"  {said['sense']:<22} {said['weight']:>6}{mark}  {_said(said['features'])}"


def _wordnet(parts: dict[str, Any]) -> list[str]:
    lines = []
    for tag, said in parts.items():
        lines.append(f"  {tag:<5} typical   {_said(said['typical'])}")
        lines.append(f"        possible  {_said(said['possible_besides'])}")
        if "most_usual_sense" in said:
            lines.append(f"        sense     {' < '.join([said['most_usual_sense'], *said['above']])}")
    return lines


def _features(features: list[str]) -> list[str]:
    return [f"  typical   {_said(features)}"]


def _verbnet(classes: list[dict[str, Any]]) -> list[str]:
    lines = []
    for described in classes:
        lines.append(f"  {described['class']}  (every frame has {_said(described['required'])})")
        for role, restrictions in described["roles"].items():
            lines.append(f"    {role:<17} {' or '.join(restrictions) or 'anything'}")
        lines += [f"    · {'  '.join(map(_slot, frame))}" for frame in described["frames"]]
    return lines


def _slot(slot: dict[str, Any]) -> str:
    words = slot["prepositions"]
    more = f" and {len(words) - LONGEST} more" if len(words) > LONGEST else ""
    before = f" ({', '.join(words[:LONGEST])}{more})" if words else ""
    return f"{slot['role']}{'!' if slot['required'] else ''}:{slot['position']}{before}"


def _pronoun(said: dict[str, Any]) -> list[str]:
    principle = f"principle {said['principle']}" if said["principle"] else "not governed by the binding theory"
    return [f"  {', '.join(said['kinds'])}; {principle}; {_said([*said['agreement'], *said['semantic']])}"]


def _said(words: list[str]) -> str:
    return " ".join(words) or "nothing"
