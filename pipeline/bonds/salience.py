"""How likely a word is what a pronoun stands for: salience, as log-odds that a person can read.

The idea is that of Lappin & Leass (1994): recency, the grammatical function of the antecedent, and parallel functions
each add a weight, and the heaviest candidates win. Their weights were set by hand; ours (lexicons.odds, table
`salience.tsv`) are fitted by logistic regression, family by family. Commanding subjects come from Hobbs (1978), who
searches the clauses above a pronoun from left to right; repeated and first-placed names from centering (Grosz, Joshi &
Weinstein 1995). What distinguishes persons from other names counts for pronouns with a sex only.
"""

from collections.abc import Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray

from lexicons import odds, wordnet
from lexicons.features import SEMANTIC_BITS, mask
from lexicons.names import FEMININE, MASCULINE, UNKNOWN
from lexicons.upos import UPOS_INDEX
from pipeline.bonds.chance import RELATIONS, Codes, relation_codes, score
from pipeline.bonds.mentions import Mentions
from pipeline.bonds.nominals import Nominals
from pipeline.bonds.pairs import first_child, run_start
from pipeline.records import Words

Rows = NDArray[np.int64]

EARLIER, LATER, ABOVE = 10, 5, 6
PREPOSITIONS = ("none", "in", "at", "from", "on", "to", "of", "by", "with", "for", "other")
FUNCTIONS = ("subject", "receiver", "object", "oblique", "possessor", "in phrase", "outside")
"""In the order of pipeline.bonds.nominals."""
SENTENCES = ("same", "1 before", "2 before", "3 before", "farther", "same, later")
SORTS = ("name", "misread name", "noun", "pronoun")

NEARNESS = (*(f"earlier {n}" for n in range(1, EARLIER + 1)), *(f"later {n}" for n in range(1, LATER + 1)))

FAMILIES: odds.Families = {
    "recency": (("",), NEARNESS),
    "sentence": (("",), SENTENCES),
    "role": (FUNCTIONS, RELATIONS),
    "above": (FUNCTIONS, ("no", *map(str, range(1, ABOVE + 1)))),
    "mention": (("nearest", "again", "often"), ("one word", "several")),
    "domain": (("free", "inside"), ("earlier", "later")),
    "sort": (SORTS, ("person", "place", "thing", "unknown")),
    "gender": (("unknown", "agrees", "clashes"), ("guess", "sure")),
    "preposition": (("",), PREPOSITIONS),
    "form": (("",), ("plain", "determined", "capitals", "plural")),
    "last word": (("",), ("no thing", "thing behind a name", "thing")),
    "rank": (("earlier", "later"), ("no person", *map(str, range(1, EARLIER + 1)))),
    "company": (("",), ("no name", "once", "twice", "three times", "more")),
    "place": (SENTENCES, ("no name", "first name", "second name", "third name", "later name")),
}
"""Family → the names of its rows and columns. For all pronouns: recency among the candidates that agree; sentence; the
function of the pronoun and the relation of the candidate; how many arcs above the pronoun the word is that the
candidate hangs on; whether the same name is mentioned nearer by; whether the parse has the candidate inside the
pronoun's own phrase. For pronouns with a sex: the others."""
SEXED_ONLY = ("sort", "gender", "preposition", "form", "last word", "rank", "company", "place")
PLACES = mask("location", "organization", "group", "time", "event", "region")


@cache
def weights() -> Mapping[str, NDArray[np.float32]]:
    """float32 [rows · columns] by family, from the table that ships."""
    return odds.weights(FAMILIES, "salience.tsv")


def salience(
    words: Words, phrases: Nominals, named: Mentions, query: Rows, key: Rows, inside: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """float32 [E]: log-odds of candidates that agree, sorted by query, then key.

    inside: bool [E], keys in the pronoun's own phrase.
    """
    general, sexed = entries(words, phrases, named, query, key, inside)
    table = weights()
    total = score(general, table)
    rows = np.flatnonzero(sexed_pronouns(words)[query])
    total[rows] += score({family: codes[rows] for family, codes in sexed.items()}, table)
    return total


def sexed_pronouns(words: Words) -> NDArray[np.bool_]:
    """bool [W]: has the word a masculine or feminine form?"""
    sexed: NDArray[np.bool_] = (words.features & np.uint64(mask("masculine", "feminine"))) != 0
    return sexed


def entries(
    words: Words, phrases: Nominals, named: Mentions, query: Rows, key: Rows, inside: NDArray[np.bool_]
) -> tuple[dict[str, Codes], dict[str, Codes]]:
    """The entry of each pair in each family: those for all pronouns, and those for pronouns with a sex."""
    later = (key > query).astype(np.int64)
    back = np.minimum(words.sentence[query].astype(np.int64) - words.sentence[key], 4)
    sentence = np.where(later == 1, 5, np.maximum(back, 0))
    function = phrases.function[query].astype(np.int64)
    relation = relation_codes(words).astype(np.int64)
    name = named.name[key]
    several = named.several[key].astype(np.int64)
    general: dict[str, Codes] = {
        "recency": _recency(query, later),
        "sentence": sentence,
        "role": function * len(RELATIONS) + relation[key],
        "above": function * (ABOVE + 1) + _above(words, query, key),
        "mention": _repeats(words, query, key) * 2 + several,
        "domain": inside * 2 + later,
    }
    noun_tag = words.upos[key] == UPOS_INDEX["PROPN"]
    sort = np.where(name, np.where(noun_tag, 0, 1), np.where(words.upos[key] == UPOS_INDEX["PRON"], 3, 2))
    kind, gender, form = _kind(words.features[key]), _gender(words, named, query, key), _form(words, key)
    person = name & (kind != 1) & (form != 1) & ((gender != 2) | ~named.sure[key])
    sexed: dict[str, Codes] = {
        "sort": sort * 4 + kind,
        "gender": gender * 2 + named.sure[key],
        "preposition": _prepositions(words)[key],
        "form": form,
        "last word": _last_word(words, named, key),
        "rank": later * (EARLIER + 1) + _rank(query, later, person),
        "company": _company(query, words.text.code[named.last[key]], name),
        "place": sentence * 5 + _place(query, sentence, name),
    }
    return general, sexed


def _recency(query: Rows, later: Rows) -> Rows:
    """Rank by nearness among the earlier candidates of the pronoun, or among the later ones."""
    place = np.arange(len(query))
    group = query * 2 + later
    first = run_start(group)
    last = len(query) - 1 - np.flip(run_start(np.flip(group))) if len(query) else place
    ranks: Rows = np.where(
        later == 1, EARLIER + np.minimum(place - first, LATER - 1), np.minimum(last - place, EARLIER - 1)
    )
    return ranks


def _rank(query: Rows, later: Rows, person: NDArray[np.bool_]) -> Rows:
    """Rank by nearness among the names that may be a person's, from 1; 0 for all else."""
    found = np.zeros(len(query), dtype=np.int64)
    rows = np.flatnonzero(person)
    place = _recency(query[rows], later[rows])
    found[rows] = 1 + np.where(later[rows] == 1, np.minimum(place - EARLIER, EARLIER - 1), place)
    return found


def _above(words: Words, query: Rows, key: Rows) -> Rows:
    """How many arcs above the query the head of the key is; 0 if it is not among the next few."""
    wanted, node = words.head[key], words.head[query]
    found: Rows = np.zeros(len(query), dtype=np.int64)
    for step in range(1, ABOVE + 1):
        found = np.where((found == 0) & (node == wanted) & (node >= 0), step, found)
        node = np.where(node >= 0, words.head[node], -1)
    return found


def _repeats(words: Words, query: Rows, key: Rows) -> Rows:
    """How many nearer candidates of the query have the same form: 0, 1, or 2 for more."""
    order = np.lexsort((np.abs(query - key), words.text.code[key], query))
    same = query[order] * (len(words.text.values) + 1) + words.text.code[key[order]]
    found = np.empty(len(query), dtype=np.int64)
    found[order] = np.minimum(np.arange(len(order)) - run_start(same), 2)
    return found


def _kind(bits: NDArray[np.uint64]) -> Rows:
    """What the lexicons know: a person, a place or institution, something else, nothing."""
    person = (bits & np.uint64(mask("human"))) != 0
    place = (bits & np.uint64(PLACES)) != 0
    known = (bits & np.uint64(SEMANTIC_BITS)) != 0
    return np.where(person, 0, np.where(place, 1, np.where(known, 2, 3)))


def _gender(words: Words, named: Mentions, query: Rows, key: Rows) -> Rows:
    masculine = (words.features[query] & np.uint64(mask("masculine"))) != 0
    ours = np.where(masculine, MASCULINE, FEMININE)
    theirs = named.gender[key]
    return np.where(theirs == UNKNOWN, 0, np.where(theirs == ours, 1, 2))


def _prepositions(words: Words) -> Rows:
    """int64 [W]: the first preposition of each word, as a position in PREPOSITIONS."""
    place = {form: number for number, form in enumerate(PREPOSITIONS)}
    code = np.array([place.get(value.lower(), len(PREPOSITIONS) - 1) for value in words.text.values], dtype=np.int64)
    case = first_child(words.head, words.relation.isin(["case"]))
    return np.where(case >= 0, code[words.text.code[case]], 0) if len(words) else np.zeros(0, np.int64)


def _form(words: Words, key: Rows) -> Rows:
    determined = first_child(words.head, words.relation.isin(["det"]))[key] >= 0
    capitals = np.array([len(value) > 1 and value.isupper() for value in words.text.values], dtype=bool)
    plural = (words.features[key] & np.uint64(mask("plural"))) != 0
    shout = capitals[words.text.code[key]] if len(key) else determined
    return np.where(shout, 2, np.where(determined, 1, np.where(plural, 3, 0)))


def _last_word(words: Words, named: Mentions, key: Rows) -> Rows:
    """Is the last word of the name, or the name itself, a common noun for what is no person ("World Cup")?"""
    tags = np.full(len(words.text.values), UPOS_INDEX["NOUN"], dtype=np.uint8)
    bits = wordnet.semantic(words.text.values, tags)
    thing = (bits != 0) & ((bits & np.uint64(mask("human"))) == 0)
    last = thing[words.text.code[named.last[key]]] if len(key) else np.zeros(0, bool)
    return np.where(last & named.name[key], np.where(named.several[key], 1, 2), 0)


def _company(query: Rows, form: NDArray[np.int32], name: NDArray[np.bool_]) -> Rows:
    """How many of the candidates have the same surname, itself among them; 0 for what is no name."""
    pair = query * (int(form.max(initial=0)) + 1) + form
    _, which, count = np.unique(pair, return_inverse=True, return_counts=True)
    return np.where(name, np.minimum(count[which], 4), 0)


def _place(query: Rows, sentence: Rows, name: NDArray[np.bool_]) -> Rows:
    """The how-manieth name of its sentence among the candidates; 0 for what is no name."""
    found = np.zeros(len(query), dtype=np.int64)
    rows = np.flatnonzero(name)
    group = query[rows] * len(SENTENCES) + sentence[rows]
    found[rows] = 1 + np.minimum(np.arange(len(rows)) - run_start(group), 3)
    return found
