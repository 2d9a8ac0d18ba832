"""How fast preprocessing is in steady state, and how much of it is not the parser.

On one text and in one run:
    bare       `nlp.pipe` of the shipped pipeline over the paragraphs, in one process, before the whole and after it
    whole      `preprocess` with one worker and with two, through all layers
    bonds      features and bonds of the parsed words, in one process, in memory, by processor time
Start-up is apart: the whole is timed by what its caller sees, from the end of the first shard to the moment when a
worker runs out of shards, so that all that recurs with every shard is in it, Prefect's part too, and nothing that
happens once. Bare spaCy, likewise, is timed after the first eighth of its text. Every process has one thread.

`overhead` is how many times as long the whole takes for a word as bare spaCy: 1.10 is a tenth more. By the clock it
holds on an idle machine only (`bare_words_per_second_before_and_after` says how idle it was). The same of processor
time, of the stages without Prefect's part, holds on a busy one too.

    valency bench preprocess wiki.train.tokens --words 300000
"""

import gc
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time, time
from typing import Any

import numpy as np

from flows.bench.alone import alone
from flows.preprocess import PreprocessSettings, Progress, Summary, preprocess
from pipeline.annotate import annotate
from pipeline.bonds import BondConfig, bonds_of
from pipeline.cache.layout import Cache
from pipeline.cache.read import read_words
from pipeline.corpus import Document, read_documents
from pipeline.stages import STAGES

SHARDS = 8
"""Shards of the caches: the first is start-up, and with two workers the last is left out as well."""
WARM_UP = 8
"""An eighth of bare spaCy's text is parsed before its clock starts, as a first shard is."""
Seen = list[tuple[float, int]]
"""When each shard ended, in seconds, and the words of all that had ended by then."""


def bench_preprocess(
    corpus: Sequence[str | Path], *, limit_words: int = 300_000, shards: int = SHARDS
) -> dict[str, Any]:
    """Words a second of each, and how they compare.

    limit_words: about how much of the corpus to use, counted by spaces. Cost: the text is parsed four times.
    """
    documents = list(_first_words(corpus, limit_words))
    if not documents:
        raise ValueError("there is no readable document in the corpus; give some text to measure with")
    with tempfile.TemporaryDirectory() as folder:
        text = _write(documents, Path(folder) / "text")
        before = _bare(documents)
        one = _whole(text, Path(folder) / "one", 1, shards)
        after = _bare(documents)
        two = _whole(text, Path(folder) / "two", 2, shards)
        after_parsing = alone(annotate_and_bond, Path(folder) / "one")
    words = before.words + after.words
    bare = words / (before.seconds + after.seconds)
    processor = sum(one.summary.seconds[stage] for stage in STAGES) / one.summary.words
    return {
        "documents": len(documents),
        "words": one.summary.words,
        "shards": shards,
        "bare_words_per_second": round(bare),
        "bare_words_per_second_before_and_after": [round(each.words / each.seconds) for each in (before, after)],
        "words_per_second": round(one.rate),
        "words_per_second_2_workers": round(two.rate),
        "overhead": round(bare / one.rate, 3),
        "overhead_of_processor_time": round(processor / ((before.processor + after.processor) / words), 3),
        "speedup_2_workers": round(two.rate / one.rate, 3),
        "features_and_bonds_words_per_second": round(after_parsing),
        "features_and_bonds_clock": "processor time of one process",
        "seconds": {name: round(seconds, 2) for name, seconds in one.summary.seconds.items()},
        "seconds_2_workers": {name: round(seconds, 2) for name, seconds in two.summary.seconds.items()},
    }


@dataclass(frozen=True, slots=True)
class Whole:
    """One run of `preprocess` into a new cache."""

    summary: Summary
    rate: float
    """Words a second in steady state."""


def _whole(text: Path, cache: Path, workers: int, shards: int) -> Whole:
    seen: Seen = []

    def on_progress(progress: Progress) -> None:
        if progress.stage == "shards":
            seen.append((time(), progress.words))

    summary = preprocess([text], cache, PreprocessSettings(workers=workers, shards=shards), on_progress)
    return Whole(summary, steady_rate(seen, workers))


def steady_rate(seen: Seen, workers: int) -> float:
    """Words a second from the end of the first shard until a worker had nothing left to do.

    What was begun before the first end and what is not done at the last are about as much.
    """
    last = len(seen) - workers
    if last < 1 or seen[last][1] == seen[0][1]:
        raise ValueError(f"{len(seen)} shards on {workers} workers have no steady state; give more text or more shards")
    return (seen[last][1] - seen[0][1]) / (seen[last][0] - seen[0][0])


def _first_words(corpus: Sequence[str | Path], limit: int) -> Iterator[Document]:
    words = 0
    for document in read_documents(corpus):
        if isinstance(document, Document):
            yield document
            words += document.text.count(" ")
            if words >= limit:
                return


def _write(documents: Sequence[Document], folder: Path) -> Path:
    folder.mkdir()
    for number, document in enumerate(documents):
        (folder / f"{number:06d}.txt").write_text(document.text, encoding="utf-8", newline="")
    return folder


@dataclass(frozen=True, slots=True)
class Bare:
    """One round of bare parsing, warm-up left out."""

    words: int
    seconds: float
    processor: float


def _bare(documents: Sequence[Document]) -> Bare:
    return Bare(*alone(parse_barely, [document.text for document in documents]))


def parse_barely(texts: Sequence[str]) -> tuple[int, float, float]:
    """Parse the texts with bare spaCy, in a process of its own: words, seconds, processor time."""
    from pipeline.parsers.paragraphs import paragraphs
    from pipeline.parsers.spacy import load_model

    nlp, _ = load_model(None)
    cut = [part for text in texts for _, part in paragraphs(text)]
    first = len(cut) // WARM_UP
    for _ in nlp.pipe(cut[:first], batch_size=64):
        pass
    begun, processor = time(), process_time()
    words = sum(len(doc) - sum(token.is_space for token in doc) for doc in nlp.pipe(cut[first:], batch_size=64))
    return words, time() - begun, process_time() - processor


def annotate_and_bond(folder: Path) -> float:
    """Words a second of processor time of annotation and bonds over all parsed words of a cache, in a process of its
    own."""
    cache = Cache.open(folder)
    parsed = [words for shard in range(cache.shards) for words in read_words(cache, shard)]
    blank = [words.with_columns(features=np.zeros(len(words), np.uint64)) for words in parsed if len(words)]
    bonds_of(annotate(blank[0]), BondConfig())  # loads the tables
    gc.freeze()  # as workers do
    begin = process_time()
    for words in blank:
        bonds_of(annotate(words), BondConfig())
    return sum(map(len, blank)) / (process_time() - begin)
