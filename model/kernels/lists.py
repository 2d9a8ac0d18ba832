"""Lists of tiles for the kernel of views: for each block of queries the keys it is scored against, and the other way.

A block is S neighbouring pieces of a row. Its list names the pieces on the other side that any of its own can see, or
be seen by: a stretch around it, made of the view's cover, and what lists of bonds add. A tile is T of the list, with a
bit for every pair, so that the kernel knows nothing of views; masks are evaluated once a batch, for all heads and
layers.

The first pieces of a sequence (anchors of every view) stand in the list of each of its blocks of queries; but all its
queries in the list of theirs would be O(N) for one block. So lists of queries leave them out wherever they are not
near, and `Sinks` names them: each block of queries tells what comes back to the first pieces of its first query's
sequence, and that is added up.

Letters: V views, B rows, N pieces of a row, P = B*N places of the line, X blocks, E tiles, S pieces of a block, T of a
tile. O(N * keys of a query) time and memory.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from model.kernels.bits import Tiles, bits_of, grid_of
from model.kernels.codes import codes_of
from model.kernels.covers import Cover
from model.kernels.pairs import Line, listed_keys
from model.kernels.truth import reads_lists
from model.views import FIRST_ANCHORS, View

TILE = 32
"""Places of a tile: a word of bits has one for each."""


class Lists(NamedTuple):
    """For every view and block, its tiles: those of block x of view v are begin[v*X + x] ... begin[v*X + x + 1] - 1."""

    begin: Tensor
    """int32 [V*X+1]"""
    place: Tensor
    """int32 [E*TILE]: places in the row, ascending in each block; a short list repeats its last."""
    bits: Tensor
    """int32 [E,S]: bit n of piece s of the block says whether its pair with place n of the tile is seen."""
    codes: Tensor
    """int16 [E,S,TILE], what learned terms ask of the pairs (model.kernels.codes); [0] where there are none."""


class Asked(NamedTuple):
    """What learned terms of a layer ask of pairs."""

    scores: bool = False
    kinds: bool = False


NOTHING = Asked()


class Sinks(NamedTuple):
    """The first pieces of sequences that lie far from blocks of queries."""

    first: Tensor
    """int32 [V*X]: the row's place where the sequence of a block's first query begins, -1 where it is near."""
    begin: Tensor
    """int32 [B,N]: where each piece's sequence begins in the row; -1 at padding."""
    sequence: Tensor
    """int32 [Z,4]: row, place of the first piece, and the blocks from-to whose first query is of this sequence."""


def stretches(cover: Cover, line: Line, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """int64 [X] each: the stretch of keys of each block of `size` queries, places on the line from-to, and the place
    of its sink, -1 where its stretch holds it."""
    query, row_end = grid_of(line, size)
    low, high = cover.low[query].amin(1), torch.minimum(_high(cover, line)[query].amax(1), row_end)
    first = line.begin[query[:, 0]]
    near = low < first + FIRST_ANCHORS
    low = torch.where(near, torch.minimum(low, first), low)
    return low, high, first.masked_fill(near | (line.run[query[:, 0]] < 0), -1)


def key_lists(view: View, cover: Cover, line: Line, size: int, asked: Asked = NOTHING) -> tuple[Lists, Tensor]:
    """The keys of each block of queries, of one view, and int64 [X]: its sinks as `stretches` gives them."""
    low, high, sink = stretches(cover, line, size)
    query, _ = grid_of(line, size)
    slot, far = listed_keys(line, query.flatten(), cover.kinds) if cover.kinds else (sink[:0], sink[:0])
    block = slot // size
    kept = (far < low[block]) | (far >= high[block])
    made = _Stretches(low, high, sink)
    return _lists(view, line, made, block[kept], far[kept], size, asked), sink


def query_lists(view: View, cover: Cover, line: Line, size: int, queries: int, asked: Asked = NOTHING) -> Lists:
    """The queries of each block of `size` keys, of one view. queries: size of the blocks that have the sinks."""
    P, N = len(line.run), line.context.document.shape[1]
    low, _, sink = stretches(cover, line, queries)
    place = torch.arange(P, device=line.run.device)
    block_of = place // N * -(-N // queries) + place % N // queries
    # Where a block's stretch holds the first pieces of a sequence, all its queries of that sequence see them there.
    reach = torch.where(line.begin >= low[block_of], torch.minimum(cover.low, line.begin), cover.low)
    key, row_end = grid_of(line, size)
    earliest = reach.flip(0).cummin(0).values.flip(0)
    last = torch.minimum(torch.searchsorted(earliest, key[:, -1].contiguous(), right=True), row_end)
    if line.context.causal:
        first = key[:, 0]
    else:
        latest = _high(cover, line).cummax(0).values
        first = torch.minimum(torch.searchsorted(latest, key[:, 0].contiguous(), right=True), key[:, 0])
        first = torch.maximum(first, key[:, 0] // N * N)
    query, far = listed_keys(line, place, cover.kinds) if cover.kinds else (sink[:0], sink[:0])
    block = far // N * -(-N // size) + far % N // size
    at = sink[block_of[query]]
    kept = ((query < first[block]) | (query >= last[block])) & ((at < 0) | (far < at) | (far >= at + FIRST_ANCHORS))
    made = _Stretches(first, last, None)
    return _lists(view, line, made, block[kept], query[kept], size, asked, sink[block_of])


def together(lists: Sequence[Lists]) -> Lists:
    """The lists of several views as one. A tile of places that nobody sees follows the last: kernels that take two at
    a time read beyond an odd one."""
    tiles = torch.tensor([0, *(len(each.bits) for each in lists)]).cumsum(0).tolist()
    begin = [each.begin[:-1] + before for each, before in zip(lists, tiles, strict=False)]
    last = lists[0].begin.new_tensor([tiles[-1]])
    places = [*(each.place for each in lists), lists[0].place.new_zeros(TILE)]
    bits, codes = (torch.cat(parts) for parts in zip(*((each.bits, each.codes) for each in lists), strict=True))
    return Lists(torch.cat([*begin, last]), torch.cat(places), bits, codes)


def sinks_of(first: Sequence[Tensor], line: Line, size: int) -> Sinks:
    """first: the sinks of the blocks of each view, on the line."""
    N = line.context.document.shape[1]
    query, _ = grid_of(line, size)
    begin, row = line.begin[query[:, 0]], query[:, 0] // N
    real = line.run[query[:, 0]] >= 0
    (_, inverse), X = torch.unique_consecutive(begin.masked_fill(~real, -1), return_inverse=True), len(begin)
    changes = torch.ones_like(inverse, dtype=torch.bool)
    changes[1:] = inverse[1:] != inverse[:-1]
    start = changes.nonzero()[:, 0]
    stop = torch.cat([start[1:], start.new_tensor([X])])
    chosen = real[start]
    table = torch.stack([row[start], begin[start] % N, start, stop], dim=1)[chosen]
    along = torch.cat(list(first))
    return Sinks(
        torch.where(along < 0, -1, along % N).int(),
        (line.begin % N).masked_fill(line.run < 0, -1).view(line.context.document.shape).int(),
        table.int(),
    )


def _high(cover: Cover, line: Line) -> Tensor:
    """int64 [P]: the end of the stretch of each query; without order it sees the first pieces of its sequence ahead."""
    return cover.high if line.context.causal else torch.maximum(cover.high, line.begin + FIRST_ANCHORS)


class _Stretches(NamedTuple):
    low: Tensor
    high: Tensor
    sink: Tensor | None
    """Where given and not -1, FIRST_ANCHORS places from here stand before the stretch."""

    def lengths(self) -> tuple[Tensor, Tensor | int]:
        """int64 [X]: how many places each has, and how many of them are the sink's."""
        before = 0 if self.sink is None else FIRST_ANCHORS * (self.sink >= 0)
        return (self.high - self.low).clamp(min=0) + before, before

    def places(self, block: Tensor, offset: Tensor) -> Tensor:
        """int64: the places that stand at these offsets in the stretches of these blocks."""
        _, before = self.lengths()
        near = (self.low - before)[block] + offset
        if self.sink is None:
            return near
        sink = self.sink[block]
        return torch.where((sink >= 0) & (offset < FIRST_ANCHORS), sink + offset, near)


def _lists(
    view: View,
    line: Line,
    stretches: _Stretches,
    block: Tensor,
    far: Tensor,
    size: int,
    asked: Asked,
    sink: Tensor | None = None,
) -> Lists:
    """Tiles of stretches and of what lies far, given by pairs of block and place. sink: of each place's query, where
    the blocks are of keys."""
    P, N = len(line.run), line.context.document.shape[1]
    (length, _), device = stretches.lengths(), line.run.device
    X, code = len(length), length.new_zeros(0)
    if asked.kinds or reads_lists(view):
        near_block = torch.arange(X, device=device).repeat_interleave(length)
        offset = torch.arange(len(near_block), device=device) - (length.cumsum(0) - length)[near_block]
        near = near_block * P + stretches.places(near_block, offset)
        code = torch.cat([near, block * P + far]).unique()  # type: ignore[no-untyped-call]
        length = torch.bincount(code // P, minlength=X)
    tiles = (length + TILE - 1) // TILE
    begin = torch.cat([tiles.new_zeros(1), tiles.cumsum(0)])
    block_E = torch.arange(X, device=device).repeat_interleave(tiles)
    first_E = (torch.arange(len(block_E), device=device) - begin[block_E]) * TILE
    left_E = length[block_E] - first_E
    slot_ET = first_E[:, None] + torch.minimum(torch.arange(TILE, device=device), left_E[:, None] - 1)
    if len(code):
        place_ET = code[(length.cumsum(0) - length)[block_E][:, None] + slot_ET] % P
    else:
        place_ET = stretches.places(block_E[:, None], slot_ET)
    made = Tiles(view, line, block_E, place_ET, left_E.clamp(max=TILE), code, begin, length, size, sink)
    codes = codes_of(made, *asked) if any(asked) else place_ET.new_zeros(0, dtype=torch.int16)
    return Lists(begin.int(), (place_ET % N).int().flatten(), bits_of(made), codes)
