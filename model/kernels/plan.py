"""The plan of sparse attention: which keys each block of queries is scored against, made once a batch for all layers.

A block's keys are a stretch around it, the first pieces of its sequence, and what lists of bonds add; each key stands
once, so one softmax over a block's keys is the softmax of the view. Blocks of like width are computed together.
Letters: P places of a line, X blocks of a chunk, Q queries and K keys of a block, H heads, E keys of all blocks.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from model.kernels.covers import Cover
from model.kernels.pairs import Line, Pairs, listed_keys, see
from model.kernels.threads import undivided
from model.views import FIRST_ANCHORS, View

QUERIES = 32
"""Of a block. 16 to 64 take about as long: fewer make thin products, more share keys that most of them do not see."""
CHUNK_KEYS = 512
"""Of all blocks of a chunk, about: enough that a call costs little beside its work, few enough to stay in the cache."""


class Chunk(NamedTuple):
    """Blocks that are computed together."""

    query: Tensor
    """int64 [X,Q] places; a short block repeats its last."""
    key: Tensor
    """int64 [X,K] places, never falling; a narrow block repeats its last."""
    bias: Tensor
    """[1,X,Q,K], or [H,X,Q,K] with slopes: added to the scores; -inf where the view, or a repeated key, is not seen."""
    again: Tensor | None
    """bool [X,Q]: places that only fill up a short block; None where there are none."""


class Plan(NamedTuple):
    """All queries of a batch, each in one block of one chunk."""

    chunks: tuple[Chunk, ...]

    def pairs(self) -> int:
        """How many scores are computed a head."""
        return sum(chunk.query.shape[1] * chunk.key.numel() for chunk in self.chunks)


class Blocks(NamedTuple):
    """Queries in blocks and the keys of each, before they are put together."""

    query: Tensor
    """int64 [X,Q]"""
    again: Tensor
    """bool [X,Q]"""
    key: Tensor
    """int64 [E]: block after block, ascending in each."""
    size: Tensor
    """int64 [X]: keys of each block."""


@undivided()
def plan_of(
    view: View, cover: Cover, line: Line, slopes: Sequence[float], dtype: torch.dtype, queries: int = QUERIES
) -> Plan:
    """A plan for heads of one view that has a cover. O(N * keys of a query) time and memory.

    slopes: of ALiBi, one a head, or none; dtype: of the bias.
    """
    blocks = blocks_of(cover, line, queries)
    begin_X = blocks.size.cumsum(0) - blocks.size
    order = torch.argsort(blocks.size, descending=True, stable=True)
    chunks = []
    for part in _cut(blocks.size[order].tolist()):
        chosen = order[part]
        query, again, size = blocks.query[chosen], blocks.again[chosen], blocks.size[chosen][:, None]
        slot = torch.arange(int(size[0]), device=size.device)
        key = blocks.key[begin_X[chosen][:, None] + torch.minimum(slot, size - 1)]
        seen = see(view, line, Pairs(query, key)) & (slot < size)[:, None, :]
        bias = bias_of(query, key, seen, slopes, dtype)
        chunks.append(Chunk(query, key, bias, again if bool(again.any()) else None))
    return Plan(tuple(chunks))


def bias_of(query: Tensor, key: Tensor, seen: Tensor, slopes: Sequence[float], dtype: torch.dtype) -> Tensor:
    """[1 or H,X,Q,K]: what is added to the scores of these pairs. Any further term of a pair belongs here.

    query, key: int64 [X,Q] and [X,K] places; seen: bool [X,Q,K].
    """
    bias = torch.zeros((), dtype=dtype, device=seen.device).masked_fill(~seen, float("-inf"))[None]
    if not slopes:
        return bias
    back = (query[:, :, None] - key[:, None, :]).abs().to(dtype)
    return bias - torch.stack([back * slope for slope in slopes])


def _cut(widths: Sequence[int]) -> list[slice]:
    """Chunks of blocks whose widths, which fall, are alike."""
    cuts, start = list[slice](), 0
    while start < len(widths):
        stop = min(len(widths), start + max(1, CHUNK_KEYS // widths[start]))
        cuts.append(slice(start, stop))
        start = stop
    return cuts


def blocks_of(cover: Cover, line: Line, queries: int) -> Blocks:
    """Blocks of neighbouring queries of a row and all keys that the cover gives them."""
    P, (B, N), device = len(line.run), line.context.document.shape, line.run.device
    place = torch.arange(-(-N // queries) * queries, device=device).view(-1, queries)
    row_B11 = torch.arange(B, device=device)[:, None, None] * N
    query = (place.clamp(max=N - 1) + row_B11).flatten(0, 1)
    again = (place >= N).expand(B, -1, -1).flatten(0, 1)
    low = cover.low[query].amin(1)
    high = torch.minimum(cover.high[query].amax(1), (query[:, 0] // N + 1) * N)
    size = high - low
    block = torch.arange(len(query), device=device)
    near_block = block.repeat_interleave(size)
    near = torch.arange(len(near_block), device=device) + (low - size.cumsum(0) + size)[near_block]
    # Looking back, only the sequence of a block's first query can begin before what is near.
    begins = line.begin[query[:, :1] if line.context.causal else query]
    first = (begins[:, :, None] + torch.arange(FIRST_ANCHORS, device=device)).flatten(1)
    first = torch.minimum(first, (query[:, :1] // N + 1) * N - 1)
    codes = [near_block * P + near, (block[:, None] * P + first).flatten()]
    if cover.kinds:
        slot, far = listed_keys(line, query.flatten(), cover.kinds)
        codes.append(slot // queries * P + far)
    code: Tensor = torch.cat(codes).unique()  # type: ignore[no-untyped-call]
    return Blocks(query, again, code % P, torch.bincount(code // P, minlength=len(query)))
