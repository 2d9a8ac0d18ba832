"""Names in running text, as units: where one begins and ends, which word stands for it, and the gender it may tell.

Taggers stumble over names ("Dolly/ADV plans"), and parsers over what is inside them. So a name is read off the surface
first: a run of words that are tagged as names, or that have a capital where English has none. Titles stand in the run,
but the name behind them is what is mentioned ("Lord Darwen"). What a first name tells of gender holds for the surname
alone, too, wherever it stands in the document.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lexicons import wordnet
from lexicons.features import mask
from lexicons.names import UNKNOWN, first_name_gender, is_first_name
from lexicons.upos import UPOS_INDEX
from pipeline.annotate import TITLES
from pipeline.bonds.pairs import run_start
from pipeline.records import Words

Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]

CLOSED = ("PRON", "DET", "ADP", "CCONJ", "SCONJ", "PART", "PUNCT", "SYM", "NUM", "AUX", "INTJ")
"""Tags that a capital does not make names of."""
OPENERS = ('"', "``", "''", "`", "(", "[", ":", "“", "‘", "-", "--", "–", "—", "*", "•")
"""Signs after which a capital may begin a sentence."""
MISREAD = ("ADJ", "ADV", "X", "VERB")
MISREAD_RELATIONS = ("nsubj", "nsubj:pass", "amod", "flat", "compound", "nmod")
"""At the beginning of a sentence, where every word has a capital, names that the tagger took for these stand so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mentions:
    """Columns beside a shard's words [W]."""

    name: Mask
    """Is the word part of a name?"""
    stands: Mask
    """Does it stand for the name: its highest word in the tree, or the first one behind a title that is highest?"""
    last: Rows
    """Row of the name's last word; of other words their own."""
    several: Mask
    """Has the name several words?"""
    gender: NDArray[np.uint8]
    """Of lexicons.names: what the first name tells, on the words that stand for a name."""
    sure: Mask
    """Does that rest on a first name before a surname, here or elsewhere in the document?"""


def mentions(words: Words) -> Mentions:
    """The names of a shard. O(W log W)."""
    size = len(words)
    rows = np.arange(size)
    name, begins = _names(words)
    run = run_start(np.cumsum(begins | ~name))
    last = np.flip(size - 1 - run_start(np.flip(np.cumsum(begins | ~name)))) if size else rows
    behind = name & (last > rows)
    core = name & ~(_titles(words) & behind)
    head = np.where(words.head >= 0, words.head, rows).astype(np.int64)
    outside = (words.head < 0) | (run[head] != run) if size else name
    stands = (name & outside) | (core & (outside | ~core[head])) if size else name
    first_core = np.full(size, size, dtype=np.int64)
    np.minimum.at(first_core, run[core], rows[core])
    first = np.minimum(first_core[run], last)
    told = first_name_gender(words.text.values)[words.text.code] if size else np.zeros(0, np.uint8)
    gender = np.where(stands, told[first], UNKNOWN).astype(np.uint8)
    several = name & (last > run)
    gender, sure = _spread(words, stands, gender, several & (last > first), last)
    return Mentions(name=name, stands=stands, last=last, several=several, gender=gender, sure=sure)


def _names(words: Words) -> tuple[Mask, Mask]:
    """Words of names, and where a name begins."""
    size = len(words)
    values = words.text.values
    letters = _of(words, [*map(_has_letters, values)])
    capital = letters & _of(words, [value[:1].isupper() for value in values])
    opening = _of(words, [value in OPENERS for value in values])
    initial = words.sentence_first() == np.arange(size)
    initial[1:] |= opening[:-1]
    determined = np.zeros(size, dtype=bool)
    determined[words.head[words.relation.isin(["det"]) & (words.head >= 0)]] = True
    noun, proper = words.upos == UPOS_INDEX["NOUN"], words.upos == UPOS_INDEX["PROPN"]
    misread = np.isin(words.upos, [UPOS_INDEX[tag] for tag in MISREAD]) & words.relation.isin(MISREAD_RELATIONS)
    inside = capital & ~initial & ~np.isin(words.upos, [UPOS_INDEX[tag] for tag in CLOSED])
    name = letters & proper | inside | capital & initial & (noun & ~determined | misread)
    begins = name.copy()
    begins[1:] &= ~name[:-1] | initial[1:]
    return name, begins


@lru_cache(maxsize=1 << 17)
def _has_letters(form: str) -> bool:
    """Two at least."""
    return sum(map(str.isalpha, form)) > 1


def _titles(words: Words) -> Mask:
    """Words that, before a name, are no part of it: titles, and nouns for persons that are no first names."""
    forms, lemmas = words.text.values, words.lemma.values
    tags = np.full(len(lemmas), UPOS_INDEX["NOUN"], dtype=np.uint8)
    human = (wordnet.semantic(lemmas, tags) & np.uint64(mask("human"))) != 0
    title = np.fromiter((form.lower() in TITLES for form in forms), bool, len(forms))
    person = human[words.lemma.code] if len(words) else np.zeros(0, bool)
    return _of(words, title) | person & ~_of(words, is_first_name(forms))


def _spread(
    words: Words, stands: Mask, gender: NDArray[np.uint8], full: Mask, last: Rows
) -> tuple[NDArray[np.uint8], Mask]:
    """Gender, and whether it is sure: full names tell that of the surname alone in the same document."""
    width = len(words.text.values) + 1
    key = words.document.astype(np.int64) * width + words.text.code[last] if len(words) else last
    sure = stands & full & (gender != UNKNOWN)
    known, first = np.unique(key[sure], return_index=True)
    alone = np.flatnonzero(stands & ~full)
    place = np.minimum(np.searchsorted(known, key[alone]), max(len(known) - 1, 0))
    told = known[place] == key[alone] if len(known) else np.zeros(len(alone), bool)
    gender, sure = gender.copy(), sure.copy()
    gender[alone[told]] = gender[np.flatnonzero(sure)[first]][place[told]]
    sure[alone[told]] = True
    return gender, sure


def _of(words: Words, verdicts: object) -> Mask:
    return np.array(verdicts, dtype=bool)[words.text.code] if len(words) else np.zeros(0, bool)
