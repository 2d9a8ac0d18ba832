"""The Stanza parser (Qi et al. 2020): any language for which models lie in a folder or were downloaded before.

Stanza cuts the words; then this file takes over: spans are checked against the text, endless sentences are cut, and
tags, lemmas and trees are asked for sentences of bounded length only, for Stanza's parser scores all pairs of words
under every relation. Paragraphs of many documents share a batch, so memory does not grow with a document.
"""

import re
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.corpus import Document
from pipeline.parsers.paragraphs import paragraphs
from pipeline.parsers.stanza_columns import Row, words_of_rows
from pipeline.parsers.stanza_models import load_pipeline
from pipeline.parsers.trees import model_digest
from pipeline.records import Words

CODE = [Path(__file__).with_name(f"{name}.py") for name in
        ("stanza", "stanza_columns", "stanza_models", "paragraphs", "trees")]  # fmt: skip
CUT, PARSE = "tokenize,mwt", "pos,lemma,depparse"
"""Stanza's processors before and after spans are checked."""

BATCH = 20_000
"""Characters handed to Stanza at once, about 4,000 words."""
LONGEST_SENTENCE = 256
"""Tokens; a longer sentence is cut. One of 5,000 words would take 5 GB: 5,000² pairs × 50 relations × 4 bytes."""
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]|\s")
BROKEN = (MemoryError, KeyboardInterrupt, SystemExit)
"""What no document is to blame for."""
NO_MEMORY = "DefaultCPUAllocator"
"""Torch says so in a RuntimeError when the machine's memory is full."""


class Chunk(NamedTuple):
    """A paragraph to parse: position of its document in the call, its offset there, its text."""

    document: int
    offset: int
    text: str


class Token(NamedTuple):
    """A stretch of a chunk and the words that it stands for, as Stanza is to see them."""

    start: int
    end: int
    forms: tuple[str, ...]


class StanzaParser:
    """A loaded Stanza pipeline; see Parser."""

    name = "stanza"

    def __init__(self, model: str | None) -> None:
        """model: a folder of models, or the language of downloaded ones. Errors: as load_parser."""
        self._nlp, files = load_pipeline(model)
        self.digest = model_digest(files, CODE, [f"stanza {version('stanza')}", f"torch {version('torch')}"])

    def parse(self, documents: Sequence[Document]) -> tuple[Words, dict[str, str]]:
        """As Parser.parse. About 1,000 words a second on one core; memory grows with the words returned only."""
        rows: list[list[Row]] = [[] for _ in documents]
        failed: dict[str, str] = {}
        for batch in _batches(documents):
            for chunk, found in zip(batch, self._rows(batch, documents, failed), strict=True):
                rows[chunk.document] += found
        kept = [(document.id, rows[place]) for place, document in enumerate(documents) if document.id not in failed]
        return words_of_rows(kept), failed

    def _rows(self, batch: list[Chunk], documents: Sequence[Document], failed: dict[str, str]) -> list[list[Row]]:
        """Words by chunk. If the batch fails, each is tried alone; a document whose chunk fails goes into `failed`."""
        try:
            return self._parse(batch)
        except BROKEN:
            raise
        except Exception as error:
            if NO_MEMORY in str(error):
                raise MemoryError(f"Stanza had no memory left for {len(batch)} paragraphs") from error
            if len(batch) == 1:
                failed[documents[batch[0].document].id] = f"Stanza failed: {type(error).__name__}: {error}"
                return [[]]
        return [rows for chunk in batch for rows in self._rows([chunk], documents, failed)]

    def _parse(self, batch: list[Chunk]) -> list[list[Row]]:
        from stanza.models.common.doc import Document as Doc

        cut = self._nlp.process([Doc([], text=readable(chunk.text)) for chunk in batch], processors=CUT.split(","))
        tokens = [sentences_of(doc, chunk.text) for doc, chunk in zip(cut, batch, strict=True)]
        docs = [Doc([_entries(sentence) for sentence in sentences]) for sentences in tokens]
        self._nlp.process(docs, processors=PARSE.split(","))
        return [
            [
                row
                for sentence, parsed in zip(sentences, doc.sentences, strict=True)
                for row in _rows(sentence, parsed, chunk)
            ]
            for sentences, doc, chunk in zip(tokens, docs, batch, strict=True)
        ]


def readable(text: str) -> str:
    """The text, character for character, as Stanza takes it without moving offsets: any space is a blank, and another
    control character (which Stanza would drop) a replacement character."""
    return CONTROL.sub(lambda sign: " " if sign[0].isspace() else "\ufffd", text)


def sentences_of(doc: Any, text: str) -> list[list[Token]]:
    """Tokens by sentence; ValueError unless they hold every character of the text that is no space, each once."""
    sentences, reached = list[list[Token]](), 0
    for sentence in doc.sentences:
        tokens = list[Token]()
        for token in sentence.tokens:
            start, end = token.start_char, token.end_char
            if start is None or not reached <= start < end <= len(text) or text[reached:start].strip():
                raise ValueError(f"token {token.text[:40]!r} lies outside of the text after character {reached}")
            tokens.append(Token(start, end, tuple(word.text for word in token.words) or (token.text,)))
            reached = end
        sentences += cut_sentence(tokens)
    if text[reached:].strip():
        raise ValueError(f"no token holds the text from character {reached} on")
    return sentences


def cut_sentence(tokens: list[Token], longest: int = LONGEST_SENTENCE) -> Iterator[list[Token]]:
    """Parts of at most `longest` tokens; a cut follows the last mark of punctuation in a part's second half."""
    while len(tokens) > longest:
        marks = [n for n in range(longest // 2, longest) if not any(map(str.isalnum, "".join(tokens[n].forms)))]
        stop = marks[-1] + 1 if marks else longest
        yield tokens[:stop]
        tokens = tokens[stop:]
    if tokens:
        yield tokens


def _batches(documents: Sequence[Document]) -> Iterator[list[Chunk]]:
    """Chunks in order, a batch closed by the one that fills BATCH."""
    batch, size = list[Chunk](), 0
    for place, document in enumerate(documents):
        for offset, text in paragraphs(document.text):
            batch.append(Chunk(place, offset, text))
            size += len(text)
            if size >= BATCH:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch


def _entries(sentence: Sequence[Token]) -> list[dict[str, Any]]:
    """A sentence as Stanza's Document takes it: words numbered from 1, a multiword token before its words."""
    entries = list[dict[str, Any]]()
    number = 0
    for token in sentence:
        if len(token.forms) > 1:
            entries.append({"id": (number + 1, number + len(token.forms)), "text": "".join(token.forms)})
        for form in token.forms:
            number += 1
            entries.append({"id": (number,), "text": form})
    return entries


def _rows(sentence: Sequence[Token], parsed: Any, chunk: Chunk) -> list[Row]:
    """What Stanza says of a sentence. A single word's text is cut out of the document, whatever Stanza made of it."""
    spans = [(token, form) for token in sentence for form in token.forms]
    rows = list[Row]()
    for (token, form), word in zip(spans, parsed.words, strict=True):
        surface = chunk.text[token.start : token.end]
        text = form if len(token.forms) > 1 else surface
        # an over-long token is <UNK> to Stanza, and so is its lemma
        lemma = word.lemma if word.lemma and form in (text, readable(text)) else text
        rows.append(
            Row(
                number=len(rows),
                start=chunk.offset + token.start,
                end=chunk.offset + token.end,
                text=text,
                lemma=lemma,
                upos=word.upos or "X",
                feats="" if word.feats in (None, "_") else word.feats,
                head=int(word.head) - 1,
                relation=word.deprel or "dep",
            )
        )
    return rows
