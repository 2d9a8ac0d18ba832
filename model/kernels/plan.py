"""The plan of sparse attention: which keys each block of queries is scored against, made once a batch for all layers.

A block's keys are a stretch around it, the first pieces of its sequence, and what lists of bonds add; each key stands
once, so one softmax over a block's keys is the softmax of the view. Blocks of like width are computed together.
Letters: P places of a line, X blocks of a chunk, Q queries and K keys of a block, H heads, E keys of all blocks.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from model.kernels.covers import Cover
from model.kernels.pairs import Line, Pairs, listed_keys, see
from model.kernels.threads import undivided
from model.views import FIRST_ANCHORS, View

QUERIES = 32
"""Of a block. 16 to 64 take about as long: fewer make thin products, more share keys that most of them do not see."""
CHUNK_KEYS = {"cpu": 512, "cuda": 2**17}
"""Of all blocks of a chunk, about: enough that a call costs little beside its work, few enough to stay in the cache of
a CPU; on a GPU, few enough for its memory (4 MiB a head for 2**15)."""

See = Callable[[Tensor, Tensor], Tensor]
"""bool [X,Q,K] of places [X,Q] of queries and [X,K] of keys: which pairs count."""


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
    return plan_from(blocks, lambda query, key: see(view, line, Pairs(query, key)), slopes, dtype)


def plan_from(blocks: Blocks, sees: See, slopes: Sequence[float], dtype: torch.dtype) -> Plan:
    """A plan of blocks, whatever they and what is seen of them come from."""
    keys = CHUNK_KEYS.get(blocks.size.device.type, CHUNK_KEYS["cpu"])
    begin_X = blocks.size.cumsum(0) - blocks.size
    order = torch.argsort(blocks.size, descending=True, stable=True)
    chunks = []
    for part in _cut(blocks.size[order].tolist(), keys):
        chosen = order[part]
        query, again, size = blocks.query[chosen], blocks.again[chosen], blocks.size[chosen][:, None]
        slot = torch.arange(int(size[0]), device=size.device)
        key = blocks.key[begin_X[chosen][:, None] + torch.minimum(slot, size - 1)]
        seen = sees(query, key) & (slot < size)[:, None, :]
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


def _cut(widths: Sequence[int], keys: int) -> list[slice]:
    """Chunks of blocks whose widths, which fall, are alike."""
    cuts, start = list[slice](), 0
    while start < len(widths):
        stop = min(len(widths), start + max(1, keys // widths[start]))
        cuts.append(slice(start, stop))
        start = stop
    return cuts


def blocks_of(cover: Cover, line: Line, queries: int) -> Blocks:
    """Blocks of neighbouring queries of a row and all keys that the cover gives them."""
    P, N = len(line.run), line.context.document.shape[1]
    query, again = query_blocks(line, queries)
    # Looking back, only the sequence of a block's first query can begin before what is near.
    begins = line.begin[query[:, :1] if line.context.causal else query]
    first = (begins[:, :, None] + torch.arange(FIRST_ANCHORS, device=begins.device)).flatten(1)
    first = torch.minimum(first, (query[:, :1] // N + 1) * N - 1)
    block = torch.arange(len(query), device=query.device)
    codes = [near_codes(cover.low, cover.high, query, line), (block[:, None] * P + first).flatten()]
    if cover.kinds:
        slot, far = listed_keys(line, query.flatten(), cover.kinds)
        codes.append(slot // queries * P + far)
    return joined_blocks(query, again, codes, line)


def query_blocks(line: Line, queries: int) -> tuple[Tensor, Tensor]:
    """int64 [X,Q]: neighbouring places of a row; bool [X,Q]: which of them only fill up its last block."""
    B, N = line.context.document.shape
    place = torch.arange(-(-N // queries) * queries, device=line.run.device).view(-1, queries)
    row_B11 = torch.arange(B, device=place.device)[:, None, None] * N
    query = (place.clamp(max=N - 1) + row_B11).flatten(0, 1)
    return query, (place >= N).expand(B, -1, -1).flatten(0, 1)


def near_codes(low: Tensor, high: Tensor, query: Tensor, line: Line) -> Tensor:
    """Blocks and keys, as one number each (block * P + key): all from the lowest to the highest key of a block's
    queries, which see the places low ... high - 1 of the line, int64 [P]."""
    P, N = len(line.run), line.context.document.shape[1]
    low = low[query].amin(1)
    high = torch.minimum(high[query].amax(1), (query[:, 0] // N + 1) * N)
    size = high - low
    block = torch.arange(len(query), device=query.device).repeat_interleave(size)
    return block * P + torch.arange(len(block), device=query.device) + (low - size.cumsum(0) + size)[block]


def joined_blocks(query: Tensor, again: Tensor, codes: Sequence[Tensor], line: Line) -> Blocks:
    """Blocks of these queries with the keys that any of the lists of codes gives them."""
    P = len(line.run)
    code: Tensor = torch.cat([*codes]).unique()  # type: ignore[no-untyped-call]
    return Blocks(query, again, code % P, torch.bincount(code // P, minlength=len(query)))
