"""The sentence that a report draws: chosen from the cache by its bonds, not by hand."""

from collections.abc import Iterator

import numpy as np

from pipeline.cache import Cache
from pipeline.cache.read import read_bonds, read_documents_of, read_words
from pipeline.draw import arcs_svg
from pipeline.explain import bond_records
from pipeline.records import KINDS, Bonds, Words

SHORTEST, LONGEST = 9, 16
"""Words of a sentence worth drawing: enough for bonds of several kinds, few enough to read."""
ENOUGH_SHARDS = 4
"""Shards that are looked through, if any of them holds such a sentence."""


def sentence_of(cache: Cache) -> dict[str, object]:
    """A sentence with bonds of many kinds: its `document`, `text`, `arcs` (SVG) and `bonds` (records, without arcs)."""
    words, bonds = best_sentence(cache)
    name = words.documents[words.document[0]]
    every = (document for shard in range(cache.shards) for document in read_documents_of(cache, shard))
    text = next(document.text for document in every if document.id == name)
    return {
        "document": name,
        "text": " ".join(text[words.start.min() : words.end.max()].split()),
        "arcs": arcs_svg(words, bonds),
        "bonds": [bond for bond in bond_records(words, bonds) if bond["kind"] != "dependency"],
    }


def best_sentence(cache: Cache) -> tuple[Words, Bonds]:
    """The sentence with bonds of the most kinds, then with the most roles; the first of equals."""
    best: tuple[tuple[int, int], Words, Bonds] | None = None
    for shard in range(cache.shards):
        if best and shard >= ENOUGH_SHARDS:
            break
        for words, bonds in zip(read_words(cache, shard), read_bonds(cache, shard), strict=True):
            for first, last in _spans(words):
                inside = _inside(bonds, first, last)
                worth = (len(np.unique(bonds.kind[inside])), int((bonds.kind[inside] == KINDS.index("role")).sum()))
                if best is None or worth > best[0]:
                    best = (worth, *cut(words, bonds, first, last))
    if best is None:
        raise ValueError(f"no sentence of {SHORTEST} to {LONGEST} words in {cache.folder}; give it more text")
    return best[1], best[2]


def cut(words: Words, bonds: Bonds, first: int, last: int) -> tuple[Words, Bonds]:
    """Rows first to last (not included) alone, and the bonds between them; the rows must be whole sentences."""
    rows = np.arange(first, last)
    inside = _inside(bonds, first, last)
    names = ("text", "lemma", "feats", "relation", "verb_class")
    strings = {name: getattr(words, name).take(rows) for name in names}
    numbers = {
        name: getattr(words, name)[rows] for name in ("document", "sentence", "start", "end", "upos", "features")
    }
    head = np.where(words.head[rows] >= 0, words.head[rows] - first, -1).astype(np.int32)
    some = words.with_columns(**strings, **numbers, head=head)
    moved = Bonds(
        query=bonds.query[inside] - np.int32(first),
        key=bonds.key[inside] - np.int32(first),
        kind=bonds.kind[inside],
        rule=bonds.rule.take(inside),
    )
    return some, moved


def _inside(bonds: Bonds, first: int, last: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    within = (bonds.query >= first) & (bonds.query < last) & (bonds.key >= first) & (bonds.key < last)
    return np.asarray(within)


def _spans(words: Words) -> Iterator[tuple[int, int]]:
    """(first, last) rows of the sentences whose length is right and that end as sentences do."""
    begins = np.append(np.unique(words.sentence_first()), len(words))
    for first, last in zip(begins[:-1].tolist(), begins[1:].tolist(), strict=True):
        if SHORTEST <= last - first <= LONGEST and words.text[last - 1] in (".", "!", "?"):
            yield first, last
