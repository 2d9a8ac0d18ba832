"""Every parser keeps every promise, on hostile texts too: one file for all of PARSERS.

`conllu` knows only what its treebank holds, so its hard texts are made into one. `stanza` trains a tiny model first:
slow, and skipped where Stanza is not installed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pipeline.corpus import Document, read_documents
from pipeline.parsers import PARSERS, Parser, load_parser
from pipeline.records import Words
from tests.pipeline.parser_contract import HARD_TEXTS, assert_contract, assert_covers, documents_of


@dataclass(frozen=True, slots=True)
class Case:
    """A parser, the hard texts as it can be asked for them, a document that it cannot take, and if it gives trees."""

    parser: Parser
    documents: Sequence[Document]
    bad: Document
    trees: bool = True


def spacy_case(folder: Path, request: pytest.FixtureRequest) -> Case:
    parser = load_parser("spacy")
    tokenizer = parser.nlp.tokenizer  # type: ignore[attr-defined]

    def fragile(text: str) -> object:
        _no_boom(text)
        return tokenizer(text)

    parser.nlp.tokenizer = fragile  # type: ignore[attr-defined]
    parser.nlp.tokenizer.vocab = tokenizer.vocab  # type: ignore[attr-defined]
    return Case(parser, documents_of(HARD_TEXTS), BAD)


def conllu_case(folder: Path, request: pytest.FixtureRequest) -> Case:
    """Each hard text is one sentence of words that hang on the first."""
    rows: list[str] = []
    for name, text in HARD_TEXTS.items():
        forms = text.split()
        rows += [f"# newdoc id = {name}"] if forms else []
        rows += [f"{n}\t{form}\t{form}\tX\t_\t_\t{int(n > 1)}\t{'dep' if n > 1 else 'root'}\t_\t_"
                 for n, form in enumerate(forms, start=1)]  # fmt: skip
        rows += [""] if forms else []
    (folder / "hard.conllu").write_text("\n".join(rows), encoding="utf-8")
    documents = [each for each in read_documents([folder / "hard.conllu"]) if isinstance(each, Document)]
    assert len(documents) == len(HARD_TEXTS) - 2, "texts of spaces are no documents of a treebank"
    return Case(load_parser("conllu", str(folder)), documents, BAD)


def stanza_case(folder: Path, request: pytest.FixtureRequest) -> Case:
    parser = load_parser("stanza", str(request.getfixturevalue("tiny_stanza")))
    process = parser._nlp.process  # type: ignore[attr-defined]

    def fragile(docs: list[object], processors: list[str]) -> object:
        _no_boom(*(str(getattr(doc, "text", "")) for doc in docs))
        return process(docs, processors=processors)

    parser._nlp.process = fragile  # type: ignore[attr-defined]
    return Case(parser, documents_of(HARD_TEXTS), BAD)


def prefix_case(folder: Path, request: pytest.FixtureRequest) -> Case:
    """Nothing but a text that is none can fail."""
    half = documents_of({"bad": "half \ud83d a character"})[0]
    return Case(load_parser("prefix"), documents_of(HARD_TEXTS), half, trees=False)


BAD = documents_of({"bad": "A first paragraph.\n\nBOOM.\n\nA third."})[0]


def _no_boom(*texts: str) -> None:
    if any("BOOM" in text for text in texts):
        raise ZeroDivisionError("boom")


CASES: dict[str, Callable[[Path, pytest.FixtureRequest], Case]] = {
    "spacy": spacy_case,
    "conllu": conllu_case,
    "stanza": stanza_case,
    "prefix": prefix_case,
}


PARAMETERS = [pytest.param(name, marks=[pytest.mark.slow] if name == "stanza" else []) for name in CASES]


@pytest.fixture(scope="module", params=PARAMETERS)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return CASES[request.param](tmp_path_factory.mktemp(request.param), request)


def test_no_parser_is_forgotten() -> None:
    assert set(CASES) == set(PARSERS)


def test_hard_texts_keep_the_contract(case: Case) -> None:
    words, failed = case.parser.parse(case.documents)
    assert not failed
    assert_contract(words, case.documents, case.trees)
    assert_covers(words, case.documents)
    count = dict(zip(*np.unique(words.document, return_counts=True), strict=True))
    by_name = {each.id.rpartition("#")[2]: count.get(place, 0) for place, each in enumerate(case.documents)}
    assert by_name["one"] == 1
    assert by_name["long sentence"] > 5_000
    assert by_name.get("empty", 0) == by_name.get("spaces", 0) == 0, "spaces are no words"


@pytest.mark.parametrize("name", ["one", "two paragraphs", "emoji", "no end"])
def test_a_document_alone_parses_as_among_others(case: Case, name: str) -> None:
    chosen = [each for each in case.documents if each.id.rpartition("#")[2] in (name, "lines", "bidi")]
    together = rows(case.parser.parse(chosen)[0])
    alone = [row for document in chosen for row in rows(case.parser.parse([document])[0])]
    assert together == alone
    assert_contract(case.parser.parse(chosen[:1])[0], chosen[:1], case.trees)


def test_what_cannot_be_parsed_is_quarantined_alone(case: Case) -> None:
    beside = [each for each in case.documents if each.id.rpartition("#")[2] in ("one", "lines")]
    words, failed = case.parser.parse([beside[0], case.bad, beside[1]])
    assert list(failed) == ["bad"]
    assert len(failed["bad"]) > 10
    assert_contract(words, beside, case.trees)
    assert_covers(words, beside)
    words, failed = case.parser.parse([case.bad])
    assert (len(words), list(failed)) == (0, ["bad"])


def test_no_document_gives_no_words(case: Case) -> None:
    words, failed = case.parser.parse([])
    assert (len(words), words.documents, failed) == (0, (), {})


def test_what_a_parser_is_called(case: Case) -> None:
    assert PARSERS[case.parser.name]
    assert len(case.parser.digest) == 12


def rows(words: Words) -> list[tuple[object, ...]]:
    """One tuple a word, strings spelt out, heads as they stand in the document."""
    first = np.searchsorted(words.document, words.document, side="left")
    head = np.where(words.head >= 0, words.head - first, -1)
    columns = (words.sentence, words.start, words.end, words.upos, head)
    strings = (words.text, words.lemma, words.feats, words.relation)
    return list(zip(*(column.tolist() for column in columns), *(s.to_list() for s in strings), strict=True))
