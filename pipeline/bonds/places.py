"""In which place of the sentence a dependent stands, told when its arc closes and by nothing that comes later.

Where the parser names relations, by the relation; else (`dep`, what the prefix parser calls all of its arcs) by the tag
and the side: a nominal before a verb is its subject, behind it an object, or an oblique behind a preposition; a verb
behind a verb heads a clause. A passive subject counts as the object that it is.
"""

import numpy as np
from numpy.typing import NDArray

from lexicons.upos import UPOS_INDEX
from pipeline.bonds.arguments import CLAUSE, NO_PLACE, OBJECT, OBLIQUE, PLACE_OF, SUBJECT
from pipeline.records import Words

NOMINAL = tuple(UPOS_INDEX[tag] for tag in ("NOUN", "PROPN", "PRON", "NUM", "SYM"))
UNNAMED = -2
PASSIVE = {"nsubj:pass": OBJECT, "csubj:pass": OBJECT}


def places(words: Words) -> NDArray[np.int64]:
    """int64 [W]: place of each dependent of a verb, as a position in arguments.POSITIONS; -1 for none. O(W)."""
    values = words.relation.values
    base = [value.partition(":")[0] for value in values]
    named = [PASSIVE.get(v, PLACE_OF.get(v, PLACE_OF.get(b, -1))) for v, b in zip(values, base, strict=True)]
    named = [-1 if value in NO_PLACE else place for value, place in zip(values, named, strict=True)]
    told = np.array(
        [UNNAMED if value == "dep" else place for value, place in zip(values, named, strict=True)], np.int64
    )
    place = told[words.relation.code] if len(words) else np.zeros(0, np.int64)
    row, head = np.arange(len(words)), words.head.astype(np.int64)
    nominal, verb = np.isin(words.upos, NOMINAL), words.upos == UPOS_INDEX["VERB"]
    behind = nominal & marked_before(words)
    guess = np.where(verb & (head < row), CLAUSE, np.full(len(words), -1))
    guess[nominal] = np.where(behind, OBLIQUE, np.where(head > row, SUBJECT, OBJECT))[nominal]
    place = np.where(place == UNNAMED, guess, place)
    place[(head < 0) | ~verb[head]] = -1
    return place


def marked_before(words: Words) -> NDArray[np.bool_]:
    """bool [W]: has the word an adposition before it as a dependent?"""
    row = np.arange(len(words))
    marks = row[(words.upos == UPOS_INDEX["ADP"]) & (words.head > row)]
    marked = np.zeros(len(words), dtype=bool)
    marked[words.head[marks]] = True
    return marked
