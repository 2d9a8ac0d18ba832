"""Rules of lemmas from annotated words: the most frequent change of each ending, where it is another than that of the
ending one letter shorter."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from pipeline.prefix.lemmas import ENDING, WHOLE, Lemmas, rule_of

KEEPING_CASE = ("PROPN", "X", "SYM")
BEFORE_WHOLE = 2
"""Occurrences from which a form has a rule of its own."""


def fit_lemmas(words: Iterable[tuple[str, str, int]], labels: Sequence[str]) -> Lemmas:
    """words: form, lemma, label. labels: the tag of each label."""
    keeps = [tag in KEEPING_CASE for tag in labels]
    endings = [defaultdict[str, Counter[str]](Counter) for _ in labels]
    wholes = [defaultdict[str, Counter[str]](Counter) for _ in labels]
    for form, lemma, label in words:
        lowered = form.lower()
        rule = _change(form if keeps[label] else lowered, lemma)
        wholes[label][lowered][rule] += 1
        for length in range(min(ENDING, len(lowered)) + 1):
            endings[label][lowered[len(lowered) - length :]][rule] += 1
    return Lemmas([_rules(*each) for each in zip(endings, wholes, strict=True)], keeps)


def _change(form: str, lemma: str) -> str:
    same = 0
    while same < min(len(form), len(lemma)) and form[same] == lemma[same]:
        same += 1
    return f"{len(form) - same}|{lemma[same:]}"


def _rules(endings: dict[str, Counter[str]], wholes: dict[str, Counter[str]]) -> dict[str, str]:
    rules: dict[str, str] = {}
    for ending in sorted(endings, key=lambda each: (len(each), each)):  # shorter ones first
        best, count = _best(endings[ending])
        if (count > 1 or not ending) and rule_of(ending, rules) != best:
            rules[ending] = best
    for form in sorted(wholes):
        best, count = _best(wholes[form])
        if count >= BEFORE_WHOLE and rule_of(form, rules) != best:
            rules[WHOLE + form] = best
    return rules


def _best(counts: Counter[str]) -> tuple[str, int]:
    """The most frequent change; of equals the first in the alphabet, so that nothing depends on order."""
    return min(counts.items(), key=lambda each: (-each[1], each[0]))
