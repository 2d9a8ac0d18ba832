"""The pairs of words that attention is held against: bonds of held-out documents, and controls drawn for each row.

In a causal model the later word of a bond looks back at the earlier, whichever way the bond points; bonds are turned
so first. What reaches out of a row can be seen by nobody and is left out before any control is drawn, so that a control
that keeps queries has exactly those of the bonds: early words divide their attention among few, and weigh the most.

    random-keys     each query keeps its number of pairs, with earlier words drawn from the sentence of the true key
    same-distances  the distances of a kind are dealt out anew in the row, each query keeps its number of pairs
    other-sentence  the bonds of another sentence of the row, about as long; queries are others
    permuted-tags   word types of the document exchange tags before bonds are made; queries are others
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from flows.report.sentence import cut
from model.evaluate.overlap import Pairs, in_row, pairs_of_bonds
from pipeline.bonds import BondConfig, bonds_of
from pipeline.bonds.pairs import merge
from pipeline.cache import Cache
from pipeline.cache.digest import shard_of
from pipeline.cache.read import read_bonds, read_documents_of, read_words
from pipeline.controls.distances import same_distances
from pipeline.controls.draws import with_keys
from pipeline.controls.sentences import other_sentence
from pipeline.controls.tags import permuted_tags
from pipeline.pieces import Tokenizer
from pipeline.records import KINDS, Bonds, Words, no_words

CONTROLS = ("random-keys", "same-distances", "other-sentence", "permuted-tags")
SOURCES = ("bonds", *CONTROLS)
ALL = "all kinds"

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Bonded:
    """One document: its text, its words, its bonds and those of permuted tags, all looking back."""

    text: str
    words: Words
    bonds: Bonds
    permuted: Bonds


def read_bonded(cache: Cache, wanted: Sequence[str], config: BondConfig, seed: int) -> dict[str, Bonded]:
    """Documents of the cache by id; config: the settings of its bonds."""
    missing, found = set(wanted), dict[str, Bonded]()
    for shard in sorted({shard_of(name, cache.shards) for name in wanted}):
        texts = {each.id: each.text for each in read_documents_of(cache, shard) if each.id in missing}
        for words, bonds in zip(read_words(cache, shard), read_bonds(cache, shard), strict=True):
            for name, theirs, their_bonds in _documents(words, bonds, missing):
                permuted = bonds_of(permuted_tags(theirs, seed), config)
                found[name] = Bonded(texts[name], theirs, looking_back(their_bonds), looking_back(permuted))
        for name in texts.keys() - found.keys():  # a document without words left no row
            nothing = bonds_of(no_words(), config)
            found[name] = Bonded(texts[name], no_words(), nothing, nothing)
    return found


def _documents(words: Words, bonds: Bonds, wanted: set[str]) -> Iterator[tuple[str, Words, Bonds]]:
    for number, name in enumerate(words.documents):
        first, stop = np.searchsorted(words.document, [number, number + 1]).tolist()
        if name in wanted and stop > first:
            yield name, *cut(words, bonds, first, stop)


def looking_back(bonds: Bonds) -> Bonds:
    """The same pairs, each once a kind, the later word as the query."""
    query, key = np.maximum(bonds.query, bonds.key), np.minimum(bonds.query, bonds.key)
    return with_keys(bonds, query.astype(np.int64), key.astype(np.int64))


def pairs_of_row(document: Bonded, first: int, stop: int, kinds: Sequence[str], seed: int) -> Mapping[str, list[Pairs]]:
    """By kind, and for all of them together, the pairs of SOURCES among the words [first, stop), counted from first."""
    words, bonds = cut(document.words, document.bonds, first, stop)
    numbers = {kind: [KINDS.index(kind)] for kind in kinds} | {ALL: [KINDS.index(kind) for kind in kinds]}
    return {
        kind: [
            *(_pairs(each) for each in _drawn(words, of_kinds(bonds, codes), seed)),
            in_row(_pairs(of_kinds(document.permuted, codes)), first, stop),
        ]
        for kind, codes in numbers.items()
    }


def of_kinds(bonds: Bonds, kinds: Sequence[int]) -> Bonds:
    """The pairs that bonds of these kinds join, each once, whatever kinds join it: its controls are as many."""
    kept = np.isin(bonds.kind, kinds)
    one = np.zeros(int(kept.sum()), np.uint8)
    return merge([Bonds(query=bonds.query[kept], key=bonds.key[kept], kind=one, rule=bonds.rule.take(kept))])


def _drawn(words: Words, bonds: Bonds, seed: int) -> list[Bonds]:
    """The bonds and the controls that are drawn of them, in the order of SOURCES."""
    made = (earlier_keys, same_distances, other_sentence)
    return [bonds, *(control(words, bonds, seed) for control in made)]


def _pairs(bonds: Bonds) -> Pairs:
    return pairs_of_bonds(bonds.query, bonds.key)


def earlier_keys(words: Words, bonds: Bonds, seed: int) -> Bonds:
    """Each query keeps its number of bonds of each kind into each sentence, to other words of it that stand before the
    query; none twice. bonds: looking back."""
    first = words.sentence_first().astype(np.int64)
    ends = np.searchsorted(first, first, side="right")
    groups: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    query, key = bonds.query.astype(np.int64), bonds.key.astype(np.int64)
    for bond, (q, kind, begin) in enumerate(
        zip(query.tolist(), bonds.kind.tolist(), first[bonds.key].tolist(), strict=True)
    ):
        groups[q, kind, begin].append(bond)
    name = words.documents[words.document[0]] if len(words) else ""
    random = np.random.default_rng([seed, int.from_bytes(blake2b(name.encode(), digest_size=8).digest())])
    drawn = key.copy()
    for (q, _, begin), members in groups.items():
        drawn[members] = begin + random.choice(min(int(ends[begin]), q) - begin, size=len(members), replace=False)
    return with_keys(bonds, query, drawn)


def words_of_pieces(tokenizer: Tokenizer, text: str, words: Words) -> Rows:
    """int64 [N]: the last of the parser's words with a character in each piece of a document; -1 for none."""
    _, begin, end = tokenizer.document_spans(text)
    if not len(words):
        return np.full(len(begin), -1)
    last = np.searchsorted(words.start, end) - 1
    inside = (last >= 0) & (begin < end) & (np.maximum.accumulate(words.end)[last] > begin)
    return np.where(inside, last, -1)
