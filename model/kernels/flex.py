"""Views on a GPU: FlexAttention (Dong et al. 2024) over lists of tiles that are made here, in O(N * keys of a query).

`create_block_mask` would look at all N*N pairs. Here a cover names the tiles that can hold a visible pair, those tiles
alone are evaluated pair by pair, and what they allow is kept as bits; the kernel reads the bits, so that one mask
function serves every view. Letters: B rows, N pieces, T tiles of a row, E tiles that are looked at, Q = K = TILE.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from model.kernels.covers import Cover
from model.kernels.pairs import Line, Pairs, see
from model.kernels.plan import blocks_of
from model.views import View

TILE = 128
AT_ONCE = 64
"""Tiles evaluated together: a million pairs."""
NOTHING, EVERYTHING = 0, 1
"""Tiles of bits that many places share."""


class Tiles(NamedTuple):
    """What FlexAttention is told about the heads of one view."""

    mask: BlockMask
    slopes: Tensor | None
    """[H]: of ALiBi."""


def attend_flex(q_BHND: Tensor, k_BGND: Tensor, v_BGND: Tensor, tiles: Tiles) -> Tensor:
    """Attention of heads that share tiles, [B,H,N,D]. On a CPU it runs uncompiled and has no gradient: for tests."""
    score_mod = None if tiles.slopes is None else less_by_distance(tiles.slopes)
    flex: Any = _compiled() if q_BHND.is_cuda else flex_attention
    shared = k_BGND.shape[1] != q_BHND.shape[1]
    out: Tensor = flex(
        q_BHND, k_BGND, v_BGND.to(q_BHND.dtype), score_mod=score_mod, block_mask=tiles.mask, enable_gqa=shared
    )
    return out


@cache
def _compiled() -> Callable[..., Any]:
    return torch.compile(flex_attention, dynamic=False)


def tiles_of(view: View, cover: Cover, line: Line, slopes: Sequence[float] = ()) -> Tiles:
    """The tiles of heads of one view that has a cover. slopes: of ALiBi, one a head, or none."""
    (B, N), device = line.context.document.shape, line.run.device
    T = -(-N // TILE)
    blocks = blocks_of(cover, line, TILE)
    block_of_key = torch.arange(B * T, device=device).repeat_interleave(blocks.size)
    code_E: Tensor = (block_of_key * T + blocks.key % N // TILE).unique()  # type: ignore[no-untyped-call]
    seen = [_seen(view, line, codes, N, T) for codes in torch.split(code_E, AT_ONCE)]
    some_E, all_E = (torch.cat([getattr(part, name)(2).flatten(1) for part in seen]) for name in ("any", "all"))
    some_E, all_E = some_E.any(1), all_E.all(1)
    part_E = some_E & ~all_E
    bits = torch.cat([_packed(part) for part in seen])[part_E]
    # As many tiles of bits as a power of two: another number would have the kernel compiled again.
    room = 1 << (len(bits) + 1).bit_length()
    store = bits.new_zeros(room, TILE, TILE // 8)
    store[EVERYTHING] = 255
    store[2 : 2 + len(bits)] = bits
    slot = torch.full((B * T * T,), NOTHING, dtype=torch.int32, device=device)
    slot[code_E[all_E]] = EVERYTHING
    slot[code_E[part_E]] = torch.arange(2, 2 + len(bits), dtype=torch.int32, device=device)
    mask = BlockMask.from_kv_blocks(
        *_lists(code_E[part_E], B, T),
        *_lists(code_E[all_E], B, T),
        BLOCK_SIZE=TILE,
        mask_mod=by_bits(slot.view(B, T, T), store),
        seq_lengths=(N, N),
    )
    return Tiles(mask, torch.tensor(slopes, device=device) if slopes else None)


def by_bits(slot_BTT: Tensor, store: Tensor) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """A mask function that looks a pair up: slot says which tile of bits, store [tiles, TILE, TILE/8] holds them."""

    def mask_mod(b: Tensor, _h: Tensor, q: Tensor, kv: Tensor) -> Tensor:
        byte = store[slot_BTT[b, q // TILE, kv // TILE], q % TILE, kv % TILE // 8]
        return ((byte >> (kv % 8)) & 1) == 1

    return mask_mod


def less_by_distance(slopes: Tensor) -> Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]:
    """A score function: ALiBi."""

    def score_mod(score: Tensor, _b: Tensor, h: Tensor, q: Tensor, kv: Tensor) -> Tensor:
        return score - slopes[h] * (q - kv).abs()

    return score_mod


def _seen(view: View, line: Line, code_E: Tensor, N: int, T: int) -> Tensor:
    """bool [E,Q,K] of these tiles; a tile's number is (row * T + its row of tiles) * T + its column."""
    row_E = code_E // (T * T)
    inside = torch.arange(TILE, device=code_E.device)
    query, key = (code_E // T % T)[:, None] * TILE + inside, (code_E % T)[:, None] * TILE + inside
    real = (query < N)[:, :, None] & (key < N)[:, None, :]
    query, key = (place.clamp(max=N - 1) + row_E[:, None] * N for place in (query, key))
    return see(view, line, Pairs(query, key)) & real


def _packed(seen_EQK: Tensor) -> Tensor:
    """uint8 [E,Q,K/8]: bit n of a byte is its n-th key."""
    place = torch.arange(8, dtype=torch.uint8, device=seen_EQK.device)
    bit = seen_EQK.view(*seen_EQK.shape[:2], -1, 8).to(torch.uint8)
    return (bit << place).sum(-1, dtype=torch.uint8)


def _lists(code_E: Tensor, B: int, T: int) -> tuple[Tensor, Tensor]:
    """How many tiles each row of tiles has, int32 [B,1,T], and which, int32 [B,1,T,T]: full width, or the kernel reads
    past the end of a list."""
    count = torch.bincount(code_E // T, minlength=B * T)
    at = torch.arange(len(code_E), device=code_E.device) - (count.cumsum(0) - count)[code_E // T]
    index = torch.zeros(B * T, T, dtype=torch.int32, device=code_E.device)
    index[code_E // T, at] = (code_E % T).int()
    return count.int().view(B, 1, T), index.view(B, 1, T, T)
