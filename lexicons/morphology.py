"""What the make and shape of a noun (or of "$") say when WordNet does not have it (Quirk et al. 1985, appendix I).

The rules are tried in order and the first that speaks is believed:

1. shape: a date, a clock time, an amount with its unit, an address or the name of a file;
2. the plural of a noun: "regards";
3. a suffix that makes one kind of noun: "-ness" is abstract, "-ist" is a human;
4. a noun behind a prefix or a hyphen: "anti-proliferation" and "book-launch" are what their last part is;
5. a verb used as a noun, with or without "-ing": "download" and "tutoring" are acts;
6. two words in one: "newsgroup" is a group.

`docs/lexicons.md` says how often they are right about nouns that WordNet does have.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lexicons.features import implied, mask
from lexicons.upos import UPOS_INDEX
from lexicons.wordnet import semantic

PERSON, MAN, WOMAN = (implied(mask("human", *gender)) for gender in ((), ("masculine",), ("feminine",)))
TIME, AMOUNT = implied(mask("time")), mask("abstract", "quantity")
TEXT, ACT = mask("abstract", "communication"), mask("abstract", "act", "event")

MONTH = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|sept|oct|nov|dec)[a-z]*"
SHAPES: tuple[tuple[re.Pattern[str], int], ...] = (
    (re.compile(rf"[ap]\.?m\.?|\d+:\d+(?:[ap]m)?|\d+[ap]m|\d+-{MONTH}(?:-\d+)?|\d+[/-]\d+[/-]\d+"), TIME),
    (re.compile(r"'?\d+0['’]?s|\d*(?:1st|2nd|3rd|\dth)"), TIME),  # the 80s, on the 26th
    (re.compile(r"[a-z]{0,2}[$€£¥]+|[$€£¥]\s?[\d.,]+[kmb]?|[\d.,]+\s?[$€£¥]"), AMOUNT | mask("currency")),
    (re.compile(r"[\d.,]+(?:mm|cm|m|km|kg|g|mg|lb|lbs|ft|sf|in|mb|gb|kb|hz|khz|mhz|ghz|w|kw|mw|k|%|x)|%"), AMOUNT),
    (re.compile(r"\S+@\S+|(?:https?:|ftp:|www\.)\S+|(?:[a-z][\w-]*\.){1,}[a-z][\w-]{1,}"), TEXT),
)
"""Of the whole lemma in small letters; the first that fits. The last: addresses, newsgroups, names of files."""

SUFFIXES: dict[str, int] = {
    "woman": WOMAN,
    "man": MAN,
    "ist": PERSON,
    "ness": mask("abstract", "attribute"),
    "hood": mask("abstract", "state"),
    "ship": mask("abstract", "state"),
    "ism": mask("abstract", "idea"),
    "ity": mask("abstract", "attribute"),
    "ology": mask("abstract", "idea"),
    "ation": ACT,
}
"""The first suffix that fits, if three letters stand before it."""

PREFIX = re.compile(
    r"(?:anti|counter|pre|re|over|under|mis|non|co|ex|mega|mini|micro|multi|sub|super|inter|un)(?:-(?=\w{3})|(?=\w{5}))"
)
"""Joined without a hyphen, the noun needs five letters: "coarse" is no arse."""
SHORTEST = 4
"""Letters of a verb used as a noun, and of the noun that ends a compound; shorter words hide in anything."""


@lru_cache(maxsize=1 << 16)
def unknown_noun(lemma: str) -> int:
    """The bits that the make of a common noun speaks for; 0 if no rule fits. Case does not matter.

    For lemmas that `lexicons.wordnet.semantic` does not know; some 50 µs, and remembered.
    """
    small = lemma.lower()
    return next((bits for rule in RULES.values() if (bits := rule(small))), 0)


def _shape(lemma: str) -> int:
    return next((bits for shape, bits in SHAPES if shape.fullmatch(lemma)), 0)


def _plural(lemma: str) -> int:
    return next((bits for singular in _singulars(lemma) if (bits := _noun(singular))), 0)


def suffix_features(lemma: str) -> int:
    """The bits of the lemma's suffix, 0 if it has none of SUFFIXES."""
    return next((bits for end, bits in SUFFIXES.items() if lemma.endswith(end) and len(lemma) > len(end) + 2), 0)


def _singulars(lemma: str) -> Iterator[str]:
    if len(lemma) < SHORTEST or not lemma.endswith("s") or lemma.endswith("ss"):
        return
    if lemma.endswith("ies"):
        yield lemma[:-3] + "y"
    if lemma.endswith("es"):
        yield lemma[:-2]
    yield lemma[:-1]


def _behind_prefix(lemma: str) -> int:
    return _noun(lemma[found.end() :]) if (found := PREFIX.match(lemma)) else 0


def _behind_hyphen(lemma: str) -> int:
    return _noun(re.split(r"[-/]", lemma)[-1]) if re.search(r"\w[-/]\w", lemma) else 0


def _closed_compound(lemma: str) -> int:
    """What the longest noun at the end is, if the rest is a word too."""
    cuts = range(SHORTEST - 1, len(lemma) - SHORTEST + 1)
    if not lemma.isalpha() or not cuts:
        return 0
    nouns = _bits([lemma[cut:] for cut in cuts], "NOUN")
    firsts = [lemma[:cut] for cut in cuts]
    rest = _bits(firsts, "NOUN") | _bits(firsts, "VERB") | _bits(firsts, "ADJ")
    return next((int(noun) for noun, first in zip(nouns, rest, strict=True) if noun and first), 0)


def _verb(lemma: str) -> int:
    stems = [lemma]
    if lemma.endswith("ing") and len(lemma) > 5:
        stem = lemma[:-3]
        stems += [stem, stem + "e", stem[:-1] if stem[-1] == stem[-2] else stem]
    return ACT if len(lemma) >= SHORTEST and _bits(stems, "VERB").any() else 0


def _noun(lemma: str) -> int:
    return int(_bits([lemma], "NOUN")[0])


def _bits(lemmas: list[str], tag: str) -> NDArray[np.uint64]:
    return semantic(lemmas, np.full(len(lemmas), UPOS_INDEX[tag], dtype=np.uint8))


RULES: dict[str, Callable[[str], int]] = {
    "shape": _shape,
    "plural": _plural,
    "suffix": suffix_features,
    "prefix": _behind_prefix,
    "hyphen": _behind_hyphen,
    "verb": _verb,
    "compound": _closed_compound,
}
"""From a lemma in small letters to its bits, 0 if the rule is silent; in the order in which they are tried."""
