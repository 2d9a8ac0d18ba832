"""Parsers: from the text of documents to words with lemma, tag, features and tree. One file a parser, one table."""

import difflib
from collections.abc import Callable, Sequence
from typing import Protocol

from pipeline.corpus import Document
from pipeline.records import Words


class Parser(Protocol):
    """What every parser offers. Loading one may take seconds: load it once a process."""

    @property
    def name(self) -> str:
        """Its name in PARSERS."""
        ...

    @property
    def digest(self) -> str:
        """Twelve hex digits that change whenever its words could: of model, code and library."""
        ...

    def parse(self, documents: Sequence[Document]) -> tuple[Words, dict[str, str]]:
        """Words of the documents that parsed, in the order given, and {id: reason} of those that did not.

        `features` and `verb_class` are left empty for `annotate`. Every sentence has exactly one root and is a tree;
        words are in text order; `start:end` cuts a word's text out of the document (a multiword token's words share
        its span). A document of spaces has no words.
        """
        ...


def load_parser(name: str, model: str | None = None) -> Parser:
    """A parser by its name in PARSERS.

    model: for `spacy` a folder or an installed package (None: the pipeline that ships); for `conllu` the treebank; for
    `stanza` a folder of models or a downloaded language.
    Errors: ValueError if there is no such parser or model, with what to do; Failure if the model is damaged.
    """
    if name not in PARSERS:
        near = difflib.get_close_matches(name, PARSERS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known parsers: {', '.join(PARSERS)}"
        raise ValueError(f"unknown parser {name!r}; {hint}")
    return PARSERS[name](model)


def download_models(name: str, model: str | None) -> None:
    """Fetch what a parser needs before its first use; only `stanza` fetches, by the name of a language.

    Errors: ValueError for a parser or a language that has nothing to fetch; Failure without a network.
    """
    if name != "stanza" or model is None:
        raise ValueError("--download goes with `--parser stanza --model LANGUAGE`, such as `--model de`")
    from pipeline.parsers.stanza_models import download

    download(model)


def _spacy(model: str | None) -> Parser:
    from pipeline.parsers.spacy import SpacyParser  # late: spaCy takes a second to import

    return SpacyParser(model)


def _conllu(model: str | None) -> Parser:
    from pipeline.parsers.conllu import ConlluParser

    return ConlluParser(model)


def _stanza(model: str | None) -> Parser:
    from pipeline.parsers.stanza import StanzaParser  # late: an extra

    return StanzaParser(model)


def _prefix(model: str | None) -> Parser:
    from pipeline.parsers.prefix import PrefixParser

    return PrefixParser(model)


PARSERS: dict[str, Callable[[str | None], Parser]] = {
    "spacy": _spacy,
    "stanza": _stanza,
    "conllu": _conllu,
    "prefix": _prefix,
}
