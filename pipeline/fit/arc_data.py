"""Batches for the left-to-right network: examples as numbers, and what is true of every pair of their words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.fit.examples import Examples
from pipeline.prefix.features import word_rows
from pipeline.prefix.text import Alphabet

IGNORED = -100
"""Where there is nothing to learn: after a sentence's end, and for a label too rare to be one."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Examples as numbers."""

    rows: NDArray[np.int32]
    """[types, FEATURES]"""
    type: NDArray[np.int32]
    count: NDArray[np.int64]
    """[types] how often each is met."""
    tag: NDArray[np.int64]
    label: NDArray[np.int64]
    head: NDArray[np.int64]
    first: NDArray[np.int64]


def prepare(
    parts: Sequence[Examples], alphabet: Alphabet, known: NDArray[np.int64], labels: Mapping[tuple[int, str], int]
) -> Prepared:
    """Several sets of examples as one."""
    place: dict[str, int] = {}
    codes, tag, label, head, first, rows = [], [], [], [], [np.zeros(1, np.int64)], 0
    for part in parts:
        moved = np.array([place.setdefault(value, len(place)) for value in part.form.values], dtype=np.int32)
        codes.append(moved[part.form.code])
        tag.append(part.tag.astype(np.int64))
        pair, which = np.unique(part.tag.astype(np.int64) * 1_000_000 + part.feats.code, return_inverse=True)
        found = [labels.get((int(p // 1_000_000), part.feats.values[p % 1_000_000]), IGNORED) for p in pair]
        label.append(np.array(found, dtype=np.int64)[which])
        head.append(np.where(part.head >= 0, part.head + rows, -1))
        first.append(part.first[1:] + rows)
        rows += len(part)
    code = np.concatenate(codes)
    return Prepared(
        word_rows(alphabet, known, list(place)), code, np.bincount(code, minlength=len(place)),
        np.concatenate(tag), np.concatenate(label), np.concatenate(head), np.concatenate(first),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Batch:
    """[B, T]; IGNORED where a sentence has ended. head: place in the sentence, -1 for none, -2 after the end."""

    rows: Tensor
    count: Tensor
    tag: Tensor
    label: Tensor
    head: Tensor


def batch_of(data: Prepared, sentences: NDArray[np.int64]) -> Batch:
    begin, length = data.first[sentences], np.diff(data.first)[sentences]
    place = np.arange(length.max())
    inside = place < length[:, None]
    row = np.where(inside, begin[:, None] + place, 0)
    types = np.where(inside, data.type[row], 0)
    head = data.head[row]
    head = np.where(inside, np.where(head >= 0, head - begin[:, None], -1), -2)
    columns = (data.rows[types].astype(np.int64), data.count[types], np.where(inside, data.tag[row], IGNORED),
               np.where(inside, data.label[row], IGNORED), head)  # fmt: skip
    return Batch(*map(torch.from_numpy, columns))


@dataclass(frozen=True, slots=True)
class Truth:
    """bool [B, T, T] of word i and word j: what the scores should say, and where."""

    arc: Tensor
    later_is_head: Tensor
    open: Tensor
    below: Tensor
    """j < i, both words there."""
    upto: Tensor
    """j <= i, both words there."""
    next: Tensor
    """Is there an arc between word i + 1 and word j <= i?"""


def truth_of(head: Tensor) -> Truth:
    place, valid = torch.arange(head.shape[1]), head > -2
    up = head[:, :, None] == place
    joined = up | up.transpose(1, 2)
    pair, lower = valid[:, :, None] & valid[:, None, :], place[:, None] > place
    after = joined.flip(1).cumsum(1).flip(1)  # arcs between j and any word from i on
    later = torch.zeros_like(joined)
    later[:, :-1] = after[:, 1:] > 0
    following = torch.zeros_like(joined)
    following[:, :-1] = joined[:, 1:]
    upto = pair & (place[:, None] >= place)
    return Truth(joined & lower, up.transpose(1, 2) & lower, later & upto, pair & lower, upto, following & upto)


def batches(data: Prepared, chance: np.random.Generator, words: int) -> Iterator[NDArray[np.int64]]:
    """Without end: sentences of like length together."""
    length = np.diff(data.first)
    while True:
        order = np.argsort(length + chance.random(len(length)) * 6, kind="stable")
        cuts = np.flatnonzero(np.diff(np.cumsum(length[order]) // words)) + 1
        groups = np.split(order, cuts)
        for number in chance.permutation(len(groups)):
            yield groups[number]
