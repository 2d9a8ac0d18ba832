"""The spaCy parser: any spaCy pipeline with a dependency parser; the one that ships is made by `pipeline.fit.parser`.

Documents are parsed paragraph by paragraph, many in one batch; columns are cut out of spaCy's own arrays, and strings
are looked up once a distinct value, so that little is lost over bare `nlp.pipe`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from importlib.metadata import version
from itertools import chain
from pathlib import Path

import spacy
from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import use_ops

from pipeline.corpus import Document
from pipeline.errors import Failure
from pipeline.parsers.paragraphs import paragraphs
from pipeline.parsers.spacy_columns import Chunk, Rows
from pipeline.parsers.spacy_distinct import once_a_distinct_word
from pipeline.parsers.spacy_greedy import piped
from pipeline.parsers.trees import model_digest
from pipeline.records import Words

SHIPPED = Path(__file__).resolve().parents[1] / "models" / "en_ewt"
USED = ("paragraphs.py", "spacy_columns.py", "spacy_distinct.py", "spacy_greedy.py", "trees.py")
CODE = [Path(__file__), *(Path(__file__).with_name(name) for name in USED)]
UNUSED = ["ner", "senter", "textcat", "textcat_multilabel", "entity_linker", "entity_ruler", "spancat"]
"""Components of other people's pipelines that cost time and give us nothing."""

BATCH = 40_000
"""Characters parsed at once, about 7,000 words: larger batches leave the processor's cache."""
FILLER = "word " * 64
"""Parsed along with every batch: OpenBLAS rounds products of few rows in another way, and what a text's words are must
not depend on how much is parsed beside it."""
KNOWN_WORDS = 50_000
"""Word forms kept for good, about 40 MB. Within a memory zone spaCy's tokenizer remembers nothing, and cutting a form
anew costs it 16 µs, one it remembers 0.5: only once so many are known do the strings of a call go with it."""
LONGEST_RUN = 512
"""Characters without a space handed to the tokenizer at once: its time grows with their square (8,000 take 9 s)."""
RUN = re.compile(rf"\S{{{LONGEST_RUN}}}(?=\S)")

BROKEN = (MemoryError, KeyboardInterrupt, SystemExit)
"""What no document is to blame for."""


class SpacyParser:
    """A loaded spaCy pipeline; see Parser."""

    name = "spacy"

    def __init__(self, model: str | None = None) -> None:
        self.nlp, folder = load_model(model)
        once_a_distinct_word(self.nlp)
        if hasattr(self.nlp.tokenizer, "max_cache_size"):
            self.nlp.tokenizer.max_cache_size = KNOWN_WORDS
        self.files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        named = ((path.relative_to(folder).as_posix(), path) for path in self.files)
        content = [(name, path) for name, path in named if "__pycache__" not in name and name != "README.md"]
        self.digest = model_digest(content, CODE, [f"spacy {version('spacy')}"])

    def parse(self, documents: Sequence[Document]) -> tuple[Words, dict[str, str]]:
        """As Parser.parse. Memory grows until KNOWN_WORDS are met; after that a call's strings go at its end."""
        failed: dict[str, str] = {}
        with self.nlp.memory_zone() if len(self.nlp.vocab) >= KNOWN_WORDS else nullcontext():
            rows = Rows(self.nlp.vocab.strings)
            for batch in batches(chunks(documents)):
                docs = self._docs(batch, documents, failed)
                rows.add([(chunk, doc) for chunk, doc in zip(batch, docs, strict=True) if doc is not None])
            return rows.words(documents, failed), failed

    def _docs(self, batch: list[Chunk], documents: Sequence[Document], failed: dict[str, str]) -> list[Doc | None]:
        """Parsed chunks. If the batch fails, each is tried alone; a document whose chunk fails is noted in `failed`."""
        try:
            docs = piped(self.nlp, chain(map(self._input, batch), [FILLER]))
            return list(docs[: len(batch)])
        except BROKEN:
            raise
        except Exception as error:
            if len(batch) == 1:
                failed[documents[batch[0].document].id] = f"spaCy failed: {type(error).__name__}: {error}"
                return [None]
        return [doc for chunk in batch for doc in self._docs([chunk], documents, failed)]

    def _input(self, chunk: Chunk) -> str | Doc:
        """The text, or, where it has a long run without a space, its tokens, the run being tokenized in parts."""
        if len(chunk.text) <= LONGEST_RUN or not RUN.search(chunk.text):
            return chunk.text
        ends = [*(run.end() for run in RUN.finditer(chunk.text)), len(chunk.text)]
        parts = [chunk.text[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        tokens = [token for part in parts for token in self.nlp.tokenizer(part)]
        words, spaces = [token.text for token in tokens], [bool(token.whitespace_) for token in tokens]
        return Doc(self.nlp.vocab, words=words, spaces=spaces)


def load_model(model: str | None) -> tuple[Language, Path]:
    """The pipeline and the folder of its files. Errors: as load_parser."""
    folder = SHIPPED if model is None else Path(model)
    if not folder.is_dir():
        if model is None or not spacy.util.is_package(model):
            installed = ", ".join(sorted(spacy.util.get_installed_models())) or "none"
            raise ValueError(
                f"there is no spaCy model {str(folder)!r}: neither a folder nor an installed package (installed: "
                f"{installed}); without a network, give the folder of a pipeline saved with nlp.to_disk, or install "
                "its wheel file with pip; leave the model out for the English one that ships"
            )
        folder = spacy.util.get_package_path(model)
    try:
        # numpy's OpenBLAS multiplies these small matrices twice as fast as thinc's own BLIS: 13k to 19k words/s in all
        with use_ops("numpy", use_blis=False):
            nlp = spacy.load(folder if model is None else model, exclude=UNUSED)
    except Exception as error:
        raise Failure(f"the spaCy model {str(folder)!r} does not load: {error}; make or install it again") from error
    if not any("token.dep" in nlp.get_pipe_meta(name).assigns for name in nlp.pipe_names):
        raise ValueError(f"the spaCy model {str(folder)!r} has no parser among {nlp.pipe_names}; give one that has")
    return nlp, folder


def chunks(documents: Sequence[Document]) -> Iterator[Chunk]:
    for position, document in enumerate(documents):
        yield from (Chunk(position, offset, text) for offset, text in paragraphs(document.text))


def batches(stream: Iterable[Chunk]) -> Iterator[list[Chunk]]:
    """The chunks in order, closed by the one that fills BATCH."""
    batch, size = list[Chunk](), 0
    for chunk in stream:
        batch.append(chunk)
        size += len(chunk.text)
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
