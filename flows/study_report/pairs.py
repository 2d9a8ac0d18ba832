"""The paired differences that the conclusions rest on, and the question that each of them answers."""

from dataclasses import dataclass
from functools import lru_cache

from flows.study_report.records import Case, Study
from flows.study_report.statistics import Difference, paired_difference


@dataclass(frozen=True, slots=True)
class Pair:
    """Recipe a is compared with recipe b."""

    a: str
    b: str
    question: str
    said: bool = True
    """Whether section 1 says it as a sentence; the others stand in its table."""

    def __str__(self) -> str:
        return f"{self.a} − {self.b}"


REACH = (
    Pair("sentence", "dense", "do heads confined to their sentence gain over dense"),
    Pair("windows", "dense", "does a ladder of windows gain over dense"),
    Pair("cut", "dense", "do spans cut at random places gain over dense", said=False),
    Pair("random-sentence", "dense", "do as many random keys gain over dense", said=False),
    Pair("dense-sentence", "dense", "does a quarter of heads confined to their sentence gain over dense"),
)
SENTENCES = (
    Pair("sentence", "windows", "does the true sentence beat the ladder of windows"),
    Pair("sentence", "cut", "does the true sentence beat the random cut"),
    Pair("sentence", "random-sentence", "does the sentence beat as many random keys", said=False),
    Pair("dense-sentence", "windows", "does a quarter of sentence heads beat the ladder of windows"),
    Pair("dense-sentence", "sentence", "… three quarters of them", said=False),
    Pair("dense-sentence", "dense-cut", "… a quarter of heads cut at random places"),
    Pair("dense-sentence", "dense-windows", "… a quarter of heads with windows"),
    Pair("windows+sentence", "windows", "do sentence heads help in place of some windows", said=False),
)
GRAMMAR = (
    Pair("dense+tag", "dense", "does a tag at the input help dense"),
    Pair("dense+tag", "dense+permuted", "… more than tags permuted by word type", said=False),
    Pair("dense+tagloss", "dense", "does predicting the tag help dense", said=False),
    Pair("sentence+tag", "sentence", "does a tag at the input help beside sentences"),
    Pair("sentence+pos", "sentence", "do pos masks help beside sentences"),
    Pair("sentence+pos", "sentence+pos-permuted", "… more than with tags permuted by word type", said=False),
    Pair("sentence+pos", "sentence+pos-other", "… more than with another sentence's tags", said=False),
    Pair("pos", "dense", "does a pos mask on every head help"),
    Pair("pos", "random-pos", "… more than as many random keys", said=False),
)
PAIRS = (*REACH, *SENTENCES, *GRAMMAR)
LEAKY = (
    Pair("dense+tag-leaky", "dense", "what whole-word tags seem to give dense"),
    Pair("dense+tag-leaky", "dense+tag", "… what of it is the future"),
    Pair("pos-leaky", "dense", "what masks of whole-word tags seem to give"),
    Pair("pos-leaky", "pos", "… what of it is the future"),
    Pair("sentence+pos-leaky", "sentence", "what they seem to give beside sentences"),
    Pair("sentence+pos-leaky", "sentence+pos", "… what of it is the future"),
)
"""Never among the others: here one of the two reads the future."""


@lru_cache(maxsize=4096)
def difference(study: Study, case: Case, a: str, b: str) -> Difference | None:
    """a − b in one case, at full length; None where one of them has no row or they share no seed."""
    return paired_difference(study.grid(case, a), study.grid(case, b), study.articles)
