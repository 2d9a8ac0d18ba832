"""Permuted tags: every word type gets the tag of another one that is about as frequent in the document."""

import numpy as np

from pipeline.bonds.pairs import run_start
from pipeline.controls.draws import word_draws
from pipeline.records import Strings, Words

BAND = 64
"""Most neighbours in frequency that exchange their tags."""


def permuted_tags(words: Words, seed: int) -> Words:
    """A type (its form without regard to capitals) takes the tag that its donor has most often in the document."""
    form = Strings.of(value.casefold() for value in words.text.values)
    form_code = form.code[words.text.code].astype(np.int64)
    kind = words.document.astype(np.int64) * max(len(form.values), 1) + form_code
    types, first, code, count = np.unique(kind, return_index=True, return_inverse=True, return_counts=True)
    tags = np.zeros((len(types), int(words.upos.max(initial=0)) + 1), np.int64)
    np.add.at(tags, (code, words.upos), 1)
    document = words.document[first].astype(np.int64)
    ranked = np.lexsort((first, -count, document))
    rank = np.arange(len(ranked)) - run_start(document[ranked])
    band = np.floor(np.log2(rank / 2 + 1)).astype(np.int64)  # ranks 0-1, 2-5, 6-13 … then BAND at a time
    wide = rank >= BAND - 2
    band[wide] = 8 + (rank[wide] - BAND + 2) // BAND
    ring = np.lexsort((word_draws(words, seed, first[ranked]), band, document[ranked]))
    group = document[ranked][ring] * (len(ranked) + 16) + band[ring]
    begin = run_start(group)
    last = np.append(begin[1:] != begin[:-1], True) if len(begin) else np.empty(0, bool)
    follower = np.where(last, begin, np.arange(len(begin)) + 1)
    donor = np.empty(len(types), np.int64)
    donor[ranked[ring]] = ranked[ring][follower]
    return words.with_columns(upos=tags.argmax(1)[donor][code].astype(np.uint8))
