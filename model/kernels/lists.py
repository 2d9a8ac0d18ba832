"""Lists of tiles for the kernel of views: for each block of queries the keys it is scored against, and the other way.

A block is S neighbouring pieces of a row. Its list names the pieces on the other side that any of its own can see, or
be seen by: a stretch around it, made of the view's cover, and what lists of bonds add. A tile is T of the list, with a
bit for every pair, so that the kernel knows nothing of views; masks are evaluated once a batch, for all heads and
layers.

The first pieces of a sequence (anchors of every view) would stand in the list of each of its blocks, and all its
queries in the list of theirs: O(N) for one block. So the lists leave them out wherever they are not near, and `Sinks`
names them: the kernel scores a block against the first pieces of its first query's sequence, and adds up what comes
back.

Letters: V views, B rows, N pieces of a row, P = B*N places of the line, X blocks, E tiles, S pieces of a block, T of a
tile. O(N * keys of a query) time and memory.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from model.kernels.bits import Tiles, bits_of, grid_of
from model.kernels.covers import Cover
from model.kernels.pairs import Line, listed_keys
from model.views import FIRST_ANCHORS, View


class Lists(NamedTuple):
    """For every view and block, its tiles: those of block x of view v are begin[v*X + x] ... begin[v*X + x + 1] - 1."""

    begin: Tensor
    """int32 [V*X+1]"""
    place: Tensor
    """int32 [E*T]: places in the row, ascending in each block; a short list repeats its last, or the block's first."""
    bits: Tensor
    """int32 [E,S*T/32]: bit n % 32 of word n // 32 of piece s of the block says whether the pair is seen, n of T."""


class Sinks(NamedTuple):
    """The first pieces of sequences that lie outside of the lists."""

    first: Tensor
    """int32 [V*X]: the row's place where the sequence of a block's first query begins, -1 where lists hold it all."""
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


def key_lists(view: View, cover: Cover, line: Line, size: int, tile: int) -> tuple[Lists, Tensor]:
    """The keys of each block of queries, of one view, and int64 [X]: its sinks as `stretches` gives them."""
    low, high, sink = stretches(cover, line, size)
    query, _ = grid_of(line, size)
    slot, far = listed_keys(line, query.flatten(), cover.kinds) if cover.kinds else (sink[:0], sink[:0])
    block = slot // size
    kept = (far < low[block]) | (far >= high[block])
    kept &= (sink[block] < 0) | (far < sink[block]) | (far >= sink[block] + FIRST_ANCHORS)
    return _lists(view, line, low, high, block[kept], far[kept], (size, tile), sink, by_key=False), sink


def query_lists(view: View, cover: Cover, line: Line, size: int, tile: int, queries: int) -> Lists:
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
    sink_of = sink[block_of]
    return _lists(view, line, first, last, block[kept], query[kept], (size, tile), sink_of, by_key=True)


def together(lists: Sequence[Lists]) -> Lists:
    """The lists of several views as one."""
    tiles = torch.tensor([0, *(len(each.bits) for each in lists)]).cumsum(0).tolist()
    begin = [each.begin[:-1] + before for each, before in zip(lists, tiles, strict=False)]
    last = lists[0].begin.new_tensor([tiles[-1]])
    return Lists(
        torch.cat([*begin, last]), torch.cat([each.place for each in lists]), torch.cat([each.bits for each in lists])
    )


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


def _lists(
    view: View,
    line: Line,
    low: Tensor,
    high: Tensor,
    block: Tensor,
    far: Tensor,
    sizes: tuple[int, int],
    sink: Tensor,
    by_key: bool,
) -> Lists:
    """Tiles of the stretches [low, high) and of what lies far, given by pairs of block and place."""
    (size, tile), P, N = sizes, len(line.run), line.context.document.shape[1]
    X, device = len(low), low.device
    length = (high - low).clamp(min=0)
    near_block = torch.arange(X, device=device).repeat_interleave(length)
    near = torch.arange(len(near_block), device=device) + (low - length.cumsum(0) + length)[near_block]
    code = near_block * P + near
    if len(far):
        code = torch.cat([code, block * P + far]).unique()  # type: ignore[no-untyped-call]
        length = torch.bincount(code // P, minlength=X)
    tiles = (length + tile - 1) // tile
    begin = torch.cat([tiles.new_zeros(1), tiles.cumsum(0)])
    block_E = torch.arange(X, device=device).repeat_interleave(tiles)
    slot = (torch.arange(len(block_E), device=device) - begin[block_E])[:, None] * tile
    slot = slot + torch.arange(tile, device=device)
    real = slot < length[block_E][:, None]
    at = (length.cumsum(0) - length)[block_E][:, None] + torch.minimum(slot, length[block_E][:, None] - 1)
    place_ET = code[at] % P if len(code) else at
    made = Tiles(view, line, block_E, place_ET, real.sum(1), code, begin, length, size, sink, by_key)
    return Lists(begin.int(), (place_ET % N).int().flatten(), bits_of(made))
