"""How good a parser is on a treebank, and how fast.

valency bench parse --parser prefix --conllu EWT-test.conllu --json data/results/parse-prefix.json

Scores from raw text are those of the CoNLL 2018 shared task, F1 in percent (`pipeline.score`). `words_per_second` is
the median of RUNS runs over the raw text of all documents, in a process of its own with one thread, the parser loaded
and warm: from text to the columns of words, everything included. On a machine that others use, too,
`words_per_processor_second`, of the same runs, says what the processor's own time is good for. `model_bytes` is the
size of the model's files. Under `gold_tokens` stands what the parser makes of the treebank's own words: of spaCy tags,
lemmas and trees (`pipeline.fit.gold_score`, percent), of `prefix` tags, arcs and open words (`pipeline.fit.arc_score`,
fractions).
"""

import statistics
import time
from pathlib import Path
from typing import Any

from flows.bench.alone import THREADS, alone
from pipeline.corpus import Document, read_documents
from pipeline.parsers import load_parser
from pipeline.parsers.prefix import PrefixParser
from pipeline.parsers.spacy import SpacyParser
from pipeline.score import score_parser

RUNS = 3


def bench_parse(name: str, model: str | None, treebank: Path) -> dict[str, Any]:
    """Measure. name, model: as `load_parser` takes them; treebank: a CoNLL-U file. Cost: its text is parsed RUNS + 2
    times.

    Errors: ValueError if there is no such parser, model or treebank; Failure if the timed process fails.
    """
    parser = load_parser(name, model)
    measured: dict[str, Any] = {"parser": parser.name, "treebank": treebank.name, **score_parser(parser, treebank)}
    measured |= {"threads": THREADS, **alone(speed, (name, model, treebank))}
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


def speed(given: tuple[str, str | None, Path]) -> dict[str, int]:
    """Words a second by the clock and of the processor's time; in a process of its own, where the parser is loaded
    again, since it cannot travel."""
    name, model, treebank = given
    parser = load_parser(name, model)
    documents = [each for each in read_documents([treebank]) if isinstance(each, Document)]
    parser.parse(documents)  # warm
    rates: dict[str, list[float]] = {"second": [], "processor_second": []}
    for _ in range(RUNS):
        began = time.perf_counter(), time.process_time()
        words, _ = parser.parse(documents)
        ended = time.perf_counter(), time.process_time()
        for rate, begin, end in zip(rates.values(), began, ended, strict=True):
            rate.append(len(words) / (end - begin))
    return {f"words_per_{each}": round(statistics.median(rate)) for each, rate in rates.items()}
