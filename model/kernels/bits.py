"""The bits of tiles: which pairs a view allows, evaluated once a batch for all heads and layers.

`bits_slow` asks `model.kernels.pairs.see`, pair by pair; on a GPU a kernel evaluates the masks in registers. Letters: E
tiles, S pieces of a block, T of a tile (32), P places of the line, X blocks.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from model.kernels.pairs import Line, Pairs, listed_keys, reach, see
from model.kernels.truth import MOST, Truth, truth_of
from model.views import FIRST_ANCHORS, PREVIOUS_ANCHORS, WORD_ANCHORS, View
from pipeline.records import KINDS

AT_ONCE = 1 << 21
"""Pairs evaluated together by the slow twin."""


@dataclass(frozen=True, slots=True)
class Tiles:
    """All about the tiles of a view's lists but their bits."""

    view: View
    line: Line
    block: Tensor
    """int64 [E]"""
    place: Tensor
    """int64 [E,T], on the line."""
    count: Tensor
    """int64 [E]: how many of the places are real; the others repeat the last."""
    code: Tensor
    """int64, ascending: block * P + place of all that stands in lists; [0] where nobody looks through bonds."""
    begin: Tensor
    """int64 [X+1]: the tiles of each block."""
    length: Tensor
    """int64 [X]: of each block's list."""
    size: int
    """S"""
    sink: Tensor | None
    """int64 [P], on the line, where the blocks are of keys: the sink of each query, whose pairs are left out; None
    where the blocks are of queries."""

    @property
    def by_key(self) -> bool:
        return self.sink is not None


def bits_of(tiles: Tiles) -> Tensor:
    """int32 [E,S]: bit n of a piece of the block: is its pair with place n of the tile seen?

    By blocks of keys, pairs with first pieces that sinks stand for are left out.
    """
    truth = truth_of(tiles.view) if tiles.line.run.is_cuda else None
    return bits_by_kernel(tiles, truth) if truth else bits_slow(tiles)


def bits_slow(tiles: Tiles) -> Tensor:
    """By masks of pairs. Memory in parts of AT_ONCE."""
    line, (E, T), size = tiles.line, tiles.place.shape, tiles.size
    grid, _ = grid_of(line, size)
    N, device = line.context.document.shape[1], grid.device
    inside = torch.arange(len(grid), device=device) % -(-N // size)
    whole_XS = (inside[:, None] * size + torch.arange(size, device=device)) < N
    real_ET = torch.arange(T, device=device) < tiles.count[:, None]
    bits = torch.zeros(E, size, dtype=torch.int32, device=device)
    for part in torch.split(torch.arange(E, device=device), max(1, AT_ONCE // (size * T))):
        block = tiles.block[part]
        own, other = grid[block], tiles.place[part]
        query, key = (other, own) if tiles.by_key else (own, other)
        seen = see(tiles.view, line, Pairs(query, key))
        if tiles.sink is not None:
            at = tiles.sink[query][:, :, None]
            seen &= (at < 0) | (line.begin[query][:, :, None] != at) | (key[:, None, :] >= at + FIRST_ANCHORS)
            seen = seen.transpose(1, 2)
        bits[part] = _packed(seen & whole_XS[block][:, :, None] & real_ET[part][:, None, :])
    return bits


def bits_by_kernel(tiles: Tiles, truth: Truth) -> Tensor:
    """By `model.kernels.triton_bits`. truth: of the view."""
    from model.kernels import triton_bits  # late: it needs Triton

    line, E, size = tiles.line, len(tiles.place), tiles.size
    N, P, device = line.context.document.shape[1], len(line.run), line.run.device
    bits = torch.empty(E, size, dtype=torch.int32, device=device)
    if E == 0:
        return bits
    kinds = [triton_bits.KIND_OF.get(mask.name, triton_bits.LISTED.value) for mask in truth.masks]
    everywhere = torch.arange(P, device=device)
    reaches, planes = torch.zeros(len(kinds), P, dtype=torch.int32, device=device), list[Tensor]()
    for number, (mask, kind) in enumerate(zip(truth.masks, kinds, strict=True)):
        if kind == triton_bits.SENTENCE.value:
            reaches[number] = reach(line, everywhere, mask.count or 1)
        is_listed = kind == triton_bits.LISTED.value
        planes.append(plane_of(tiles, mask.name) if is_listed else bits[:0])
    # Planes of masks that read no lists are empty, and lie where nobody looks for them.
    plane = torch.cat(planes)
    before, starts = 0, list[int]()
    for each in planes:
        starts.append(before)
        before += len(each)
    absent = MOST - len(kinds)
    counts = [
        start if kind == triton_bits.LISTED.value else mask.count or 0
        for mask, kind, start in zip(truth.masks, kinds, starts, strict=True)
    ]
    lists = (tiles.block, tiles.place, tiles.count, tiles.block[:0] if tiles.sink is None else tiles.sink)
    triton_bits.bits_kernel[(E,)](
        bits, *(each.int() for each in lists), *line.in_32_bits, reaches, plane,
        N, -(-N // size), P, _signed(truth.table), *counts, *[0] * absent,
        *kinds, *[triton_bits.ABSENT.value] * absent,
        CAUSAL=line.context.causal, BY_KEY=tiles.by_key, S=size,
        WORD=WORD_ANCHORS, PREVIOUS=PREVIOUS_ANCHORS, FIRST=FIRST_ANCHORS,
    )  # fmt: skip
    return bits


def grid_of(line: Line, size: int) -> tuple[Tensor, Tensor]:
    """int64 [X,S]: the places of each block, a short one repeating its last; int64 [X]: where its row ends."""
    (B, N), device = line.context.document.shape, line.run.device
    place = torch.arange(-(-N // size) * size, device=device).view(-1, size).clamp(max=N - 1)
    row = torch.arange(B, device=device)[:, None, None] * N
    return (place + row).flatten(0, 1), (row[:, 0, 0] + N).repeat_interleave(len(place))


def plane_of(tiles: Tiles, name: str) -> Tensor:
    """int32 [E,S]: the bits of a mask that reads lists."""
    line, (E, T), size = tiles.line, tiles.place.shape, tiles.size
    P, N = len(line.run), line.context.document.shape[1]
    kinds = [kind for kind in KINDS if kind != "blocked"] if name == "bonds" else [name]
    query, key = listed_keys(line, torch.arange(P, device=line.run.device), frozenset(map(KINDS.index, kinds)))
    own, other = (key, query) if tiles.by_key else (query, key)
    block = own // N * -(-N // size) + own % N // size
    wanted = block * P + other
    at = torch.searchsorted(tiles.code, wanted).clamp(max=len(tiles.code) - 1)
    kept = tiles.code[at] == wanted
    block, own, at = block[kept], own[kept], at[kept]
    inner = at - (tiles.length.cumsum(0) - tiles.length)[block]
    piece = (tiles.begin[block] + inner // T) * size + own % N % size
    pair: Tensor = (piece * T + inner % T).unique()  # type: ignore[no-untyped-call]
    words = torch.zeros(E * size, dtype=torch.int64, device=own.device)
    words.index_add_(0, pair // T, torch.ones_like(pair) << pair % T)
    return _to_int32(words).view(E, size)


def _packed(seen_EST: Tensor) -> Tensor:
    """int32 [E,S]: the tile's as one word."""
    return _to_int32((seen_EST.long() << torch.arange(seen_EST.shape[-1], device=seen_EST.device)).sum(-1))


def _to_int32(word: Tensor) -> Tensor:
    """The same 32 bits: what is 2**31 and more becomes negative."""
    return torch.where(word >= 1 << 31, word - (1 << 32), word).int()


def _signed(word: int) -> int:
    return word - (1 << 32) if word >= 1 << 31 else word
