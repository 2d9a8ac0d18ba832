"""`valency explain`: a text parsed, bonded and drawn, with nothing left on disk."""

from dataclasses import dataclass
from typing import Any

from pipeline.annotate import annotate
from pipeline.bonds import BondConfig, bonds_of
from pipeline.corpus import Document
from pipeline.draw import arcs_svg
from pipeline.errors import Failure
from pipeline.explain import explain, records
from pipeline.parsers import load_parser


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """A text's words and bonds, in three forms."""

    records: list[dict[str, Any]]
    """One a word, with its bonds."""
    table: str
    svg: str


def explain_text(text: str, model: str | None = None) -> Explained:
    """Parse a text with spaCy (model: by name or folder, None for the shipped one) and find its bonds.

    Errors: ValueError for a text without words; Failure if the parser gives it up.
    """
    if not text.strip():
        raise ValueError("there are no words to explain; give a sentence in quotation marks")
    document = Document(id="text", source="text", split="train", language="en", text=text)
    words, failed = load_parser("spacy", model).parse([document])
    if failed:
        raise Failure(f"the parser could not read this text: {failed[document.id]}")
    words = annotate(words)
    bonds = bonds_of(words, BondConfig())
    return Explained(records=records(words, bonds), table=explain(words, bonds, text), svg=arcs_svg(words, bonds))
