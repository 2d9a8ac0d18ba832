"""Brackets and quotation marks that are still open: what has begun and waits for its other half.

Typed marks are matched by depth, each type for itself and per document; one that closes nothing changes nothing. The
straight quotation mark opens and closes by turns, anew in each paragraph, as printers have it. Nothing after a mark
decides whether it opens.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.bonds.pairs import run_start
from pipeline.records import Words

Rows = NDArray[np.int64]

PAIRS: tuple[tuple[str, str], ...] = (
    *(("(", ")"), ("[", "]"), ("{", "}"), ("-LRB-", "-RRB-")),
    *(("“", "”"), ("‘", "’"), ("``", "''"), ("«", "»"), ("„", "“")),
)
BRACKETS = 4
"""The first of PAIRS are brackets, the others quotation marks."""
STRAIGHT = '"'
FARTHEST = 256
"""Most words from an opening mark to a query."""
BREAK = 2
"""Characters between two words over which a line, and so a paragraph, ends."""


def openers(words: Words, reach: int) -> tuple[Rows, Rows, Rows]:
    """(row of the mark, last row at which it is open, 0 for a bracket or 1 for a quotation) of each opening mark.

    It is open up to and with its other half, or for `reach` sentences after its own, FARTHEST words at most. Sorted by
    row. O(W + marks · log marks).
    """
    row, end, quotation = (np.concatenate(parts) for parts in zip(_typed(words), _straight(words), strict=True))
    order = np.argsort(row, kind="stable")
    row, end, quotation = row[order], end[order], quotation[order]
    begins = np.flatnonzero(words.sentence_first() == np.arange(len(words)))
    ends = np.append(begins[1:], len(words)) - 1
    sentence = np.minimum(np.searchsorted(begins, row, side="right") - 1 + reach, len(begins) - 1)
    document = np.searchsorted(words.document, words.document[row], side="right") - 1
    bounds = (row + FARTHEST, ends[sentence] if len(ends) else row, document)
    return row, np.minimum.reduce([end, *bounds]), quotation


def _typed(words: Words) -> tuple[Rows, Rows, Rows]:
    """Brackets and quotation marks of which one form opens and another closes."""
    size = len(words)
    rows, kinds, steps = [], [], []
    for number_of_pair, pair in enumerate(PAIRS):
        for form, sign in zip(pair, (1, -1), strict=True):
            found = np.flatnonzero(words.text.isin([form]))
            rows.append(found)
            kinds.append(np.full(len(found), number_of_pair))
            steps.append(np.full(len(found), sign))
    row, kind, step = (np.concatenate(each) for each in (rows, kinds, steps))
    order = np.lexsort((row, words.document[row], kind))
    row, kind, step = row[order], kind[order], step[order]
    group = kind * (int(words.document.max(initial=0)) + 1) + words.document[row]
    number = np.cumsum(np.append(False, group[1:] != group[:-1])[: len(row)])
    total = np.cumsum(step)
    begin = run_start(number)
    total -= (total - step)[begin] if len(row) else total
    # marks that close nothing lower the ground: depth is counted from the lowest point so far, group by group
    ground = np.minimum.accumulate(np.minimum(total, 0) - number * (size + 1)) + number * (size + 1)
    depth = total - ground
    before = np.where(np.arange(len(row)) == begin, 0, np.append(0, depth[:-1])[: len(row)])
    level = np.where(step > 0, depth, before)  # of a mark and of its other half; 0: it closes nothing
    order = np.lexsort((row, level, number))
    same = (number[order[1:]] == number[order[:-1]]) & (level[order[1:]] == level[order[:-1]])
    follower = np.full(len(row), size)
    follower[order[:-1][same]] = row[order[1:][same]]
    opens = step > 0
    return row[opens], follower[opens], (kind[opens] >= BRACKETS).astype(np.int64)


def _straight(words: Words) -> tuple[Rows, Rows, Rows]:
    """Straight quotation marks: every other one of a paragraph opens."""
    row = np.flatnonzero(words.text.isin([STRAIGHT]))
    paragraph = paragraphs(words)
    place = np.arange(len(row)) - run_start(paragraph[row])
    last = np.searchsorted(paragraph, paragraph[row], side="right") - 1
    follows = np.append(paragraph[row[1:]] == paragraph[row[:-1]], False)[: len(row)]
    end = np.where(follows, np.append(row[1:], 0)[: len(row)], last)
    opens = place % 2 == 0
    return row[opens], end[opens], np.ones(int(opens.sum()), np.int64)


def paragraphs(words: Words) -> Rows:
    """int64 [W]: number of each word's paragraph in the shard; documents and breaks of lines begin one."""
    begins = np.zeros(len(words), dtype=bool)
    begins[1:] = (np.diff(words.document) != 0) | (words.start[1:].astype(np.int64) - words.end[:-1] >= BREAK)
    return np.cumsum(begins)
