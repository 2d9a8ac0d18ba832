"""The `prefix` parser: strictly left to right, words and sentences included.

What it says of the first words of a text never changes when text is added. So it gives no whole trees: a word's head is
the earlier word that it was joined to when it closed, or the later word that claimed it; a word without either has
none, and a sentence may have several such roots. Relations have no names: `dep`, or `root` without a head. What it is
made for are the pairs of `read`: the arcs that it proposes, and the open words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lexicons import tables_digest
from pipeline.corpus import Document
from pipeline.parsers.trees import model_digest
from pipeline.prefix.annotator import SHIPPED as SHIPPED_TABLES
from pipeline.prefix.arcs import SHIPPED, ArcReader, Said
from pipeline.prefix.heads import heads_of
from pipeline.prefix.tables import Tables
from pipeline.prefix.text import Alphabet
from pipeline.prefix.texts import read_texts
from pipeline.records import Strings, Words

CODE = [Path(__file__), *sorted((Path(__file__).parents[1] / "prefix").glob("*.py"))]


HALF = "holds half of a character, a surrogate that stands alone; read the text anew as UTF-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Words, and what was said of them: `said` has the same rows."""

    words: Words
    said: Said


class PrefixParser:
    """The annotator's words with the network's tags and arcs; see Parser."""

    name = "prefix"

    def __init__(self, model: str | None = None) -> None:
        """model: a file that `valency fit prefix-parser` wrote; None: the one that ships. ValueError without one."""
        path = SHIPPED if model is None else Path(model)
        if not path.is_file():
            raise ValueError(f"there is no model {str(path)!r}; `valency fit prefix-parser` makes one")
        self.files = (SHIPPED_TABLES, path)  # all that is learnt
        self.alphabet = Alphabet.of(Tables.load(SHIPPED_TABLES))
        self.reader = ArcReader.load(path, self.alphabet)
        self.digest = model_digest([("tables", SHIPPED_TABLES), ("arcs", path)], CODE, [tables_digest.digest()])

    def parse(self, documents: Sequence[Document]) -> tuple[Words, dict[str, str]]:
        """As Parser.parse, but for trees (above)."""
        failed = {document.id: HALF for document in documents if not _is_whole(document.text)}
        return self.read([document for document in documents if document.id not in failed]).words, failed

    def read(self, documents: Sequence[Document]) -> Reading:
        """Words with arcs and open words. Errors: UnicodeEncodeError for half a character."""
        found = read_texts(self.alphabet, [document.text for document in documents])
        texts = [document.text for document in documents]
        spans = zip(found.text.tolist(), found.begin.tolist(), found.end.tolist(), strict=True)
        form = Strings.of(texts[text][begin:end] for text, begin, end in spans)
        begins = np.append(True, (np.diff(found.text) != 0) | (np.diff(found.sentence) != 0))[: len(form)]
        first = np.append(np.flatnonzero(begins), len(form))
        said = self.reader.read(form, first)
        head = heads_of(said)
        words = Words(
            documents=tuple(document.id for document in documents),
            document=found.text.astype(np.int32),
            sentence=found.sentence.astype(np.int32),
            start=found.begin.astype(np.int32),
            end=found.end.astype(np.int32),
            text=form,
            lemma=self.reader.lemmas.column(form, said.label),
            upos=said.tag,
            feats=_distinct(Strings(said.label, self.reader.feats)),
            head=head.astype(np.int32),
            relation=Strings((head < 0).astype(np.int32), ("dep", "root")),
            features=np.zeros(len(form), np.uint64),
            verb_class=Strings(np.zeros(len(form), np.int32), ("",)),
        )
        return Reading(words=words, said=said)


def _distinct(column: Strings) -> Strings:
    """The same column over values of which none are equal."""
    values = Strings.of(column.values)
    return Strings(values.code[column.code], values.values)


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
