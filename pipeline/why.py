"""Why may one word attend another, or why not: the rules of its bonds in words, and what the other kinds miss."""

from collections.abc import Callable

import numpy as np

from lexicons.features import AGREEMENT, mask, names
from lexicons.upos import UPOS, compatible, lift_table
from lexicons.verbnet import class_frames
from pipeline.bonds import BondConfig
from pipeline.bonds.agreement import agree
from pipeline.bonds.chance import SEEN
from pipeline.bonds.clauses import clauses
from pipeline.bonds.mentions import mentions
from pipeline.bonds.modes import MODES
from pipeline.bonds.nominals import nominals
from pipeline.compatibility import score_block, score_columns
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
    if config.mode and MODES[config.mode].view != "bonds":
        return [*by_mode(words, bonds, query, key, config.mode), *_order(words, query, key)]
    forbidden = rules.pop("blocked", "")
    verdict = f"may attend, by {' and '.join(rules)}" if rules else "may not attend by any bond"
    lines = [f"{_named(words, query)} → {_named(words, key)}: {verdict}"]
    if forbidden:
        lines.append(f"blocked: {_forbidden(words, forbidden, query, key)}")
    if config.mode and MODES[config.mode].causal:
        lines.append("causal: later words look back, and only at what earlier words and closed arcs tell")
    lines += [f"{kind}: {_bonded(words, kind, rule, query, key)}" for kind, rule in rules.items()]
    for kind, missing in MISSING.items():
        if kind in config.kinds and kind not in rules:
            lines.append(f"no {kind}: {missing(words, config, query, key)}")
    back = (bonds.query == key) & (bonds.key == query)
    lines += [
        f"the other way round: {KINDS[bonds.kind[row]]}, {bonds.rule[row]}" for row in np.flatnonzero(back).tolist()
    ]
    return [*lines, _tags(words, query, key), *_order(words, query, key)]


def by_mode(words: Words, bonds: Bonds, query: int, key: int, name: str) -> list[str]:
    """The verdict of a mode whose view is no list of bonds: tags, scores, and pairs that are blocked."""
    mode, q, k = MODES[name], _named(words, query), _named(words, key)
    fit = bool(compatible()[words.upos[query], words.upos[key]])
    either = (bonds.query == query) & (bonds.key == key) | (bonds.query == key) & (bonds.key == query)
    rows = np.flatnonzero(either & (bonds.kind == KINDS.index("blocked"))).tolist()
    cut = ("pos" in mode.view and not fit) or bool(rows)
    lines = [f"{q} → {k}: {'may not' if cut else 'may'} attend in the mode {name} ({mode.says})"]
    for row in rows:
        lines.append(f"blocked: {_forbidden(words, bonds.rule[row], int(bonds.query[row]), int(bonds.key[row]))}")
    if "pos" in mode.view:
        lines.append(_tags(words, query, key))
    if mode.scores:
        score = int(score_block(score_columns(words), np.array([query]), np.array([key]))[0, 0])
        known = f"{q} is {_features(words, query)}, {k} is {_features(words, key)}"
        lines.append(f"score {score:+d} of person, number, gender and selection: {known}")
    return lines


def _forbidden(words: Words, rule: str, query: int, key: int) -> str:
    """The rule of a blocked pair as a sentence."""
    q, k = _named(words, query), _named(words, key)
    match rule.split(":")[0]:
        case "principle A":
            return f"{q} must be bound inside its clause or phrase, and {k} does not bind it there ({rule})"
        case "principle B":
            return f"{q} may not stand for {k}, which is in the same clause or phrase ({rule})"
        case "principle C":
            return f"{q} may not stand for {k}, which it commands ({rule})"
    wanted = rule.partition(" refuses: ")[2]
    return f"{k} cannot fill its place beside {q}: {rule.split()[1]} asks for {wanted}, {k} is {_features(words, key)}"


def _bonded(words: Words, kind: str, rule: str, query: int, key: int) -> str:
    """The rule of a bond as a sentence."""
    q, k = _named(words, query), _named(words, key)
    said, _, rest = rule.partition(" ")
    match kind:
        case "dependency":
            if said == "has":
                return f"{k} hangs on {q} ({rest})"
            if " up " not in rule:
                return f"{q} hangs on {k} ({rule})"
            return f"{_way(words, query, key)}; the parser may have missed an arc here ({rule})"
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
        case "open":
            return f"before {q} is read, {k} is still open: {rule}"
    return rule


def _no_dependency(words: Words, config: BondConfig, query: int, key: int) -> str:
    if words.sentence[query] != words.sentence[key]:
        return "they stand in different sentences"
    if query in _ancestors(words, key) and words.head[key] == query:
        return f"the arc leads up from {_named(words, key)} to {_named(words, query)}: the bond goes that way"
    if abs(query - key) <= SEEN:
        return f"{_way(words, query, key)}; words {SEEN} apart are seen in any case"
    rare = f"an arc between such words is less likely than one in {1 / config.least_chance:.0f}"
    return f"{_way(words, query, key)}; {rare}, or likelier ones come first, or the bond goes the other way"


def _way(words: Words, query: int, key: int) -> str:
    """How the tree of their sentence leads from one to the other."""
    q, k = _named(words, query), _named(words, key)
    above, below = [query, *_ancestors(words, query)], [key, *_ancestors(words, key)]
    shared = next(row for row in above if row in below)
    up, down = above.index(shared), below.index(shared)
    if not down:
        return f"{k} is {up} arc{'s' * (up > 1)} above {q}"
    if not up:
        return f"{k} is {down} arc{'s' * (down > 1)} below {q}"
    return f"they meet in {_named(words, shared)}, {up} up from {q} and {down} down to {k}"


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
    if not agree(words, phrases, mentions(words).name, np.array([query]), np.array([key]))[0]:
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


def _no_escape(_words: Words, config: BondConfig, _query: int, _key: int) -> str:
    return (
        "no doubtful border lies between them, and it is none of the few long edges "
        f"(every {config.escape_every} words, every {config.escape_sentences} sentences)"
    )


def _no_open(words: Words, _config: BondConfig, query: int, key: int) -> str:
    if key > query:
        return f"it looks back, and {_named(words, key)} comes later"
    if words.sentence[query] != words.sentence[key]:
        return "they stand in different sentences, and it is no bracket or quotation that is still open"
    return f"{_named(words, key)} has what it waits for before {_named(words, query)} comes, or takes nothing more"


MISSING: dict[str, Callable[[Words, BondConfig, int, int], str]] = {
    "dependency": _no_dependency,
    "role": _no_role,
    "binding": _no_binding,
    "cohesion": _no_cohesion,
    "escape": _no_escape,
    "open": _no_open,
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
