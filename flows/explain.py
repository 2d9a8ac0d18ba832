"""`valency explain`: a text parsed, bonded and drawn, with nothing left on disk."""

from dataclasses import dataclass, fields
from typing import Any

import jinja2
import numpy as np

from pipeline.annotate import annotate
from pipeline.bonds import BondConfig, bonds_of
from pipeline.bonds.modes import MODES, mode_config
from pipeline.corpus import Document
from pipeline.draw import arcs_svg
from pipeline.errors import Failure
from pipeline.explain import explain, records
from pipeline.matrix import LARGEST, matrix_svg
from pipeline.parsers import load_parser
from pipeline.records import Bonds, Strings, Words
from pipeline.why import why


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """A text's words and bonds, in three forms."""

    records: list[dict[str, Any]]
    """One a word, with its bonds."""
    table: str
    svg: str
    why: list[str]
    """Why one word may attend another or not; empty if nobody asked."""
    sentences: list[str]
    """A picture of each sentence."""
    matrix: str

    def page(self) -> str:
        """All of it as one HTML page that loads nothing."""
        templates = jinja2.Environment(
            loader=jinja2.PackageLoader("flows", "."), autoescape=True, undefined=jinja2.StrictUndefined
        )
        shown: str = templates.get_template("explain.html").render(explained=self)
        return shown


def explain_text(
    text: str, model: str | None = None, pair: tuple[int, int] | None = None, mode: str | None = None
) -> Explained:
    """Parse a text with spaCy (model: by name or folder, None for the shipped one) and find its bonds.

    pair: two words, counted from 1 as the table counts them, to say why the first may attend the second or not.
    mode: a name in pipeline.bonds.modes, None for the bonds that ship; `causal` is parsed left to right by `prefix`.
    Errors: ValueError for a text without words, a pair that it has not, or what is no mode; Failure if the parser
    gives it up.
    """
    config = mode_config(mode) if mode else BondConfig()
    if not text.strip():
        raise ValueError("there are no words to explain; give a sentence in quotation marks")
    document = Document(id="text", source="text", split="train", language="en", text=text)
    parser = "prefix" if mode and MODES[mode].causal else "spacy"
    words, failed = load_parser(parser, model).parse([document])
    if failed:
        raise Failure(f"the parser could not read this text: {failed[document.id]}")
    words = annotate(words)
    bonds = bonds_of(words, config)
    return Explained(
        records=records(words, bonds),
        table=explain(words, bonds, text),
        svg=arcs_svg(words, bonds),
        why=why(words, bonds, pair[0] - 1, pair[1] - 1, config) if pair else [],
        sentences=[arcs_svg(*part) for part in _sentences(words, bonds)],
        matrix=matrix_svg(words, bonds) if len(words) <= LARGEST else "",
    )


def _sentences(words: Words, bonds: Bonds) -> list[tuple[Words, Bonds]]:
    """Each sentence by itself, with the bonds inside it."""
    parts = []
    for number in np.unique(words.sentence).tolist():
        rows = np.flatnonzero(words.sentence == number)
        first = int(rows[0])
        inside = np.flatnonzero(np.isin(bonds.query, rows) & np.isin(bonds.key, rows))
        mine = Bonds(
            query=bonds.query[inside] - np.int32(first),
            key=bonds.key[inside] - np.int32(first),
            kind=bonds.kind[inside],
            rule=bonds.rule.take(inside),
        )
        columns: dict[str, Any] = {}
        for name in (field.name for field in fields(Words) if field.name != "documents"):
            value = getattr(words, name)
            columns[name] = value.take(rows) if isinstance(value, Strings) else value[rows]
        columns["head"] = np.where(columns["head"] >= 0, columns["head"] - first, -1).astype(np.int32)
        parts.append((words.with_columns(**columns), mine))
    return parts
