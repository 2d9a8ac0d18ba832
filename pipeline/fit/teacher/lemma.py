"""Lemmas as classes: what to do to a word's form. A few hundred rules make all lemmas of a treebank.

After Chrupała 2006 (edit scripts), with ends only: English inflects at the end.
"""

from typing import NamedTuple


class LemmaRule(NamedTuple):
    """Lower the form or not, take letters from its end, add a suffix."""

    lower: bool
    strip: int
    suffix: str


def rule_of(form: str, lemma: str) -> LemmaRule:
    """The rule that changes fewest letters; of equals the one that lowers, so that `the` and `The` share one."""
    rules = []
    for lower in (True, False):
        begun = form.lower() if lower else form
        same = _common(begun, lemma)
        rules.append(LemmaRule(lower, len(begun) - same, lemma[same:]))
    return min(rules, key=lambda rule: rule.strip + len(rule.suffix))


def apply(rule: LemmaRule, form: str) -> str:
    """The lemma; the form itself where nothing would be left of it."""
    begun = form.lower() if rule.lower else form
    return begun[: max(0, len(begun) - rule.strip)] + rule.suffix or form


def _common(one: str, other: str) -> int:
    """How many letters two strings begin with in common."""
    same = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        same += 1
    return same
