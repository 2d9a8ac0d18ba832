"""Rows as segments of sequences: the n-th segments of all sequences are a wave, and waves are computed one by one.

Segments count from where a sequence begins, wherever that is in its row, so that packing changes nothing. Longest
sequences come first: those that a wave still has are the first of those that the wave before it had. Letters: B rows,
N pieces of a row, Q sequences, S pieces of a segment.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from model.context import Context


class Segments(NamedTuple):
    """How a batch falls into waves; O(Q) memory, whatever the length of the rows."""

    size: int
    """Pieces of a segment."""
    room: int
    """B * N, the places of the flat batch."""
    begin_Q: Tensor
    """int64: places where sequences begin."""
    last_Q: Tensor
    """int64: places of their last pieces."""
    lengths: tuple[int, ...]
    """Of the sequences, the longest first; so all else."""

    def waves(self) -> int:
        return -(-self.lengths[0] // self.size) if self.lengths else 0

    def sequences(self, wave: int) -> int:
        """How many sequences have so many segments and one more."""
        return sum(length > wave * self.size for length in self.lengths)

    def places(self, wave: int) -> tuple[Tensor, Tensor]:
        """int64 [Q,S]: places to read from and to write to. As wide as the longest segment; what the others lack is
        filled up with their last place, and written to `room`, a place that there is not."""
        Q, first = self.sequences(wave), wave * self.size
        width = min(self.size, self.lengths[0] - first)
        place_QS = self.begin_Q[:Q, None] + first + torch.arange(width, device=self.begin_Q.device)
        last_Q1 = self.last_Q[:Q, None]
        return place_QS.minimum(last_Q1), torch.where(place_QS <= last_Q1, place_QS, self.room)


def segments_of(context: Context, size: int) -> Segments:
    """The waves of a batch. size: pieces of a segment."""
    document_BN = context.document
    differs = document_BN[:, 1:] != document_BN[:, :-1]
    edge = differs.new_ones(len(document_BN), 1)
    valid = context.valid()
    begin_Q = (torch.cat([edge, differs], dim=1) & valid).flatten().nonzero().squeeze(1)
    last_Q = (torch.cat([differs, edge], dim=1) & valid).flatten().nonzero().squeeze(1)
    order = (last_Q - begin_Q).argsort(descending=True, stable=True)
    begin_Q, last_Q = begin_Q[order], last_Q[order]
    return Segments(size, document_BN.numel(), begin_Q, last_Q, tuple((last_Q - begin_Q + 1).tolist()))
