"""The one record that every parser gives and every later stage reads: words as columns, and bonds between them.

Columns, not objects: a million words a second leave no room for one Python object a word.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

KINDS: tuple[str, ...] = ("role", "binding", "dependency", "cohesion", "open", "escape", "blocked")
"""The kinds of bond; a bond's `kind` is a position in this table. `blocked` pairs are those that may not attend."""


@dataclass(frozen=True, slots=True)
class Strings:
    """A column of strings: int32 codes [W] into a tuple of distinct values, so that work is done once per value."""

    code: NDArray[np.int32]
    values: tuple[str, ...]

    @classmethod
    def of(cls, column: Iterable[str]) -> "Strings":
        """Intern a plain column; values stand in the order of first appearance."""
        place: dict[str, int] = {}
        code = [place.setdefault(value, len(place)) for value in column]
        return cls(np.asarray(code, dtype=np.int32), tuple(place))

    def to_list(self) -> list[str]:
        return [self.values[code] for code in self.code]

    def __len__(self) -> int:
        return len(self.code)

    def __getitem__(self, row: int) -> str:
        return self.values[int(self.code[row])]

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "Strings":
        """The chosen rows, over the same values."""
        return Strings(self.code[rows], self.values)

    def isin(self, wanted: Iterable[str]) -> NDArray[np.bool_]:
        """bool [W]: which rows hold one of the wanted values."""
        chosen = set(wanted)
        return np.fromiter(map(chosen.__contains__, self.values), bool, len(self.values))[self.code]


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Syntactic words, document after document, in text order; every column has one entry a word [W]."""

    documents: tuple[str, ...]
    """Ids of the documents that `document` points into."""
    document: NDArray[np.int32]
    """Position in `documents`; never decreasing."""
    sentence: NDArray[np.int32]
    """Index of the sentence in its document, from 0."""
    start: NDArray[np.int32]
    """Character offset in the document where the word begins; a multiword token's words share its span."""
    end: NDArray[np.int32]
    text: Strings
    lemma: Strings
    upos: NDArray[np.uint8]
    """Position in lexicons.upos.UPOS."""
    feats: Strings
    """UD features, `Key=Value|Key=Value`, empty if none."""
    head: NDArray[np.int32]
    """Row (in these columns) of the head, -1 for a root. Heads never leave their sentence."""
    relation: Strings
    """UD relation to the head, subtypes kept (`nsubj:pass`)."""
    features: NDArray[np.uint64]
    """Bits of lexicons.features.FEATURES; 0 until `annotate`."""
    verb_class: Strings
    """VerbNet classes of the lemma joined by spaces; empty until `annotate`, and for what is no verb of VerbNet."""

    def __len__(self) -> int:
        return len(self.document)

    def index(self) -> NDArray[np.int32]:
        """int32 [W]: index of each word in its document, from 0."""
        rows = np.arange(len(self), dtype=np.int32)
        return rows - np.searchsorted(self.document, self.document, side="left").astype(np.int32)

    def sentence_first(self) -> NDArray[np.int32]:
        """int32 [W]: row of the first word of each word's sentence."""
        rows = np.arange(len(self), dtype=np.int32)
        begins = np.ones(len(self), dtype=bool)
        begins[1:] = (np.diff(self.document) != 0) | (np.diff(self.sentence) != 0)
        return np.maximum.accumulate(np.where(begins, rows, 0)).astype(np.int32)

    def with_columns(self, **columns: object) -> "Words":
        return replace(self, **columns)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bonds:
    """Typed pairs of words, one entry a bond [E], sorted by query, then key, then kind; no triple twice."""

    query: NDArray[np.int32]
    """Row (in the Words they were made from) of the word that may attend."""
    key: NDArray[np.int32]
    """Row of the word that may be attended to."""
    kind: NDArray[np.uint8]
    """Position in KINDS."""
    rule: Strings
    """What made the bond, in words that name the lexicon entry: `give-13.1 Recipient [+animate | +organization]`."""

    def __len__(self) -> int:
        return len(self.query)


def concatenate_words(parts: Sequence[Words]) -> Words:
    """Join words of different documents, in the order given; heads and document positions are moved along."""
    if not parts:
        return no_words()
    documents = tuple(name for part in parts for name in part.documents)
    rows_before = np.cumsum([0, *(len(part) for part in parts[:-1])])
    documents_before = np.cumsum([0, *(len(part.documents) for part in parts[:-1])])
    columns: dict[str, object] = {"documents": documents}
    for name in (field.name for field in fields(Words) if field.name != "documents"):
        values = [getattr(part, name) for part in parts]
        if isinstance(values[0], Strings):
            columns[name] = concatenate_strings(values)
        elif name == "head":
            moved = [np.where(head >= 0, head + before, -1) for head, before in zip(values, rows_before, strict=True)]
            columns[name] = np.concatenate(moved).astype(np.int32)
        elif name == "document":
            moved = [value + before for value, before in zip(values, documents_before, strict=True)]
            columns[name] = np.concatenate(moved).astype(np.int32)
        else:
            columns[name] = np.concatenate(values)
    return Words(**columns)  # type: ignore[arg-type]


def concatenate_strings(parts: Sequence[Strings]) -> Strings:
    """Join columns that may have different values; a value keeps the code of its first appearance."""
    place: dict[str, int] = {}
    codes = []
    for part in parts:
        moved = np.asarray([place.setdefault(value, len(place)) for value in part.values], dtype=np.int32)
        codes.append(moved[part.code] if len(part) else np.empty(0, np.int32))
    return Strings(np.concatenate(codes) if codes else np.empty(0, np.int32), tuple(place))


def no_words() -> Words:
    """Words of no document."""
    none, nothing = np.empty(0, np.int32), Strings(np.empty(0, np.int32), ())
    return Words(
        documents=(), document=none, sentence=none, start=none, end=none, text=nothing, lemma=nothing,
        upos=np.empty(0, np.uint8), feats=nothing, head=none, relation=nothing,
        features=np.empty(0, np.uint64), verb_class=nothing,
    )  # fmt: skip


def distinct(code: NDArray[np.integer], size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """np.unique(code, return_inverse=True) for codes in 0 … size − 1, by counting: O(E + size)."""
    present = np.zeros(size, dtype=bool)
    present[code] = True
    return np.flatnonzero(present), (np.cumsum(present) - 1)[code]
