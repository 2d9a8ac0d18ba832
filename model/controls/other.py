"""Another sentence's tags: the j-th word of a sentence gets the tag of the j-th word of a training sentence.

Tags in orders that English has, told of words that they do not belong to. At every start of a sentence a donor is drawn
from the training split; when it is used up, the next one drawn goes on. The donor is not of the same length, on
purpose: chosen by this sentence's length, it would tell the model where the sentence ends, which is the future.
A word has one tag from its first piece on, drawn without regard to how many pieces it has: tags of long words (nouns,
names) are on fewer pieces than the honest ones, and a `pos` head under this control reads somewhat fewer keys.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.columns import Split
from model.context import NO_TAG
from model.controls.words import Change, Columns, all_columns, sentence_bases, words_of
from pipeline.chance import draws


class Donors(NamedTuple):
    """Tags of the training sentences, one sentence after another."""

    tags: NDArray[np.uint8]
    """[W]"""
    offset: NDArray[np.int64]
    """[S + 1]: where each sentence begins in `tags`, and where the last ends; none is empty."""


def other_tags(train: Split) -> Change:
    """The change of `input_tag` and `key_tag`: a function of the sentence's and the word's number and of the seed."""
    return partial(_other, donors_of(train))


def _other(donors: Donors, seed: int, columns: Columns) -> dict[str, NDArray[np.uint8]]:
    size, bases, word = np.diff(donors.offset), sentence_bases(columns), np.arange(words_of(columns))
    sentence = np.searchsorted(bases, word, side="right") - 1
    left = word - bases[sentence]  # words of the donors still to pass
    tag, open_, turn = np.full(len(word) + 1, NO_TAG, np.uint8), word, 0
    while len(open_):
        which = draws(seed, sentence[open_], np.full(len(open_), turn)) % np.uint64(len(size))
        inside = left[open_] < size[which]
        here = open_[inside]
        tag[here] = donors.tags[donors.offset[which[inside]] + left[here]]
        left[open_] -= size[which]
        open_, turn = open_[~inside], turn + 1
    return tags_by_word(tag, columns)


def donors_of(train: Split) -> Donors:
    """Full tags of the words of each training sentence, words that no piece shows the tag of left out."""
    tags, sizes = [np.empty(0, np.uint8)], [np.empty(0, np.int64)]
    for columns in all_columns(train):
        full = np.full(words_of(columns) + 1, NO_TAG, np.uint8)
        told = columns["key_tag"] != NO_TAG
        full[columns["last_word"][told]] = columns["key_tag"][told]  # all pieces of a word say the same
        full = full[:-1]  # before any word, last_word is -1
        bases = sentence_bases(columns)
        sentence = np.searchsorted(bases, np.arange(len(full)), side="right") - 1
        sizes.append(np.bincount(sentence[full != NO_TAG], minlength=len(bases)))
        tags.append(full[full != NO_TAG])
    size = np.concatenate(sizes)
    size = size[size > 0]
    if not len(size):  # nothing to draw from: every donor is one word without a tag
        return Donors(np.full(1, NO_TAG, np.uint8), np.array([0, 1]))
    return Donors(np.concatenate(tags), np.concatenate([[0], np.cumsum(size)]))


def tags_by_word(tag: NDArray[np.uint8], columns: Columns) -> dict[str, NDArray[np.uint8]]:
    """Both tag columns from one tag a word (the last entry: of no word); pieces without a tag keep having none."""
    given = tag[columns["last_word"]]
    return {name: np.where(columns[name] == NO_TAG, columns[name], given) for name in ("input_tag", "key_tag")}


def other_tags_slow(donors: Donors, seed: int, columns: Columns) -> list[int]:
    """The tag of each piece's last word, piece by piece; NO_TAG before any word."""
    count, sentence, start = len(donors.offset) - 1, -1, -1
    queue, turn = list[int](), 0
    word, given = -1, [NO_TAG]
    found = list[int]()
    for known, last in zip(columns["sentence_start"].tolist(), columns["last_word"].tolist(), strict=True):
        if known != start:
            start, sentence, queue, turn = known, sentence + 1, [], 0
        while word < last:
            while not queue:
                which = int(draws(seed, np.array([sentence]), np.array([turn]))[0]) % count
                queue, turn = donors.tags[donors.offset[which] : donors.offset[which + 1]].tolist(), turn + 1
            word, given = word + 1, [queue.pop(0)]
        found.append(given[0])
    return found
