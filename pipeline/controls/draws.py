"""Draws by place: from the seed, the document's id and the index of the word in it, whatever stands beside it."""

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from pipeline.bonds.pairs import merge, run_start
from pipeline.chance import draws
from pipeline.records import KINDS, Bonds, Words

Rows = NDArray[np.int64]


def word_draws(words: Words, seed: int, row: NDArray[np.integer], *place: Rows | int) -> NDArray[np.uint64]:
    """uint64 [E]: a number for each row, and for each further place (a column [E] or a number)."""
    said = (blake2b(f"{seed}\0{name}".encode("utf-8", "surrogatepass"), digest_size=8) for name in words.documents)
    document = np.array([int.from_bytes(each.digest(), "little") for each in said], np.uint64)
    columns = [np.broadcast_to(np.asarray(each, np.int64), row.shape) for each in (words.index()[row], *place)]
    return draws(document[words.document[row]], *columns)


def ordinal(query: NDArray[np.integer], kind: NDArray[np.integer]) -> Rows:
    """int64 [E]: how many bonds of the same query and kind stand before each, in the order of keys."""
    group = query.astype(np.int64) * len(KINDS) + kind
    order = np.argsort(group, kind="stable")
    number = np.empty(len(order), np.int64)
    number[order] = np.arange(len(order)) - run_start(group[order])
    return number


def repeated(query: Rows, key: Rows, kind: NDArray[np.integer], since: Rows) -> Rows:
    """Rows whose triple an earlier row has, or one that was settled earlier."""
    order = np.lexsort((since, kind, key, query))
    same = np.ones(len(order), bool)
    for column in (query, key, kind):
        same[1:] &= np.diff(column[order].astype(np.int64)) == 0
    same[:1] = False
    return np.sort(order[same])


def with_keys(bonds: Bonds, query: Rows, key: Rows) -> Bonds:
    """The same kinds and rules between other words, sorted."""
    return merge([Bonds(query=query.astype(np.int32), key=key.astype(np.int32), kind=bonds.kind, rule=bonds.rule)])
