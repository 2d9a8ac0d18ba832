"""Valency inside spaCy: `nlp.add_pipe("valency_bonds", last=True)` puts features and bonds on every Doc.

| extension | what it holds |
|---|---|
| `Doc._.bonds`, `Span._.bonds` | one record a bond: `query`, `key` (token indices in the Doc), `kind`, `rule` |
| `Token._.bonds` | the records whose query the token is |
| `Token._.features` | names of its semantic and agreement features |
| `Token._.verb_class` | VerbNet's classes of a verb |

The pipeline needs a tagger with UPOS, a lemmatizer and a dependency parser with UD's relations; the one that ships with
Valency has them. A Doc keeps plain lists, strings and numbers in `user_data`, so it goes through `to_bytes`, `DocBin`
and other processes without a pickle of ours, and an installed package is enough to read it.
"""

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language
from spacy.tokens import Doc, Span, Token

from lexicons.features import names
from pipeline.annotate import annotate
from pipeline.bonds import BondConfig, bonds_of
from pipeline.corpus import Document
from pipeline.parsers.spacy_columns import Chunk, Rows
from pipeline.records import KINDS, Words


class Bond(TypedDict):
    """Token `query` may attend to token `key`; `rule` says why, in words that name the lexicon entry."""

    query: int
    key: int
    kind: str
    rule: str


BONDS, FEATURES, CLASSES = "valency_bonds", "valency_features", "valency_classes"
"""Keys of `Doc.user_data`: list of [query, key, kind, rule]; list of names a token; list of classes a token."""


@Language.factory(
    "valency_bonds",
    default_config={"kinds": list(BondConfig().kinds)},
    requires=["token.pos", "token.lemma", "token.dep", "token.head"],
)
def make_valency_bonds(nlp: Language, name: str, kinds: list[str]) -> "ValencyBonds":
    """What `nlp.add_pipe("valency_bonds", config={"kinds": […]})` calls."""
    return ValencyBonds(BondConfig(kinds=tuple(kinds)))


class ValencyBonds:
    """The component: holds the bonds' settings, and no weights."""

    def __init__(self, config: BondConfig | None = None) -> None:
        self.config = config or BondConfig()
        register_extensions()

    def __call__(self, doc: Doc) -> Doc:
        """The same Doc with its extensions filled. Errors: ValueError for a Doc that was not parsed."""
        if len(doc) and not doc.has_annotation("DEP"):
            raise ValueError(
                'valency_bonds needs a parsed Doc; add it after a parser: nlp.add_pipe("valency_bonds", last=True)'
            )
        words, token = words_of_doc(doc)
        bonds = bonds_of(words, self.config)
        kinds = [KINDS[kind] for kind in bonds.kind.tolist()]
        pairs = zip(token[bonds.query].tolist(), token[bonds.key].tolist(), kinds, bonds.rule.to_list(), strict=True)
        features: list[list[str]] = [[] for _ in doc]
        classes: list[list[str]] = [[] for _ in doc]
        for row, place in enumerate(token.tolist()):
            features[place] = list(names(int(words.features[row])))
            classes[place] = words.verb_class[row].split()
        doc.user_data |= {BONDS: [list(pair) for pair in pairs], FEATURES: features, CLASSES: classes}
        return doc


def words_of_doc(doc: Doc) -> tuple[Words, NDArray[np.int64]]:
    """The Doc's annotated words, and int64 [W]: the token of each (space tokens are no words)."""
    rows = Rows(doc.vocab.strings)
    rows.add([(Chunk(0, 0, doc.text), doc)])
    whole = Document(id="doc", source="", split="train", language=doc.lang_, text=doc.text)
    words = annotate(rows.words([whole], {}))
    return words, np.flatnonzero([not token.is_space for token in doc])


def register_extensions() -> None:
    """Say what `._.` means; done again it changes nothing, and an extension of these names by others is replaced."""
    Doc.set_extension("bonds", getter=_doc_bonds, force=True)
    Span.set_extension("bonds", getter=_span_bonds, force=True)
    Token.set_extension("bonds", getter=_token_bonds, force=True)
    Token.set_extension("features", getter=lambda token: _of_token(token, FEATURES), force=True)
    Token.set_extension("verb_class", getter=lambda token: _of_token(token, CLASSES), force=True)


def _doc_bonds(doc: Doc) -> list[Bond]:
    """All bonds, by query, key and kind; none before the component ran."""
    return [Bond(query=q, key=k, kind=kind, rule=rule) for q, k, kind, rule in doc.user_data.get(BONDS, [])]


def _span_bonds(span: Span) -> list[Bond]:
    """The bonds between two tokens of the span."""
    inside = range(span.start, span.end)
    return [bond for bond in _doc_bonds(span.doc) if bond["query"] in inside and bond["key"] in inside]


def _token_bonds(token: Token) -> list[Bond]:
    return [bond for bond in _doc_bonds(token.doc) if bond["query"] == token.i]


def _of_token(token: Token, key: str) -> list[str]:
    found: list[list[str]] = token.doc.user_data.get(key, [])
    return list(found[token.i]) if found else []
