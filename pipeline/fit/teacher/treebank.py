"""Treebank sentences as columns of classes, plain and dressed as WikiText."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from lexicons.upos import UPOS, UPOS_INDEX
from pipeline.fit.gold import GoldSentence, as_wikitext
from pipeline.fit.teacher.lemma import LemmaRule, rule_of

Documents = Sequence[Sequence[GoldSentence]]
UNKNOWN = -1
"""Class of what train does not have."""


@dataclass(frozen=True, slots=True)
class Classes:
    """What the teacher tells apart; a class's number is its place. Tags are those of `lexicons.upos`."""

    feats: tuple[str, ...]
    relations: tuple[str, ...]
    lemmas: tuple[LemmaRule, ...]

    upos: tuple[str, ...] = UPOS


@dataclass(slots=True)
class Columns:
    """Words of a treebank in order; heads count from 1 in the sentence, 0 is the root."""

    form: list[str] = field(default_factory=list)
    space: list[bool] = field(default_factory=list)
    """Whether a space comes before the word; always at the beginning of a paragraph."""
    document: list[bool] = field(default_factory=list)
    paragraph: list[bool] = field(default_factory=list)
    sentence: list[bool] = field(default_factory=list)
    """Whether a document, a paragraph, a sentence begins with the word."""
    lemma: list[str] = field(default_factory=list)
    upos: list[str] = field(default_factory=list)
    feats: list[str] = field(default_factory=list)
    head: list[int] = field(default_factory=list)
    relation: list[str] = field(default_factory=list)


def columns_of(documents: Documents) -> Columns:
    """All words; between two sentences of a paragraph stands a space, as `pipeline.fit.gold.joined` has it."""
    columns = Columns()
    for document in documents:
        for number, sentence in enumerate(document):
            for place, word in enumerate(sentence.words):
                columns.form.append(word.form)
                columns.space.append(not place or sentence.spaces[place - 1])
                columns.document.append(not number and not place)
                columns.paragraph.append(bool(number) and not place and sentence.paragraph)
                columns.sentence.append(not place)
                columns.lemma.append(word.lemma)
                columns.upos.append(word.upos)
                columns.feats.append(word.feats)
                columns.head.append(word.head)
                columns.relation.append(word.relation)
    return columns


def dressed(documents: Documents, seed: int) -> list[list[GoldSentence]]:
    """The same documents and sentences as WikiText would write them."""
    counts = Counter(word.form for document in documents for sentence in document for word in sentence.words)
    chance = random.Random(seed)
    return [[as_wikitext(sentence, counts, chance) for sentence in document] for document in documents]


def classes_of(columns: Sequence[Columns]) -> Classes:
    """All that train has, sorted."""
    return Classes(
        feats=tuple(sorted({feats for each in columns for feats in each.feats})),
        relations=tuple(sorted({relation for each in columns for relation in each.relation})),
        lemmas=tuple(sorted({rule for each in columns for rule in map(rule_of, each.form, each.lemma)})),
    )


def numbered(columns: Columns, classes: Classes) -> dict[str, list[int]]:
    """Upos, feats, relation and lemma as numbers of classes, UNKNOWN where train has no such class."""
    feats = {value: number for number, value in enumerate(classes.feats)}
    relations = {value: number for number, value in enumerate(classes.relations)}
    lemmas = {value: number for number, value in enumerate(classes.lemmas)}
    return {
        "upos": [UPOS_INDEX[tag] for tag in columns.upos],
        "feats": [feats.get(value, UNKNOWN) for value in columns.feats],
        "relation": [relations.get(value, UNKNOWN) for value in columns.relation],
        "lemma": [lemmas.get(rule, UNKNOWN) for rule in map(rule_of, columns.form, columns.lemma)],
    }
