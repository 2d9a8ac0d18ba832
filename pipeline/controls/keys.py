"""Random keys: each query keeps its number of bonds of each kind, to words drawn from the sentences that it reached."""

import numpy as np

from pipeline.controls.draws import ordinal, repeated, with_keys, word_draws
from pipeline.records import Bonds, Words

ROUNDS = 64
"""How often a key that was drawn twice is drawn again."""


def random_keys(words: Words, bonds: Bonds, seed: int) -> Bonds:
    """Each key is drawn from its own sentence, never twice for a query and kind, and never the query itself."""
    first = words.sentence_first().astype(np.int64)
    stop = np.searchsorted(first, first, side="right")
    query, begin, end = bonds.query.astype(np.int64), first[bonds.key], stop[bonds.key]
    within = (begin <= query) & (query < end)
    room = end - begin - within
    place = (query, bonds.kind.astype(np.int64), ordinal(query, bonds.kind))
    key, todo, since = np.full(len(query), -1), np.arange(len(query)), np.zeros(len(query), np.int64)
    for again in range(ROUNDS):
        drawn = word_draws(words, seed, query[todo], *(each[todo] for each in place[1:]), again)
        key[todo] = begin[todo] + (drawn % room[todo].astype(np.uint64)).astype(np.int64)
        key[todo] += within[todo] & (key[todo] >= query[todo])
        since[todo] = again
        todo = repeated(query, key, bonds.kind, since)
        if not len(todo):
            break
    for row in todo.tolist():  # a query with nearly all words of a sentence: the first that is free
        mine = (query == query[row]) & (bonds.kind == bonds.kind[row])
        taken = {*key[mine & ~np.isin(np.arange(len(query)), todo)].tolist(), int(query[row])}
        key[row] = next(each for each in range(int(begin[row]), int(end[row])) if each not in taken)
        todo = todo[todo != row]
    return with_keys(bonds, query, key)
