"""How fast preprocessing is in steady state, and how much of it is not the parser.

On one text and in one run, with as many processes each:
    bare       `nlp.pipe` of the shipped pipeline over the paragraphs, before the whole and after it
    whole      `preprocess`: from the begin of the first shard's work to the end of the last one's, through all layers
    bonds      features and bonds of the parsed words, in one process, in memory
Loading and warming up are not counted, nor the start of the server and of the workers. An overhead says how much longer
the whole takes for a word than bare parsing: 0.2 is a fifth more. By the clock it holds on an idle machine only; the
processor time of the stages (without Prefect's own) can be compared on a busy one too.

    valency bench preprocess wiki.train.tokens --words 300000
"""

import multiprocessing
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from queue import Queue
from time import perf_counter, process_time, time
from typing import Any

import numpy as np

from flows.preprocess import PreprocessSettings, preprocess
from flows.server import CHILDREN, environment
from pipeline.annotate import annotate
from pipeline.bonds import BondConfig, bonds_of
from pipeline.cache.layout import Cache
from pipeline.cache.read import read_words
from pipeline.corpus import Document, read_documents
from pipeline.stages import STAGES

WARM_UP_CHARACTERS = 50_000


def bench_preprocess(corpus: Sequence[str | Path], *, workers: int = 1, limit_words: int = 300_000) -> dict[str, Any]:
    """Words a second of each of the three, and what was measured.

    limit_words: about how much of the corpus to use, counted by spaces. Cost: the text is parsed three times.
    """
    documents = list(_first_words(corpus, limit_words))
    if not documents:
        raise ValueError("there is no readable document in the corpus; give some text to measure with")
    before = _bare(documents, workers)
    with tempfile.TemporaryDirectory() as folder:
        text = _write(documents, Path(folder) / "text")
        summary = preprocess([text], Path(folder) / "cache", PreprocessSettings(workers=workers))
        after_parsing = _features_and_bonds(Cache.open(Path(folder) / "cache"))
    rounds = [before, _bare(documents, workers)]
    words = sum(each.words for each in rounds)
    bare = words / sum(each.seconds for each in rounds)
    bare_processor = sum(each.processor for each in rounds) / words
    processor = sum(summary.seconds[stage] for stage in STAGES) / summary.words
    return {
        "documents": len(documents),
        "words": summary.words,
        "workers": workers,
        "bare_words_per_second": round(bare),
        "bare_words_per_second_before_and_after": [round(each.words / each.seconds) for each in rounds],
        "words_per_second": round(summary.words_per_second),
        "overhead": round(bare / summary.words_per_second - 1, 3),
        "overhead_of_processor_time": round(processor / bare_processor - 1, 3),
        "features_and_bonds_words_per_second": round(after_parsing),
        "seconds": {name: round(seconds, 2) for name, seconds in summary.seconds.items()},
    }


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
    """One round of bare parsing, all processes together."""

    words: int
    seconds: float
    """From the first begin to the last end."""
    processor: float


def _bare(documents: Sequence[Document], workers: int) -> Bare:
    spawn = multiprocessing.get_context("spawn")
    barrier, answers = spawn.Barrier(workers), spawn.Queue()
    texts = [[document.text for document in documents[number::workers]] for number in range(workers)]
    processes = [spawn.Process(target=bare_share, args=(share, barrier, answers)) for share in texts]
    with environment(CHILDREN):  # one thread a process, as the flow's workers have: a core is a core on both sides
        for process in processes:
            process.start()
    words, begun, ended, processor = zip(*(answers.get() for _ in processes), strict=True)
    for process in processes:
        process.join()
    return Bare(sum(words), max(ended) - min(begun), sum(processor))


def bare_share(texts: Sequence[str], barrier: Barrier, answers: "Queue[tuple[int, float, float, float]]") -> None:
    """In a process: parse a share of the texts with bare spaCy; puts (words, begin, end, processor time)."""
    from pipeline.parsers.paragraphs import paragraphs
    from pipeline.parsers.spacy import load_model

    nlp, _ = load_model(None)
    cut = [part for text in texts for _, part in paragraphs(text)]
    for _ in nlp.pipe([" ".join(cut)[:WARM_UP_CHARACTERS]]):
        pass
    barrier.wait()
    begun, processor = time(), process_time()
    words = sum(len(doc) - sum(token.is_space for token in doc) for doc in nlp.pipe(cut, batch_size=64))
    answers.put((words, begun, time(), process_time() - processor))


def _features_and_bonds(cache: Cache) -> float:
    """Words a second of annotation and bonds over all parsed words of a cache."""
    parsed = [words for shard in range(cache.shards) for words in read_words(cache, shard)]
    blank = [words.with_columns(features=np.zeros(len(words), np.uint64)) for words in parsed if len(words)]
    bonds_of(annotate(blank[0]), BondConfig())  # loads the tables
    begin = perf_counter()
    for words in blank:
        bonds_of(annotate(words), BondConfig())
    return sum(map(len, blank)) / (perf_counter() - begin)
