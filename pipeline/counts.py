"""What the stats layer holds: bonds counted by document, sentence, span, tags, rule, degree and role."""

from collections.abc import Iterable, Mapping
from functools import cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lexicons.upos import UPOS
from lexicons.verbnet import class_frames
from pipeline.cache.schema import STATS
from pipeline.cache.tables import Ints, sentences
from pipeline.records import KINDS, Bonds, Words

Bin = tuple[str, str, int, str, str, str]
"""measure, kind, value, query tag, key tag, rule; what the measure does not use is 0 or empty."""


class ShardCounts:
    """Adds up the row groups of a shard."""

    def __init__(self) -> None:
        self.kinds: NDArray[np.int64] = np.zeros(len(KINDS), np.int64)
        """Bonds of each kind."""
        self._histogram: dict[Bin, int] = {}
        self._sentences: list[pa.Table] = []
        self._documents: dict[str, list[int]] = {}
        """By id: sentences, words, bonds of each kind."""

    def add(self, words: Words, bonds: Bonds) -> None:
        """Count one row group: whole documents and their bonds."""
        begin, sizes = sentences(words)
        home = np.repeat(np.arange(len(begin), dtype=np.int32), sizes)
        by_sentence = count_pairs(home[bonds.query], bonds.kind, (len(begin), len(KINDS)))  # [S, K]
        self.kinds += by_sentence.sum(axis=0)
        document = words.document[begin]
        self._add_sentences(words, document, begin, sizes, by_sentence)
        self._add_documents(words, document, sizes, by_sentence)
        self._add_spans(words, bonds, home)
        self._add_tags(words, bonds)
        self._add_degrees(len(words), bonds)
        self._add_rules(bonds)
        self._add_roles(words, bonds)

    def tables(self, documents: Iterable[Mapping[str, object]], failed: Mapping[str, str]) -> dict[str, pa.Table]:
        """The shard's tables by name. documents: rows of the documents layer; failed: the parser's quarantine."""
        rows = [self._document_row(row, failed) for row in documents]
        counts = [
            dict(zip(STATS["counts"].names, (*bin_, count), strict=True))
            for bin_, count in sorted(self._histogram.items())
        ]
        return {
            "documents": pa.Table.from_pylist(rows, schema=STATS["documents"]),
            "sentences": pa.concat_tables(self._sentences or [STATS["sentences"].empty_table()]),
            "counts": pa.Table.from_pylist(counts, schema=STATS["counts"]),
        }

    def _document_row(self, row: Mapping[str, object], failed: Mapping[str, str]) -> dict[str, object]:
        name = str(row["id"])
        about = {key: row[key] for key in ("source", "split", "language", "characters", "bytes")}
        reason = failed.get(name, row["reason"])
        counted = self._documents.get(name, [0] * (2 + len(KINDS)))
        status = {"status": "quarantined" if reason else "ok", "reason": reason}
        return {"document": name, **about, **status, **dict(zip(("sentences", "words", *KINDS), counted, strict=True))}

    def _add_sentences(
        self, words: Words, document: Ints, begin: Ints, sizes: Ints, by_sentence: NDArray[np.int64]
    ) -> None:
        names = pa.DictionaryArray.from_arrays(pa.array(document), pa.array(words.documents, pa.string()))
        columns = {"document": names.cast(pa.string()), "sentence": words.sentence[begin], "words": sizes}
        kinds = {kind: by_sentence[:, place].astype(np.int32) for place, kind in enumerate(KINDS)}
        self._sentences.append(pa.table({**columns, **kinds}, schema=STATS["sentences"]))

    def _add_documents(self, words: Words, document: Ints, sizes: Ints, by_sentence: NDArray[np.int64]) -> None:
        table = np.column_stack([np.ones(len(sizes), np.int64), sizes, by_sentence])
        total = np.zeros((len(words.documents), table.shape[1]), np.int64)
        np.add.at(total, document, table)
        self._documents.update(zip(words.documents, total.tolist(), strict=True))

    def _add_spans(self, words: Words, bonds: Bonds, home: Ints) -> None:
        span = bonds.query - bonds.key
        reach = home[bonds.query] - home[bonds.key]
        for measure, value in (("span", span), ("reach", reach)):
            for kind, number, count in tally(bonds.kind, value):
                self._count((measure, KINDS[kind], number, "", "", ""), count)

    def _add_tags(self, words: Words, bonds: Bonds) -> None:
        tags = words.upos[bonds.query].astype(np.int64) * len(UPOS) + words.upos[bonds.key]
        for kind, pair, count in tally(bonds.kind, tags):
            query, key = divmod(pair, len(UPOS))
            self._count(("tags", KINDS[kind], 0, UPOS[query], UPOS[key], ""), count)

    def _add_degrees(self, size: int, bonds: Bonds) -> None:
        ends, kind = np.concatenate([bonds.query, bonds.key]), np.concatenate([bonds.kind, bonds.kind])
        by_word = count_pairs(ends, kind, (size, len(KINDS)))
        columns = {name: by_word[:, place] for place, name in enumerate(KINDS)} | {"any": by_word.sum(axis=1)}
        for name, degrees in columns.items():
            for degree, count in enumerate(np.bincount(degrees).tolist()):
                if count and (degree or name == "any"):
                    self._count(("degree", name, degree, "", "", ""), count)

    def _add_rules(self, bonds: Bonds) -> None:
        for kind, rule, count in tally(bonds.kind, bonds.rule.code):
            self._count(("rule", KINDS[kind], 0, "", "", bonds.rule.values[rule]), count)

    def _add_roles(self, words: Words, bonds: Bonds) -> None:
        """Verbs by lemma, and bonds of every role that VerbNet grants them; roles that nothing fills count 0."""
        verb = np.flatnonzero(words.verb_class.code != _code("", words.verb_class.values))
        width = len(words.verb_class.values)
        pair, count = np.unique(words.lemma.code[verb].astype(np.int64) * width + words.verb_class.code[verb],
                                return_counts=True)  # fmt: skip
        for lemma, classes, number in zip(
            (pair // width).tolist(), (pair % width).tolist(), count.tolist(), strict=True
        ):
            name = words.lemma.values[lemma]
            self._count(("verb", "role", 0, "", "", name), number)
            for role in roles_of(words.verb_class.values[classes]):
                self._count(("filled", "role", 0, "", role, name), 0)
        is_role = np.flatnonzero(bonds.kind == KINDS.index("role"))
        roles = [
            rule.split(" ")[1] if " " in rule else rule for rule in bonds.rule.values
        ]  # "give-13.1 Agent [+animate]"
        lemma_code = words.lemma.code[bonds.query[is_role]].astype(np.int64)
        pair, count = np.unique(lemma_code * (len(roles) + 1) + bonds.rule.code[is_role], return_counts=True)
        for both, number in zip(pair.tolist(), count.tolist(), strict=True):
            lemma, rule = divmod(both, len(roles) + 1)
            self._count(("filled", "role", 0, "", roles[rule], words.lemma.values[lemma]), number)

    def _count(self, bin_: Bin, count: int) -> None:
        self._histogram[bin_] = self._histogram.get(bin_, 0) + count


@cache
def roles_of(classes: str) -> tuple[str, ...]:
    """The roles that the frames of VerbNet classes (names with spaces between) grant, sorted."""
    frames = (frame for name in classes.split() for frame in class_frames(name))
    return tuple(sorted({slot.role for frame in frames for slot in frame.slots}))


def _code(value: str, values: tuple[str, ...]) -> int:
    return values.index(value) if value in values else -1


def count_pairs(row: NDArray[np.int32], column: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.int64]:
    """int64 of the shape: how often each (row, column) occurs."""
    flat = row.astype(np.int64) * shape[1] + column
    return np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape)


def tally(kind: NDArray[np.uint8], value: NDArray[np.int64] | Ints) -> list[tuple[int, int, int]]:
    """(kind, value, count) of every pair that occurs, sorted. Cost: one sort of the bonds."""
    if not len(kind):
        return []
    low = int(value.min())
    width = int(value.max()) - low + 1
    packed, count = np.unique(kind.astype(np.int64) * width + (value.astype(np.int64) - low), return_counts=True)
    return [(int(each) // width, int(each) % width + low, int(n)) for each, n in zip(packed, count, strict=True)]
