"""A text as pieces on the device, and windows of it as batches, by index arithmetic alone."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.fit.teacher.subwords import DOCUMENT, PAD, PARAGRAPH, SPECIALS

Ints = NDArray[np.int64]
ROUND = 32
"""A batch's length is a multiple of this, so that the allocator meets few sizes."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Words of many documents, one after another; P pieces, W words."""

    pieces: Tensor
    """int64 [P], on the device."""
    word: Tensor
    """int64 [P], on the device: number of the piece's word, -1 for specials."""
    begin: Ints
    """[W + 1]: where each word's pieces begin, the breaks before it included; the last is P."""
    document: Ints
    """First word of each document."""
    paragraph: Ints
    """First word of each paragraph that begins no document."""

    @property
    def words(self) -> int:
        return len(self.begin) - 1


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows of whole words. B windows, P pieces, W words; padded at the end."""

    pieces: Tensor
    """int64 [B, P]."""
    valid: Tensor
    """bool [B, P]."""
    word: Tensor
    """int64 [B, P]: the piece's word, counted from the window's first; -1 for specials and padding."""
    index: Tensor
    """int64 [B, W]: the word's number in the stream; past the window's end some word's."""
    present: Tensor
    """bool [B, W]."""
    first: Tensor
    """int64 [B, 1]: number of the window's first word."""


def make_stream(pieces: NDArray[np.uint16], starts: NDArray[np.bool_], device: torch.device) -> Stream:
    """starts: bool [P], whether a word starts with the piece; specials (ids below 4) belong to none."""
    ordinary = pieces >= len(SPECIALS)
    first = np.flatnonzero(starts)
    word = np.where(ordinary, np.cumsum(starts) - 1, -1)
    # A word's breaks stand between the last piece of the word before and its own first.
    last_before = np.maximum.accumulate(np.where(ordinary, np.arange(len(pieces)), -1))
    begin = np.append(np.where(first > 0, last_before[first - 1] + 1, 0), len(pieces))
    return Stream(
        torch.from_numpy(pieces.astype(np.int64)).to(device),
        torch.from_numpy(word.astype(np.int64)).to(device),
        begin.astype(np.int64),
        np.searchsorted(first, np.flatnonzero(pieces == DOCUMENT)).astype(np.int64),
        np.searchsorted(first, np.flatnonzero(pieces == PARAGRAPH)).astype(np.int64),
    )


def gather(stream: Stream, windows: Ints) -> Batch:
    """windows [B, 2]: first word and the one past the last."""
    edges = np.concatenate([stream.begin[windows], windows], axis=1)
    lengths, words = edges[:, 1] - edges[:, 0], edges[:, 3] - edges[:, 2]
    device = stream.pieces.device
    moved = torch.from_numpy(edges).to(device, non_blocking=True)
    begin, end, first, last = (column[:, None] for column in moved.unbind(1))
    place = begin + torch.arange(_rounded(int(lengths.max())), device=device)
    valid = place < end
    place = place.clamp(max=len(stream.pieces) - 1)
    word = stream.word[place]
    index = first + torch.arange(_rounded(int(words.max())), device=device)
    return Batch(
        pieces=torch.where(valid, stream.pieces[place], PAD),
        valid=valid,
        word=torch.where(valid & (word >= 0), word - first, -1),
        index=index.clamp(max=stream.words - 1),
        present=index < last,
        first=first,
    )


def _rounded(length: int) -> int:
    return -(-length // ROUND) * ROUND


def pack(stream: Stream, starts: Ints, limits: Ints, first: int, last: int) -> Ints:
    """Windows [n, 2] over the words from `first` to `last`, each of as many units as its limit of pieces allows.

    A unit runs from one of `starts` (sorted, words) to the next, the last to `last`; one that is longer than the limit
    is a window alone. limits: in turn.
    """
    bounds = np.append(starts[(starts > first) & (starts < last)], last)
    reached = stream.begin[bounds]
    windows: list[tuple[int, int]] = []
    begin, place = first, 0
    while begin < last:
        room = stream.begin[begin] + limits[len(windows) % len(limits)]
        place = max(place, int(np.searchsorted(reached, room, side="right")) - 1)
        windows.append((begin, int(bounds[place])))
        begin, place = int(bounds[place]), place + 1
    return np.array(windows, np.int64)
