"""Why may one word attend another, or why not: the rules of its bonds in words, and what the other kinds miss."""

from collections.abc import Callable

import numpy as np

from lexicons.features import AGREEMENT, mask, names
from lexicons.upos import UPOS, lift_table
from lexicons.verbnet import class_frames
from pipeline.bonds import BondConfig
from pipeline.bonds.agreement import agree
from pipeline.bonds.clauses import clauses
from pipeline.bonds.nominals import nominals
from pipeline.records import KINDS, Bonds, Words

NOUNS = ("NOUN", "PROPN")


def why(words: Words, bonds: Bonds, query: int, key: int, config: BondConfig) -> list[str]:
    """Lines that say whether the word in row `query` may attend the one in row `key`, and why or why not.

    words: annotated, of one document; bonds: made of them with these settings; rows count from 0, lines from 1.
    Errors: ValueError for a row that is not there, or one word given twice.
    """
    for row in (query, key):
        if not 0 <= row < len(words):
            raise ValueError(f"there is no word {row + 1}; the text has {len(words)} words, counted from 1")
    if query == key:
        raise ValueError(f"{_named(words, query)} always attends itself; name two words")
    found = (bonds.query == query) & (bonds.key == key)
    rules = {KINDS[bonds.kind[row]]: bonds.rule[row] for row in np.flatnonzero(found).tolist()}
    verdict = f"may attend, by {' and '.join(rules)}" if rules else "may not attend by any bond"
    lines = [f"{_named(words, query)} → {_named(words, key)}: {verdict}"]
    lines += [f"{kind}: {_bonded(words, kind, rule, query, key)}" for kind, rule in rules.items()]
    for kind, missing in MISSING.items():
        if kind in config.kinds and kind not in rules:
            lines.append(f"no {kind}: {missing(words, config, query, key)}")
    back = (bonds.query == key) & (bonds.key == query)
    lines += [
        f"the other way round: {KINDS[bonds.kind[row]]}, {bonds.rule[row]}" for row in np.flatnonzero(back).tolist()
    ]
    return [*lines, _tags(words, query, key), *_order(words, query, key)]


def _bonded(words: Words, kind: str, rule: str, query: int, key: int) -> str:
    """The rule of a bond as a sentence."""
    q, k = _named(words, query), _named(words, key)
    said, _, rest = rule.partition(" ")
    match kind:
        case "dependency":
            path = rule.split(">")
            return f"{q} hangs on {k} ({rule})" if len(path) == 1 else f"{k} is {len(path)} arcs above {q}, by {rule}"
        case "role":
            role, _, wanted = rest.partition(" ")
            asks = f", which asks for {wanted}; {k} is {_features(words, key)}" if wanted else ""
            return f"{k} can be the {role} of {q} in VerbNet's class {said}{asks}"
        case "binding":
            principle, _, agreement = rule.partition(": ")
            where = "inside its own clause or phrase" if principle.endswith("A") else "outside its own clause or phrase"
            return f"{q} may stand for {k}, {where} ({principle}); they agree: {agreement.partition('~')[2].strip()}"
        case "cohesion":
            if said == "same":
                return f"{q} repeats {k} ({rule})"
            return f"{q} and {k} are close in WordNet ({rule})"
    return rule


def _no_dependency(words: Words, config: BondConfig, query: int, key: int) -> str:
    q, k = _named(words, query), _named(words, key)
    above, below = _ancestors(words, query), _ancestors(words, key)
    if key in above:
        steps = above.index(key) + 1
        if steps > config.hops:
            return f"{k} is {steps} arcs above {q}; these bonds go up {config.hops} at most"
        return f"{k} is {steps} arcs above {q}, but words of their tags are seldom joined"
    if query in below:
        return f"the arcs lead up from {k} to {q}, not down"
    shared = [row for row in above if row in below]
    if not shared:
        return "they stand in different sentences"
    up, down = above.index(shared[0]) + 1, below.index(shared[0]) + 1
    return f"they meet in {_named(words, shared[0])}, {up} up from {q} and {down} down to {k}; these bonds only go up"


def _no_role(words: Words, _config: BondConfig, query: int, key: int) -> str:
    q, k = _named(words, query), _named(words, key)
    known = words.verb_class[query].split()
    if not known:
        return f"{q} is no verb that VerbNet knows"
    if words.head[key] != query:
        return f"{k} does not hang on {q}"
    slots = [slot for each in known for frame in class_frames(each) for slot in frame.slots]
    fits = {slot.role: bool(slot.restriction.allows(words.features[[key]])[0]) for slot in slots}
    refused = dict.fromkeys(f"{slot.role} {slot.restriction}" for slot in slots if not fits[slot.role])
    others = dict.fromkeys(f"{slot.role} ({slot.position})" for slot in slots if fits[slot.role])
    said = [f"{k} is {_features(words, key)}"]
    if refused:
        said.append(f"that is not what {', '.join(list(refused)[:4])} ask for")
    if others:
        said.append(f"{', '.join(list(others)[:4])} stand elsewhere or have another filler")
    return "; ".join(said)


def _no_binding(words: Words, config: BondConfig, query: int, key: int) -> str:
    q, k = _named(words, query), _named(words, key)
    phrases = nominals(words, clauses(words))
    if not (phrases.anaphor[query] or phrases.pronominal[query]):
        return f"{q} is no pronoun that stands for something"
    if not phrases.phrase[key]:
        return f"{k} heads no phrase that a pronoun could stand for"
    if not agree(words, phrases, np.array([query]), np.array([key]))[0]:
        return f"they do not agree: {q} is {_features(words, query, AGREEMENT)}, {k} is {_features(words, key)}"
    if phrases.anaphor[query]:
        return f"principle A: {k} does not command {q} from inside the same clause or phrase"
    back = int(words.sentence[query]) - int(words.sentence[key])
    if back < 0 or back > config.binding_reach:
        return f"{k} is not in the same sentence or the {config.binding_reach} before it"
    return (
        f"{k} is in the same clause or phrase as {q} (principle B), or {q} commands it (principle C), or the "
        f"{config.binding_cap} nearest candidates come first"
    )


def _no_cohesion(words: Words, config: BondConfig, query: int, key: int) -> str:
    tags = [UPOS[words.upos[row]] for row in (query, key)]
    if not all(tag in NOUNS for tag in tags):
        return f"it ties nouns and names, and these are {tags[0]} and {tags[1]}"
    back = int(words.sentence[query]) - int(words.sentence[key])
    if back <= 0:
        return "it leads to earlier sentences; words of one sentence are tied by its syntax"
    if back > config.cohesion_reach:
        return f"it reaches {config.cohesion_reach} sentences back, and this is {back}"
    return "they have other lemmas and are not close in WordNet, or nearer mentions come first"


MISSING: dict[str, Callable[[Words, BondConfig, int, int], str]] = {
    "dependency": _no_dependency,
    "role": _no_role,
    "binding": _no_binding,
    "cohesion": _no_cohesion,
}
"""For each kind, why a pair has no such bond."""


def _tags(words: Words, query: int, key: int) -> str:
    """What a `pos` mask says of the pair."""
    pair = sorted([UPOS[words.upos[query]], UPOS[words.upos[key]]])
    row = next(row for row in lift_table() if sorted([row["tag"], row["other"]]) == pair)
    may = "may" if row["compatible"] == "yes" else "may not"
    times = f"arcs join such words {float(row['lift']):.2f} times as often as distance alone predicts"
    return f"by tags alone {' and '.join(pair)} {may} attend one another: {times}"


def _order(words: Words, query: int, key: int) -> list[str]:
    late = f"{_named(words, key)} comes later, so a model that reads from left to right never looks there"
    return [late] if key > query else []


def _ancestors(words: Words, row: int) -> list[int]:
    """The head, its head, … up to the root."""
    found = []
    while (row := int(words.head[row])) >= 0:
        found.append(row)
    return found


def _named(words: Words, row: int) -> str:
    return f"{words.text[row]} {row + 1}"


def _features(words: Words, row: int, only: tuple[str, ...] = ()) -> str:
    bits = int(words.features[row]) & (mask(*only) if only else -1)
    return f"[{' '.join(names(bits & (2**64 - 1)))}]"
