"""How well the left-to-right annotator reads a treebank's raw text: words, sentences and tags against the gold ones."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from pipeline.fit.treebank import GoldDocument, read_documents
from pipeline.pieces import Tokenizer
from pipeline.prefix import NO_TAG, PrefixAnnotator


def score_prefix(treebank: Path, tokenizer: Tokenizer, annotator: PrefixAnnotator) -> dict[str, float]:
    """Fractions in [0, 1]. `words`, `sentences`: F1 of spans. `full_tags`: of the annotator's words, those whose full
    tag is that of the gold word that most of their characters belong to. `input_tags`: of the pieces, those whose
    input tag is that of their last word's gold tag."""
    counts = Counter[str]()
    for document in read_documents(treebank):
        counts.update(_count(document, tokenizer, annotator))
    return {
        "words": 2 * counts["words right"] / (counts["words"] + counts["words gold"]),
        "sentences": 2 * counts["sentences right"] / (counts["sentences"] + counts["sentences gold"]),
        "full_tags": counts["full right"] / counts["full"],
        "input_tags": counts["input right"] / counts["input"],
    }


def _count(document: GoldDocument, tokenizer: Tokenizer, annotator: PrefixAnnotator) -> Counter[str]:
    words, owners = annotator.words(document.text), document.owners()
    spans, gold = _spans(words.begin, words.end), _spans(document.begin, document.end)
    found_sentences = _sentence_spans(spans, words.sentence.tolist())
    gold_sentences = _sentence_spans(gold, document.sentence)
    truth = np.array([document.tag_of(begin, end, owners)[0] for begin, end in spans] + [NO_TAG])
    attributes = annotator.annotate(tokenizer.document(document.text))
    input_truth = truth[attributes.last_word]
    full, judged = truth[:-1] != NO_TAG, (attributes.input_tag != NO_TAG) & (input_truth != NO_TAG)
    return Counter(
        {
            "words": len(spans),
            "words gold": len(set(gold)),
            "words right": len(set(gold) & set(spans)),
            "sentences": len(found_sentences),
            "sentences gold": len(gold_sentences),
            "sentences right": len(gold_sentences & found_sentences),
            "full": int(full.sum()),
            "full right": int((full & (words.tag == truth[:-1])).sum()),
            "input": int(judged.sum()),
            "input right": int((judged & (attributes.input_tag == input_truth)).sum()),
        }
    )


def _spans(begin: Iterable[int], end: Iterable[int]) -> list[tuple[int, int]]:
    return [(int(first), int(last)) for first, last in zip(begin, end, strict=True)]


def _sentence_spans(words: list[tuple[int, int]], sentence: Sequence[int]) -> set[tuple[int, int]]:
    """From the begin of each sentence's first word to the end of its last."""
    spans: dict[int, tuple[int, int]] = {}
    for (begin, end), number in zip(words, sentence, strict=True):
        spans[number] = (spans.get(number, (begin, end))[0], end)
    return set(spans.values())
