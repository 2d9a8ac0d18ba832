"""How good a parser is on a treebank, and how fast.

valency bench parse --parser prefix --conllu EWT-test.conllu --json data/results/parse-prefix.json

Scores from raw text are those of the CoNLL 2018 shared task, F1 in percent (`pipeline.score`). `words_per_second` is
the median of RUNS runs over the raw text of all documents, in this process, the parser loaded and warm: from text to
the columns of words, everything included; set OMP_NUM_THREADS=1 for one core. On a machine that others use, too,
`words_per_processor_second` says what the processor's own time is good for. `model_bytes` is the size of the model's
files. Under `gold_tokens` stands what the parser makes of the treebank's own words: of spaCy tags, lemmas and trees
(`pipeline.fit.gold_score`, percent), of `prefix` tags, arcs and open words (`pipeline.fit.arc_score`, fractions).
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.corpus import Document, read_documents
from pipeline.parsers import Parser
from pipeline.parsers.prefix import PrefixParser
from pipeline.parsers.spacy import SpacyParser
from pipeline.score import score_parser

RUNS = 3


def bench_parse(parser: Parser, treebank: Path) -> dict[str, Any]:
    """Measure; treebank: a CoNLL-U file."""
    measured: dict[str, Any] = {"parser": parser.name, "treebank": treebank.name, **score_parser(parser, treebank)}
    documents = [each for each in read_documents([treebank]) if isinstance(each, Document)]
    for name, clock in (("second", time.perf_counter), ("processor_second", time.process_time)):
        measured[f"words_per_{name}"] = round(statistics.median(_speed(parser, documents, clock) for _ in range(RUNS)))
    if isinstance(parser, PrefixParser):
        from pipeline.fit.arc_score import score_arcs  # late: only this parser has arcs
        from pipeline.fit.examples import own_words, read_treebank

        measured["gold_tokens"] = score_arcs(parser.reader, own_words(read_treebank(treebank)[0]))
    if isinstance(parser, SpacyParser):
        from pipeline.fit.gold_score import score_gold

        measured["gold_tokens"] = score_gold(parser.nlp, treebank)
    if isinstance(parser, PrefixParser | SpacyParser):
        measured["model_bytes"] = sum(file.stat().st_size for file in parser.files)
    return measured


def _speed(parser: Parser, documents: list[Document], clock: Callable[[], float]) -> float:
    """Words a second of this clock."""
    began = clock()
    words, _ = parser.parse(documents)
    return len(words) / (clock() - began)
