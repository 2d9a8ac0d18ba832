"""Bonds of a text from its piece ids alone: what a cache's causal pieces hold, made anew.

It reads the text of the pieces with the left-to-right parser and makes the causal kinds of bond, as
`valency preprocess --parser prefix --mode causal --piece-bonds causal` does. Begin and end pieces cut the text: nothing
is read across them. Cost: about 50,000 words a second to parse, and as many to bond.
"""

import itertools
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from model.facts import WordFacts
from pipeline.annotate import annotate
from pipeline.bonds import BondConfig, bonds_of
from pipeline.bonds.modes import mode_config
from pipeline.cache.lists import WordLists, document_words
from pipeline.corpus import Document
from pipeline.parsers.prefix import PrefixParser
from pipeline.records import Words

if TYPE_CHECKING:
    from model.evaluate.leak import Annotator
    from pipeline.prefix import Attributes


class Pieces(Protocol):
    """What is asked of a tokenizer: pipeline.pieces.Tokenizer has it."""

    @property
    def begin(self) -> int: ...

    @property
    def end(self) -> int: ...

    def decode(self, ids: NDArray[np.int32]) -> str: ...


@dataclass(frozen=True, slots=True)
class BondReader:
    """Words and bonds of ids."""

    tokenizer: Pieces
    config: BondConfig
    parser: PrefixParser

    @classmethod
    def load(cls, tokenizer: Pieces, config: BondConfig | None = None, model: str | None = None) -> "BondReader":
        """config: the bonds' settings; None: those of the mode `causal`. model: of the parser; None: the shipped one.

        Errors: ValueError for settings whose bonds may follow from later words.
        """
        config = config or mode_config("causal")
        if config.mode != "causal" or config.control:
            raise ValueError("bonds can be made of a growing text by the mode `causal` alone; preprocess with it")
        return cls(tokenizer, config, _parser(model))

    def words(self, ids: NDArray[np.int32]) -> Words:
        """The annotated words of a document, in one row of stretches between begin and end pieces."""
        inner = np.isin(ids, (self.tokenizer.begin, self.tokenizer.end))
        cuts = [-1, *np.flatnonzero(inner).tolist(), len(ids)]
        texts = [self.tokenizer.decode(ids[one + 1 : two]) for one, two in itertools.pairwise(cuts)]
        parts = [
            Document(id=str(place), source="", split="train", language="en", text=text)
            for place, text in enumerate(texts)
        ]
        return annotate(_one_document(self.parser.read(parts).words))

    def known(self, ids: NDArray[np.int32]) -> "Known":
        """What is known of the document's words. ids: int32 [N]."""
        words = self.words(ids)
        _, found = next(document_words(words, bonds_of(words, self.config), causal=True))
        return Known(found.lists, WordFacts.of(words))


class Known(NamedTuple):
    """What is known of a document's words beside the attributes of its pieces."""

    lists: WordLists
    facts: WordFacts


@lru_cache(maxsize=2)
def _parser(model: str | None) -> PrefixParser:
    return PrefixParser(model)


def _one_document(words: Words) -> Words:
    """Words of several texts as those of one: sentences go on counting, and so do heads."""
    sentences = np.zeros(len(words.documents) + 1, np.int32)
    if len(words):
        ends = np.searchsorted(words.document, np.arange(len(words.documents)), side="right")
        has = ends > np.concatenate([[0], ends[:-1]])
        sentences[1:][has] = words.sentence[ends[has] - 1] + 1
    before = np.cumsum(sentences)[words.document].astype(np.int32)
    return words.with_columns(
        documents=("",), document=np.zeros(len(words), np.int32), sentence=words.sentence + before
    )


@dataclass(frozen=True, slots=True)
class Bonded:
    """An annotator that makes bonds as well."""

    annotator: "Annotator"
    reader: BondReader

    def annotate(self, ids: NDArray[np.int32]) -> "Attributes":
        return self.annotator.annotate(ids)

    def known(self, ids: NDArray[np.int32]) -> Known:
        return self.reader.known(ids)
