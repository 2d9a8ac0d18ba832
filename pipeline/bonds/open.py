"""Open bonds: from a position to the earlier words whose valency is not yet filled, where the next word will attach.

Query = the word in that position, key = an earlier word of its sentence that is still open there. What is open at word
i is a function of the words before it and of the arcs whose two ends both stand before it, for these are closed by
then; of i itself it asks nothing but whether a sentence or paragraph begins. Whether one begins is known at i's first
piece and not before: until then, only the words open if the sentence goes on may be told. With a tree parser that
promise is only formal: its trees have seen the whole sentence. `--parser prefix` joins words left to right and keeps it
(the mode `causal`); the rule is the same.

A word is open as long as an arc may still be added without crossing (the configurations of a left-to-right parser:
Nivre 2008, section 4): until its head has come, if that comes later; else until its head takes another dependent, or is
itself no longer open. What it waits for is the rule:

`determiner without noun`, `adjective …`, `number …`, `preposition without object`, `auxiliary without verb`,
`conjunction without conjunct`, `adverb without head`, `subject without verb`, `mark without clause`
                                    words whose head has not come; `open clause: mark` for what introduces a clause
`give-13.1 lacks Recipient`         a verb without a role that every frame of its class has (pipeline.bonds.lacking)
`open clause`                       a verb that lacks nothing: adjuncts and conjuncts may follow
`open phrase`                       any other content word at the right edge of what has been said
`open bracket`, `open quotation`    also of earlier sentences (pipeline.bonds.brackets)
`head in doubt`                     with `open_doubt`, a word right behind whose nominal head the text may go on with
                                    the true one: "the school" | "bus". For parsers that have not seen it

Of more than `open_cap` the likeliest stay, by the share of such pairs that are arcs; of equals the nearest.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lexicons.upos import UPOS
from pipeline.bonds.brackets import FARTHEST, openers
from pipeline.bonds.config import BondConfig
from pipeline.bonds.lacking import lacking
from pipeline.bonds.pairs import best, make_bonds, ranges
from pipeline.records import Bonds, Strings, Words

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]

REACH = 128
"""Most words from a query back to an open word of its sentence."""
BLOCK = 1 << 13
"""Queries at a time: bounds memory, changes nothing."""

WAITS: dict[str, str] = {
    **dict.fromkeys(("NOUN", "PROPN", "PRON", "SYM", "X"), "subject without verb"),
    **dict.fromkeys(("INTJ", "PUNCT"), "mark without clause"),
    **dict.fromkeys(("AUX", "PART"), "auxiliary without verb"),
    "ADJ": "adjective without noun",
    "ADP": "preposition without object",
    "ADV": "adverb without head",
    "CCONJ": "conjunction without conjunct",
    "DET": "determiner without noun",
    "NUM": "number without noun",
    "SCONJ": "open clause: mark",
    "VERB": "open clause",
}
"""By tag, what a word waits for whose head has not come."""
GOES_ON: dict[str, str] = {
    **dict.fromkeys(("NOUN", "PROPN", "PRON", "SYM", "X", "ADJ", "ADV", "NUM", "DET"), "open phrase"),
    **dict.fromkeys(("VERB", "AUX"), "open clause"),
}
"""By tag, what may go on behind a word that has its head. Other words take nothing more."""
DOUBTFUL = tuple(UPOS.index(tag) for tag in ("NOUN", "PROPN", "ADJ", "NUM", "SYM", "X"))
"""Tags of heads that may prove to be modifiers themselves."""
MORE = ("open bracket", "open quotation", "head in doubt", "lacks a role")
RULES = (*dict.fromkeys([*WAITS.values(), *GOES_ON.values()]), *MORE)
BRACKET, CLAUSE, DOUBT, LACKS = map(RULES.index, ("open bracket", "open clause", "head in doubt", "lacks a role"))
NEAR = (1, 2, 3, 4, 6, 9, 16)
"""Distances, in words, at which a new column of CHANCE begins."""
CHANCE: dict[str, tuple[int, ...]] = {
    "adjective without noun": (73, 62, 43, 29, 19, 15, 12),
    "adverb without head": (64, 40, 45, 39, 24, 16, 16),
    "auxiliary without verb": (59, 65, 60, 53, 34, 22, 13),
    "conjunction without conjunct": (45, 37, 40, 39, 26, 22, 14),
    "determiner without noun": (58, 68, 60, 54, 41, 29, 20),
    "number without noun": (70, 57, 38, 19, 11, 9, 12),
    "preposition without object": (38, 59, 63, 59, 47, 44, 15),
    "subject without verb": (56, 53, 52, 39, 25, 18, 14),
    "mark without clause": (37, 31, 33, 38, 29, 22, 13),
    "open clause: mark": (19, 30, 36, 39, 27, 19, 18),
    "lacks a role": (33, 44, 35, 24, 14, 10, 9),
    "open clause": (28, 29, 22, 16, 12, 9, 9),
    "open phrase": (7, 19, 16, 11, 6, 4, 2),
    "open bracket": (41, 20, 17, 15, 4, 2, 1),
    "open quotation": (38, 23, 16, 10, 4, 2, 0),
    "head in doubt": (0, 10, 10, 10, 10, 10, 10),
}
"""By rule and distance, how many in a hundred such pairs are arcs in EWT train (gold trees); in doubt: EWT dev, parser
`prefix`, all distances."""


@dataclass(frozen=True, slots=True)
class Spans:
    """Words that are open for a while: at the queries begin … end. Sorted by key."""

    key: Rows
    begin: Rows
    end: Rows
    rule: NDArray[np.int64]
    """Position in RULES."""
    farthest: int
    """Most words from key to end."""


def open_bonds(words: Words, config: BondConfig) -> Bonds:
    """At most `config.open_cap` bonds a word, the likeliest first. O(W · open words), O(W · REACH) at worst."""
    row, end, quotation = openers(words, config.open_reach)
    marks = Spans(row, row + 1, end, BRACKET + quotation, FARTHEST)
    spans, lacks = (*_word_spans(words, row, config.open_doubt), marks), lacking(words)
    chance = np.array([CHANCE.get(rule, (0,) * len(NEAR)) for rule in RULES], dtype=np.float32)
    queries, keys, rules = [], [], []
    for begin in range(0, len(words) or 1, BLOCK):
        query, key, rule = _pairs(spans, begin, begin + BLOCK)
        verb = np.flatnonzero(rule == CLAUSE)
        role = lacks.at(query[verb], key[verb])
        rule[verb] = np.where(role >= 0, LACKS + role, CLAUSE)  # roles have numbers of their own from LACKS on
        worth = chance[np.minimum(rule, LACKS), np.searchsorted(NEAR, query - key, side="right") - 1]
        kept = best(query - begin, key - begin, worth, config.open_cap)  # from 0: `best` counts up to the last query
        queries.append(query[kept])
        keys.append(key[kept])
        rules.append(rule[kept])
    code = np.concatenate(rules).astype(np.int32)
    return make_bonds("open", np.concatenate(queries), np.concatenate(keys), Strings(code, RULES[:LACKS] + lacks.texts))


def _word_spans(words: Words, marks: Rows, doubt: bool) -> list[Spans]:
    """How long each word is open, those that open a bracket or quotation left out; and whose head is in doubt."""
    row, head = np.arange(len(words)), words.head.astype(np.int64)
    later = head > row
    waits, goes_on = (np.array([_number(table, tag) for tag in UPOS]) for table in (WAITS, GOES_ON))
    # a word without a head may yet get one: it is as open as one whose head comes later
    rule = np.where(later | (head < 0), waits[words.upos], goes_on[words.upos]) if len(words) else row
    end = _ends(words)
    rule[marks] = -1
    key = np.flatnonzero((rule >= 0) & (end > row))
    spans = [Spans(key, key + 1, end[key], rule[key], REACH)]
    if doubt:
        key = np.flatnonzero(later & (end == head) & (rule >= 0))
        after = head[key] + 1  # one word more, if the sentence has it
        good = np.isin(words.upos[head[key]], DOUBTFUL) & (after < len(words)) & (after - key <= REACH)
        good[good] = words.sentence_first()[after[good]] <= key[good]
        key, after = key[good], after[good]
        spans.append(Spans(key, after, after, np.full(len(key), DOUBT), REACH))
    return spans


def _number(table: dict[str, str], tag: str) -> int:
    return RULES.index(table[tag]) if tag in table else -1


def _ends(words: Words) -> Rows:
    """int64 [W]: the last row of its sentence at which each word is open; its own row for none."""
    size = len(words)
    row, head = np.arange(size), words.head.astype(np.int64)
    first = words.sentence_first()
    last = np.searchsorted(first, first, side="right") - 1
    right = np.flatnonzero((head >= 0) & (head < row))
    right = right[np.argsort(head[right], kind="stable")]  # dependents behind their heads, by head, then in text order
    same = head[right[1:]] == head[right[:-1]]
    end = np.where(head > row, head, last)
    end[right[:-1][same]] = right[1:][same]
    # no word outlives a head that stands before it: pointers leap over twice as many heads each round
    above, leap = row.copy(), True
    above[right] = head[right]
    while leap:
        end, before = np.minimum(end, end[above]), above
        above = above[above]
        leap = bool((above != before).any())
    ends: Rows = np.minimum(np.maximum(end, row), row + REACH)
    return ends


def _pairs(spans: tuple[Spans, ...], begin: int, stop: int) -> tuple[Rows, Rows, NDArray[np.int64]]:
    """Query, key and rule of all that is open at the queries begin … stop - 1."""
    queries, keys, rules = [], [], []
    for span in spans:
        some = slice(*np.searchsorted(span.key, (begin - span.farthest, stop)))
        owner, query = ranges(np.maximum(span.begin[some], begin), np.minimum(span.end[some] + 1, stop))
        queries.append(query)
        keys.append(span.key[some][owner])
        rules.append(span.rule[some][owner])
    return np.concatenate(queries), np.concatenate(keys), np.concatenate(rules)
