"""The compatibility score of two words: how well their features agree and select each other (`features_only`, `full`).

    score(q, k) = person + number + gender + selection        each 1, 0 or -1

person, number, gender: 1 if both words say something of the group and share some of it, -1 if they share nothing, 0 if
either is silent. selection: how a verb and a noun, name or pronoun fit, whichever of them is the query: 1 if some
restricted slot of the verb's VerbNet classes asks for what the noun is known to be, -1 if every slot of theirs refuses
it, 0 otherwise. The score is symmetric, an integer from -4 to 4; a model multiplies it by a weight of its own and adds
it to a head's logits before the softmax. Nothing is cut by it, and no pair is ever stored: a word brings three numbers
(`ScoreColumns`), and a block of queries and keys its scores.

In a causal model the columns are attributes of a closed word like its tag: they may be read once the word is closed.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lexicons.features import GENDER_BITS, NUMBER_BITS, PERSON_BITS, SEMANTIC_BITS
from lexicons.restriction import Restriction
from lexicons.upos import UPOS_INDEX
from lexicons.verbnet import class_frames
from pipeline.records import Strings, Words

GROUPS = (PERSON_BITS, NUMBER_BITS, GENDER_BITS)
NOMINAL = tuple(UPOS_INDEX[tag] for tag in ("NOUN", "PROPN", "PRON"))
GREATEST = len(GROUPS) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreColumns:
    """What the score asks of each word [W]."""

    features: NDArray[np.uint64]
    selects: NDArray[np.int32]
    """Row of `selection`: the word's VerbNet classes, 0 for what is no verb of VerbNet."""
    fills: NDArray[np.int32]
    """Column of `selection`: what is known of a noun, name or pronoun, 0 for other words and where nothing is."""
    selection: NDArray[np.int8]
    """[distinct classes + 1, distinct features + 1] of -1, 0 and 1; row and column 0 are 0. A table of the lexicon: it
    grows with the words that there are, not with the text."""


def score_columns(words: Words) -> ScoreColumns:
    """Of annotated words. O(W + distinct classes · distinct features)."""
    return score_columns_of(words.features, np.isin(words.upos, NOMINAL), words.verb_class)


def score_columns_of(features: NDArray[np.uint64], nominal: NDArray[np.bool_], verb_class: Strings) -> ScoreColumns:
    """The same by what it asks of words [W]: features, whether they are nouns, names or pronouns, and verb classes."""
    known = nominal & ((features & np.uint64(SEMANTIC_BITS)) != 0)
    bits, column = np.unique(features[known], return_inverse=True)
    fills = np.zeros(len(features), dtype=np.int32)
    fills[known] = column + 1
    used, row = np.unique(verb_class.code, return_inverse=True)
    said = [verb_class.values[code] for code in used.tolist()]
    place = np.cumsum([bool(each) for each in said]) * np.array([bool(each) for each in said], dtype=np.int64)
    selection = np.zeros((int(place.max(initial=0)) + 1, len(bits) + 1), dtype=np.int8)
    for number, each in zip(place.tolist(), said, strict=True):
        if number:
            selection[number, 1:] = _fits(each, bits)
    selects = place[row].astype(np.int32) if len(features) else np.zeros(0, np.int32)
    return ScoreColumns(features=features, selects=selects, fills=fills, selection=selection)


def score_block(columns: ScoreColumns, query: NDArray[np.integer], key: NDArray[np.integer]) -> NDArray[np.int8]:
    """int8 [Q, K]: scores of the words in rows `query` with those in rows `key`. O(Q · K)."""
    ours, theirs = columns.features[query][:, None], columns.features[key][None, :]
    shared, total = ours & theirs, np.zeros((len(query), len(key)), dtype=np.int8)
    for group in map(np.uint64, GROUPS):
        both = ((ours & group) != 0) & ((theirs & group) != 0)
        total += np.where((shared & group) != 0, 1, -1).astype(np.int8) * both
    one = columns.selection[columns.selects[query][:, None], columns.fills[key][None, :]]
    other = columns.selection[columns.selects[key][None, :], columns.fills[query][:, None]]
    scores: NDArray[np.int8] = total + one + other  # a verb is no nominal: one of the two is 0
    return scores


@lru_cache(maxsize=1 << 12)
def restrictions_of(verb_classes: str) -> tuple[Restriction, ...]:
    """The restrictions of every slot for a noun of these classes, each once; unrestricted ones are empty."""
    slots = (slot for name in verb_classes.split() for frame in class_frames(name) for slot in frame.slots)
    return tuple(dict.fromkeys(slot.restriction for slot in slots if slot.position != "clause"))


def _fits(verb_classes: str, bits: NDArray[np.uint64]) -> NDArray[np.int8]:
    """int8 [F]: 1, 0 or -1 for nouns with these features; VerbNet asks for number, too."""
    asked = restrictions_of(verb_classes)
    if not asked:
        return np.zeros(len(bits), dtype=np.int8)
    restricted = [each.allows(bits) for each in asked if each]
    wanted = np.logical_or.reduce(restricted) if restricted else np.zeros(len(bits), dtype=bool)
    free = any(not each for each in asked)
    return np.where(wanted, 1, 0 if free else -1).astype(np.int8)
