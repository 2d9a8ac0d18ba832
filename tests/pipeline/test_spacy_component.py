"""The spaCy component says what the stages say, in spaCy's words."""

import tomllib
from importlib import import_module
from pathlib import Path

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import DocBin

import pipeline.spacy_component  # noqa: F401  registers the factory, as the entry point does once installed
from lexicons.features import names
from pipeline.annotate import annotate
from pipeline.bonds import BondConfig, bonds_of
from pipeline.explain import bond_records
from pipeline.parsers.spacy import SHIPPED, SpacyParser
from tests.pipeline.parser_contract import documents_of

TEXT = "Anna gave her brother the old book that she had found.  He read it himself, and Mary praised him."


@pytest.fixture(scope="module")
def nlp() -> Language:
    nlp = spacy.load(SHIPPED)
    nlp.add_pipe("valency_bonds", last=True)
    return nlp


def test_it_says_what_the_stages_say(nlp: Language) -> None:
    doc = nlp(TEXT)
    words = annotate(SpacyParser().parse(documents_of({"d": TEXT}))[0])
    bonds = bonds_of(words, BondConfig())
    expected = bond_records(words, bonds)
    found = doc._.bonds
    assert found
    assert [(doc[b["query"]].text, doc[b["key"]].text, b["kind"], b["rule"]) for b in found] == [
        (each["query"], each["key"], each["kind"], each["rule"]) for each in expected
    ]
    tokens = [token for token in doc if not token.is_space]
    assert len(tokens) < len(doc), "two spaces make a token that is no word"
    assert [doc[b["query"]] for b in found] == [tokens[int(q)] for q in bonds.query]
    assert [doc[b["key"]] for b in found] == [tokens[int(k)] for k in bonds.key]
    assert [t._.features for t in tokens] == [list(names(int(bits))) for bits in words.features]
    assert [" ".join(t._.verb_class) for t in tokens] == words.verb_class.to_list()


def test_tokens_and_spans_have_their_part(nlp: Language) -> None:
    doc = nlp(TEXT)
    assert sorted(map(str, (b for t in doc for b in t._.bonds))) == sorted(map(str, doc._.bonds))
    first, second = (span for span in doc.sents if span.text.strip())  # two spaces may stand alone
    for span in (first, second):
        assert all(span.start <= b[end] < span.end for b in span._.bonds for end in ("query", "key"))
    across = [b for b in doc._.bonds if b["query"] >= second.start > b["key"]]
    assert len(first._.bonds) + len(second._.bonds) + len(across) == len(doc._.bonds)
    assert "human" in doc[0]._.features or "animate" in doc[3]._.features
    assert doc[1]._.verb_class


def test_kinds_are_a_setting(nlp: Language) -> None:
    few = spacy.load(SHIPPED)
    few.add_pipe("valency_bonds", config={"kinds": ["dependency"]})
    assert {b["kind"] for b in few(TEXT)._.bonds} == {"dependency"}


def test_docs_travel_without_a_pickle(nlp: Language, tmp_path: Path) -> None:
    doc = nlp(TEXT)
    DocBin(store_user_data=True, docs=[doc]).to_disk(tmp_path / "docs.spacy")
    (again,) = DocBin().from_disk(tmp_path / "docs.spacy").get_docs(nlp.vocab)
    assert again._.bonds == doc._.bonds
    assert again[0]._.features == doc[0]._.features
    nlp.to_disk(tmp_path / "nlp")
    assert spacy.load(tmp_path / "nlp")(TEXT)._.bonds == doc._.bonds


@pytest.mark.parametrize("text", ["", "  ", "Go", "\u200b", "🙂 👍"])
def test_small_texts(nlp: Language, text: str) -> None:
    doc = nlp(text)
    assert isinstance(doc._.bonds, list)
    assert len([token._.features for token in doc]) == len(doc)


def test_a_doc_without_trees_is_told() -> None:
    blank = spacy.blank("en")
    blank.add_pipe("valency_bonds")
    with pytest.raises(ValueError, match="after a parser"):
        blank("Hello there.")
    doc = spacy.blank("en")("Not seen by the component.")
    assert doc._.bonds == doc[0]._.bonds == doc[0]._.features == []


def test_installed_packages_offer_the_factory() -> None:
    root = Path(__file__).resolve().parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    module, _, name = project["entry-points"]["spacy_factories"]["valency_bonds"].partition(":")
    assert callable(getattr(import_module(module), name))
