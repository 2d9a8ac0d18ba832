"""Scores on the treebank's words, in percent, as the CoNLL 2018 evaluation counts (relations without subtypes), by
which rates and members are chosen; with the treebank's sentences and with the teacher's own."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.fit.teacher.annotate import Annotation, annotate, sentence_edges, sentence_starts
from pipeline.fit.teacher.config import TeacherConfig
from pipeline.fit.teacher.lemma import apply
from pipeline.fit.teacher.parser import Parser
from pipeline.fit.teacher.stream import Stream
from pipeline.fit.teacher.treebank import Classes

Scores = dict[str, float]


def evaluate(
    parsers: Sequence[Parser], stream: Stream, gold: dict[str, list[Any]], classes: Classes, config: TeacherConfig
) -> dict[str, Scores]:
    """`gold_sentences` and `own_sentences`: scores by name. gold: columns of the stream's words, as in `Columns`."""
    given = np.array(gold["sentence"], bool)
    own = sentence_starts(parsers, stream, config)
    return {
        name: scores_of(annotate(parsers, stream, start, config), gold, classes)
        for name, start in (("gold_sentences", given), ("own_sentences", own))
    }


def scores_of(found: Annotation, gold: dict[str, list[Any]], classes: Classes) -> Scores:
    start = np.array(gold["sentence"], bool)
    said = {
        "upos": [classes.upos[number] for number in found.tags["upos"]],
        "feats": [classes.feats[number] for number in found.tags["feats"]],
        "lemma": [
            true
            if true == "_"
            else apply(classes.lemmas[rule], form)  # the evaluation, too, lets every lemma of `_` go
            for rule, form, true in zip(found.tags["lemma"], gold["form"], gold["lemma"], strict=True)
        ],
    }
    scores = {name: _percent([a == b for a, b in zip(said[name], gold[name], strict=True)]) for name in said}
    heads = _in_text(found.head, found.start) == _in_text(np.array(gold["head"]), start)
    relation = [classes.relations[number].split(":")[0] for number in found.relation]
    same = np.array([a == b.split(":")[0] for a, b in zip(relation, gold["relation"], strict=True)])
    return scores | {
        "uas": _percent(heads),
        "las": _percent(heads & same),
        "sentences": _sentence_f1(found.start, start),
    }


def _in_text(head: Any, start: Any) -> Any:
    """Heads as numbers of words in the text, -1 for roots."""
    return np.where(head > 0, sentence_edges(start)[0] + head - 1, -1)


def _sentence_f1(found: Any, gold: Any) -> float:
    spans = [set(zip(*(edge[start] for edge in sentence_edges(start)), strict=True)) for start in (found, gold)]
    return round(200 * len(spans[0] & spans[1]) / (len(spans[0]) + len(spans[1])), 2)


def _percent(right: Any) -> float:
    return round(100 * float(np.mean(right)), 2)
