"""The sequences of a batch, each on its own whatever row it shares: places to take them out of the rows, and put back.

Letters: B rows, N pieces of a row, S sequences of like length, L places of the longest of them.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from model.context import Context
from model.kernels.uncompiled import uncompiled


class Batch(NamedTuple):
    """Sequences, or their first pieces, beside each other."""

    place: Tensor
    """int64 [S,L]: places along the rows laid end to end; a shorter sequence repeats its last."""
    size: Tensor
    """int64 [S]"""
    slot: Tensor
    """int64 [n]: the entries of [S*L] that are no repeats,"""
    line: Tensor
    """int64 [n]: and their places."""

    def taken(self, x_BHND: Tensor) -> Tensor:
        """[S,H,L,D] of a tensor over all pieces."""
        N = x_BHND.shape[2]
        # By row and place, not along a line: that would be a copy of the whole, where few pieces may be wanted.
        return x_BHND.transpose(1, 2)[self.place // N, self.place % N].transpose(1, 2)

    def put(self, x_SHLD: Tensor, x_BHND: Tensor) -> Tensor:
        """[B,H,N,D]: all pieces with these in their places."""
        N = x_BHND.shape[2]
        x = x_SHLD.transpose(1, 2).flatten(0, 1).index_select(0, self.slot).to(x_BHND.dtype)
        return x_BHND.transpose(1, 2).index_put((self.line // N, self.line % N), x).transpose(1, 2)

    def valid(self) -> Tensor:
        """bool [S,L]: which are no repeats."""
        return torch.arange(self.place.shape[1], device=self.size.device) < self.size[:, None]


@uncompiled  # how many there are is known to the data alone
def sequences(context: Context) -> tuple[Tensor, Tensor]:
    """int64 [S] each: where each sequence begins along the rows laid end to end, and its pieces; padding is none."""
    N = context.document.shape[1]
    place = torch.arange(N, device=context.document.device)
    begins = (context.sequence_start() == place) & context.valid()
    begin = begins.flatten().nonzero().squeeze(1)
    number = begins.flatten().long().cumsum(0) - 1
    size = torch.bincount(number[context.valid().flatten()], minlength=len(begin))
    return begin, size


@uncompiled
def batches(begin: Tensor, size: Tensor) -> tuple[Batch, ...]:
    """The sequences with those of like length together, so that less than half of any batch is repeats."""
    found = []
    # A loop over lengths, not over sequences: 2**i < length <= 2**(i+1), as many as a length has bits.
    bits = (size.clamp(min=1) - 1).double().add(0.5).log2().floor().long()
    for each in sorted(set(bits.tolist())):
        chosen = bits == each
        its_begin, its_size = begin[chosen], size[chosen]
        place = torch.arange(int(its_size.max()), device=begin.device)
        place_SL = its_begin[:, None] + torch.minimum(place, its_size[:, None] - 1)
        slot = (place < its_size[:, None]).flatten().nonzero().squeeze(1)
        found.append(Batch(place_SL, its_size, slot, place_SL.flatten()[slot]))
    return tuple(found)
