"""From parsed spaCy Docs to the columns of Words: by arrays, and strings once a distinct value."""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from spacy.strings import StringStore
from spacy.tokens import Doc

from pipeline.corpus import Document
from pipeline.parsers.trees import single_rooted, tag_numbers
from pipeline.records import Strings, Words

ATTRIBUTES: list[int | str] = [
    *("ORTH", "LEMMA", "POS", "MORPH", "HEAD", "DEP", "SENT_START", "IS_SPACE", "IDX", "LENGTH"),
]
Scalar = TypeVar("Scalar", bound=np.generic)


class Chunk(NamedTuple):
    """A paragraph to parse: position of its document in the call, its offset there, its text."""

    document: int
    offset: int
    text: str


class Column:
    """Strings gathered over batches as codes; `renamed` holds what spaCy writes otherwise than UD."""

    def __init__(self, strings: StringStore, renamed: dict[str, str] | None = None) -> None:
        self.strings, self.renamed = strings, renamed or {}
        self.place: dict[str, int] = {}
        self.codes: list[NDArray[np.int32]] = []

    def add(self, ids: NDArray[np.uint64]) -> None:
        """ids: uint64 [W], keys of spaCy's string store."""
        distinct, inverse = np.unique(ids, return_inverse=True)
        names = [self.strings[int(each)] for each in distinct]
        self.codes.append(np.asarray([self.code(self.renamed.get(name, name)) for name in names], np.int32)[inverse])

    def code(self, value: str) -> int:
        return self.place.setdefault(value, len(self.place))

    def gathered(self) -> Strings:
        return Strings(joined(self.codes, np.int32), tuple(self.place))


class Rows:
    """The words of a call, gathered batch by batch."""

    def __init__(self, strings: StringStore) -> None:
        self.text, self.lemma, self.upos = Column(strings), Column(strings), Column(strings)
        self.feats = Column(strings, {"_": ""})
        self.relation = Column(strings, {"ROOT": "root", "": "dep"})
        self.count = 0
        self.document: list[NDArray[np.int32]] = []
        self.begins: list[NDArray[np.bool_]] = []
        self.start: list[NDArray[np.int32]] = []
        self.end: list[NDArray[np.int32]] = []
        self.head: list[NDArray[np.int32]] = []

    def add(self, parsed: Sequence[tuple[Chunk, Doc]]) -> None:
        """Append the words of parsed chunks; space tokens fall out, and what hung on one hangs on its head."""
        if not parsed:
            return
        lengths = [len(doc) for _, doc in parsed]
        table = np.concatenate([doc.to_array(ATTRIBUTES).reshape(-1, len(ATTRIBUTES)) for _, doc in parsed])
        orth, lemma, pos, morph, head, dep, sent_start, is_space, idx, length = table.T
        rows = np.arange(len(table))
        begins = sent_start == 1
        begins[np.cumsum([0, *lengths])[:-1][np.asarray(lengths) > 0]] = True
        heads = without_spaces(rows + head.view(np.int64), is_space == 1)
        kept = np.flatnonzero(is_space == 0)
        sentence = np.cumsum(begins)[kept]
        new_row = np.cumsum(is_space == 0) - 1
        new_head, root = single_rooted(np.where(heads == rows, -1, new_row[heads])[kept], sentence)
        start = (np.repeat([chunk.offset for chunk, _ in parsed], lengths) + idx.astype(np.int64))[kept]
        self.text.add(orth[kept])
        self.lemma.add(np.where(lemma == 0, orth, lemma)[kept])
        self.upos.add(pos[kept])
        self.feats.add(morph[kept])
        self.relation.add(dep[kept])
        self._relabel(root)
        self.document.append(np.repeat([chunk.document for chunk, _ in parsed], lengths)[kept].astype(np.int32))
        self.begins.append(np.diff(sentence, prepend=-1) != 0)
        self.start.append(start.astype(np.int32))
        self.end.append((start + length[kept].astype(np.int64)).astype(np.int32))
        self.head.append(np.where(root, -1, new_head + self.count).astype(np.int32))
        self.count += len(kept)

    def _relabel(self, root: NDArray[np.bool_]) -> None:
        """A root is called `root`; what was one and now hangs on another is loosely joined to it."""
        codes, name = self.relation.codes[-1], self.relation.code("root")
        codes[~root & (codes == name)] = self.relation.code("parataxis")
        codes[root] = name

    def words(self, documents: Sequence[Document], failed: dict[str, str]) -> Words:
        """The columns of the documents that did not fail."""
        document, begins = joined(self.document, np.int32), joined(self.begins, np.bool_)
        ok = np.asarray([each.id not in failed for each in documents], dtype=bool)
        kept = np.flatnonzero(ok[document])
        new_row = np.cumsum(ok[document]) - 1
        head = joined(self.head, np.int32)[kept]
        sentence = np.cumsum(begins)[kept]
        document = (np.cumsum(ok) - 1)[document[kept]].astype(np.int32)
        before = sentence[np.searchsorted(document, document, side="left")]
        return Words(
            documents=tuple(each.id for each in documents if each.id not in failed),
            document=document,
            sentence=(sentence - before).astype(np.int32),
            start=joined(self.start, np.int32)[kept],
            end=joined(self.end, np.int32)[kept],
            text=self.text.gathered().take(kept),
            lemma=self.lemma.gathered().take(kept),
            upos=tag_numbers(self.upos.gathered())[kept],
            feats=self.feats.gathered().take(kept),
            head=np.where(head < 0, -1, new_row[head]).astype(np.int32),
            relation=self.relation.gathered().take(kept),
            features=np.zeros(len(kept), np.uint64),
            verb_class=Strings(np.zeros(len(kept), np.int32), ("",)),
        )


def without_spaces(head: NDArray[np.int64], space: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Heads (rows; a root's is its own row) that climb from a space token to its head, until they meet a word."""
    rows = np.arange(len(head))
    while len(low := np.flatnonzero(space[head] & ~space)):
        above = head[head[low]]
        head[low] = np.where(above == head[low], rows[low], above)
    return head


def joined(parts: Sequence[NDArray[Scalar]], dtype: type[Scalar]) -> NDArray[Scalar]:
    return np.concatenate(parts) if parts else np.empty(0, dtype)
