"""From Stanza's words to the columns of Words."""

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from pipeline.parsers.trees import single_rooted, tag_numbers
from pipeline.records import Strings, Words, no_words


class Row(NamedTuple):
    """One word, its place in its sentence from 0 (a 0 begins a sentence), its head's place there (-1: a root)."""

    number: int
    start: int
    end: int
    text: str
    lemma: str
    upos: str
    feats: str
    head: int
    relation: str


def words_of_rows(documents: Sequence[tuple[str, Sequence[Row]]]) -> Words:
    """Columns of the documents, given as (id, words). Roots are called `root`, and no other word is."""
    rows = [row for _, document in documents for row in document]
    if not documents:
        return no_words()
    number = np.asarray([row.number for row in rows], np.int64)
    place = np.arange(len(rows))
    sentence = np.cumsum(number == 0)
    head = np.asarray([row.head for row in rows], np.int64)
    heads, root = single_rooted(np.where(head < 0, -1, place - number + head), sentence)
    told = Strings.of(row.relation for row in rows)
    loose = told.isin(["root"]) & ~root  # a second root: loosely joined to the first
    relation = ["root" if is_root else "parataxis" if joined else name
                for name, is_root, joined in zip(told.to_list(), root, loose, strict=True)]  # fmt: skip
    lengths = [len(document) for _, document in documents]
    before = [int(sentence[first - 1]) if first else 0 for first in accumulate([0, *lengths[:-1]])]
    return Words(
        documents=tuple(name for name, _ in documents),
        document=np.repeat(np.arange(len(documents), dtype=np.int32), lengths),
        sentence=(sentence - 1 - np.repeat(np.asarray(before, np.int64), lengths)).astype(np.int32),
        start=np.asarray([row.start for row in rows], np.int32),
        end=np.asarray([row.end for row in rows], np.int32),
        text=Strings.of(row.text for row in rows),
        lemma=Strings.of(row.lemma for row in rows),
        upos=tag_numbers(Strings.of(row.upos for row in rows)),
        feats=Strings.of(row.feats for row in rows),
        head=heads,
        relation=Strings.of(relation),
        features=np.zeros(len(rows), np.uint64),
        verb_class=Strings(np.zeros(len(rows), np.int32), ("",)),
    )
