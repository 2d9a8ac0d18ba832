"""Lemmas by ending: what to cut off a form and what to put in its place, given its tag and features.

Rules are learnt (`pipeline.fit.lemmas`); the rule of the longest known ending counts, the whole form being the longest.
"""

import json
from collections.abc import Mapping

import numpy as np

from pipeline.records import Strings

ENDING = 5
"""Letters of the longest ending."""
WHOLE = "^"
"""Stands before a whole form."""

Rules = Mapping[str, str]
"""By ending, or whole form: how many letters to cut, a bar, what to put there. The empty ending fits every form."""


class Lemmas:
    """Rules of every label."""

    def __init__(self, rules: list[Rules], keeps_case: list[bool]) -> None:
        """keeps_case: for each label whether its lemmas keep the form's capitals, as names do."""
        self.rules, self.keeps_case = rules, keeps_case

    @classmethod
    def from_json(cls, text: bytes) -> "Lemmas":
        found = json.loads(text)
        return cls(found["rules"], found["keeps_case"])

    def to_json(self) -> bytes:
        said = {"rules": [dict(sorted(rules.items())) for rules in self.rules], "keeps_case": self.keeps_case}
        return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()

    def lemma(self, form: str, label: int) -> str:
        """Never empty, as no form is."""
        lowered = form.lower()
        rule = rule_of(lowered, self.rules[label])
        cut, _, put = rule.partition("|")
        base = form if self.keeps_case[label] else lowered
        return base[: max(len(base) - int(cut), 0)] + put or form

    def column(self, form: Strings, label: np.ndarray[tuple[int], np.dtype[np.int32]]) -> Strings:
        """Lemmas of words, looked up once a distinct pair of form and label."""
        pair, which = np.unique(form.code.astype(np.int64) * len(self.rules) + label, return_inverse=True)
        forms, labels = divmod(pair, len(self.rules))
        found = Strings.of(
            self.lemma(form.values[f], number) for f, number in zip(forms.tolist(), labels.tolist(), strict=True)
        )
        return Strings(found.code[which], found.values)


def rule_of(lowered: str, rules: Rules) -> str:
    """The rule of a form in small letters; it changes nothing if none fits."""
    found = rules.get(WHOLE + lowered)
    length = min(ENDING, len(lowered))
    while found is None and length >= 0:
        found = rules.get(lowered[len(lowered) - length :])
        length -= 1
    return found or "0|"
