"""How good a parser is on raw text: the CoNLL 2018 shared task's evaluation (Zeman et al. 2018), as udtools has it.

The parser gets the plain text of a treebank's documents, so that its own words and sentences count too. F1: a word that
is cut otherwise than in the treebank costs precision and recall of everything that depends on it.
"""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lexicons.upos import UPOS
from pipeline.corpus import Document, read_documents
from pipeline.parsers import Parser
from pipeline.parsers.trees import single_rooted
from pipeline.records import Words

METRICS = {
    "words": "Words",
    "sentences": "Sentences",
    "upos": "UPOS",
    "feats": "UFeats",
    "lemma": "Lemmas",
    "uas": "UAS",
    "las": "LAS",
}
"""Our name of each score, and udtools' name."""


def score_parser(parser: Parser, conllu_path: str | Path) -> dict[str, float]:
    """Scores in percent, by the names in METRICS (F1), and as `<name>_aligned` the accuracy on the words found.

    Errors: ValueError if the file is no sound treebank, if a document cannot be parsed, or if udtools is missing.
    """
    try:
        from udtools import udeval  # late: it belongs to the development extra
    except ImportError as error:
        raise ValueError("scoring a parser needs udtools; install it with `pip install 'valency[dev]'`") from error
    documents = list(read_documents([conllu_path]))
    sound = [document for document in documents if isinstance(document, Document)]
    words, failed = parser.parse(sound)
    if len(sound) < len(documents) or failed:
        reasons = [f"{each.id}: {each.reason}" for each in documents if not isinstance(each, Document)]
        reasons += [f"{name}: {reason}" for name, reason in failed.items()]
        raise ValueError(f"cannot score on {str(conllu_path)!r}, for {len(reasons)} documents fail, first {reasons[0]}")
    texts = {document.id: document.text for document in sound}
    with Path(conllu_path).open(encoding="utf-8") as gold_file:
        gold = udeval.load_conllu(gold_file, str(conllu_path), {})
    system = udeval.load_conllu(io.StringIO("".join(conllu_lines(_one_root(words), texts))), parser.name, {})
    found = udeval.evaluate(gold, system)
    scores = {name: 100 * found[theirs].f1 for name, theirs in METRICS.items()}
    aligned = {f"{name}_aligned": found[theirs].aligned_accuracy for name, theirs in METRICS.items()}
    return scores | {name: 100 * accuracy for name, accuracy in aligned.items() if accuracy is not None}


def conllu_lines(words: Words, texts: dict[str, str]) -> Iterator[str]:
    """The words as lines of CoNLL-U; texts: by document id. Words of one span become a multiword token."""
    first = words.sentence_first()
    sentence_end = np.append(np.diff(first) != 0, True) if len(words) else np.empty(0, bool)
    alone = _span_alone(words)
    for row in range(len(words)):
        start, end, number = int(words.start[row]), int(words.end[row]), row - int(first[row]) + 1
        if not alone[row] and (number == 1 or words.start[row - 1] != start):
            last = number + int(np.argmax(np.append(words.start[row:] != start, True))) - 1
            surface = texts[words.documents[words.document[row]]][start:end]
            yield f"{number}-{last}\t{surface}" + "\t_" * 8 + "\n"
        head = int(words.head[row] - first[row]) + 1 if words.head[row] >= 0 else 0
        cells = (words.text[row], words.lemma[row] or "_", UPOS[words.upos[row]], "_", words.feats[row] or "_")
        yield "\t".join((str(number), *cells, str(head), words.relation[row], "_", "_")) + "\n"
        if sentence_end[row]:
            yield "\n"


def _one_root(words: Words) -> Words:
    """The same words as trees, which is what can be scored: of several roots the first stays, the others hang on it."""
    head, _ = single_rooted(words.head.astype(np.int64), words.sentence_first().astype(np.int64))
    return words.with_columns(head=head)


def _span_alone(words: Words) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """bool [W]: whether a word has its span for itself."""
    same = (np.diff(words.start) == 0) & (np.diff(words.end) == 0) & (np.diff(words.document) == 0)
    return ~(np.append(same, False) | np.append(False, same)) if len(words) else np.empty(0, bool)
