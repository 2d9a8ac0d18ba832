"""Rows as segments of sequences: the n-th segments of all sequences are a wave, and waves are computed one by one.

Segments count from where a sequence begins, wherever that is in its row, so that packing changes nothing. Longest
sequences come first: those that a wave still has are the first of those that the wave before it had. Letters: B rows,
N pieces of a row, Q sequences.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from model.context import Context


class Wave(NamedTuple):
    """The n-th segments of the sequences that have one."""

    sequences: int
    width: int
    """Pieces of a segment; in the last wave of the longest sequence perhaps fewer."""


class Segments(NamedTuple):
    """How a batch falls into waves."""

    waves: tuple[Wave, ...]
    places: Tensor
    """int64: places of the flat batch [B*N], wave after wave, sequence after sequence. What a segment lacks of its
    wave's width is filled up with its last place: what is computed there is not read."""
    into: Tensor
    """int64: as `places`, but B * N, a place that there is not, where a segment is filled up."""
    where: Tensor
    """int64 [B*N]: where a place stands in `places`; 0 at padding."""

    def split(self, x: Tensor) -> list[Tensor]:
        """x [places,…] by waves, each [sequences,width,…]."""
        parts = x.split([wave.sequences * wave.width for wave in self.waves])
        return [part.unflatten(0, wave) for part, wave in zip(parts, self.waves, strict=True)]

    def going(self, number: int) -> int:
        """How many sequences of a wave go on into the next."""
        return self.waves[number + 1].sequences if number + 1 < len(self.waves) else 0


def segments_of(context: Context, size: int) -> Segments:
    """The waves of a batch. size: pieces of a segment."""
    document_BN = context.document
    B, N = document_BN.shape
    place = torch.arange(B * N, device=document_BN.device)
    valid = context.valid().flatten()
    begin = (place - place % N) + context.sequence_start().flatten()
    begins = torch.unique(begin[valid])  # sorted
    number = torch.searchsorted(begins, begin).clamp(max=max(0, len(begins) - 1))  # at padding any
    length = torch.bincount(number[valid], minlength=len(begins))
    order = length.argsort(descending=True, stable=True)
    begins, lengths = begins[order], length[order]
    rank, within = order.argsort()[number] if len(order) else number, place - begin
    longest = lengths.tolist()
    waves, parts, into, offsets = list[Wave](), list[Tensor](), list[Tensor](), list[int]()
    offset = 0
    for first in range(0, longest[0] if longest else 0, size):
        sequences = sum(each > first for each in longest)
        wave = Wave(sequences, min(size, longest[0] - first))
        inside = first + torch.arange(wave.width, device=place.device)
        last, its = lengths[:sequences, None] - 1, begins[:sequences, None]
        parts.append((its + inside.minimum(last)).flatten())
        into.append(torch.where(inside <= last, its + inside, B * N).flatten())
        waves.append(wave)
        offsets.append(offset)
        offset += sequences * wave.width
    if not waves:
        return Segments((), place[:0], place[:0], place * 0)
    which = (within // size).clamp(max=len(waves) - 1)
    widths = torch.tensor([wave.width for wave in waves], device=place.device)
    where = torch.tensor(offsets, device=place.device)[which] + rank * widths[which] + within % size
    return Segments(tuple(waves), torch.cat(parts), torch.cat(into), torch.where(valid, where, 0))
