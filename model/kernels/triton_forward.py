"""Attention through lists of tiles, forward, in Triton: one program takes a block of queries of one head.

Online softmax (Milakov and Gimelshein 2018) over tiles as in FlashAttention-2 (Dao 2023), base 2. Keys and values are
gathered by the list, so a far key costs a column and not a tile. No atomics, nothing of N*N.

Letters: S queries of a block, T keys at a time (one tile or two), D width of a head.
"""

import triton
import triton.language as tl

LOG2E: tl.constexpr = tl.constexpr(1.4426950408889634)
KINDS: tl.constexpr = tl.constexpr(7)
"""len(pipeline.records.KINDS)"""
LOWEST: tl.constexpr = tl.constexpr(-4)
"""model.kernels.codes.LOWEST"""
ITEM: tl.constexpr = tl.constexpr(6)
"""Numbers that a program is told: head, row, first piece of its block, tiles from-to, sink."""
TILE: tl.constexpr = tl.constexpr(32)
"""model.kernels.lists.TILE"""
UNSEEN: tl.constexpr = tl.constexpr(-(2.0**100))
"""Of pairs that are not seen; a power of two: its products are exact, and their difference is 0, fused or not."""


@triton.jit
def seen_of(bits, e, e_end, S: tl.constexpr, T: tl.constexpr):
    """bool [S,T]: the pairs that are seen, of tile e where T is TILE, of it and the next where T is twice that."""
    s, j = tl.arange(0, S), tl.arange(0, T)
    word = tl.load(bits + e * S + s)[:, None]
    if T > TILE:
        # An odd tile has none beside it. What is read instead lies in the lists.
        other = tl.load(bits + tl.minimum(e + 1, e_end - 1) * S + s)[:, None]
        word = tl.where(j[None, :] < TILE, word, tl.where(e + 1 < e_end, other, 0))
    return ((word >> (j[None, :] & 31)) & 1) != 0


@triton.jit
def added_of(codes, learnt, e, e_end, head, S: tl.constexpr, T: tl.constexpr):
    """float32 [S,T], what learned terms of a head add to scores in base 2; and the pairs' codes, int32."""
    s, j = tl.arange(0, S), tl.arange(0, T)
    tile = tl.minimum(e + j // TILE, e_end - 1)[None, :]
    code = tl.load(codes + (tile * S + s[:, None]) * TILE + (j % TILE)[None, :]).to(tl.int32)
    its = learnt + head * (KINDS + 1)
    added = score_in(code) * tl.load(its)
    for kind in tl.static_range(KINDS):
        added += ((code >> kind) & 1).to(tl.float32) * tl.load(its + 1 + kind)
    return added * LOG2E, code


@triton.jit
def score_in(code):
    """float32: the score in a code (model.kernels.codes)."""
    return ((code >> KINDS) + LOWEST).to(tl.float32)


@triton.jit
def rows_of(base, place, stride, D: tl.constexpr, WIDTH: tl.constexpr):
    """[len(place),D]: rows of a head, whole as lists hold no place outside; 0 beyond its width."""
    d = tl.arange(0, D)
    at = base + place[:, None] * stride + d[None, :]
    if D == WIDTH:
        return tl.load(at)
    return tl.load(at, mask=d[None, :] < WIDTH, other=0.0)


@triton.jit
def save(base, place, stride, value, N, WHOLE: tl.constexpr, D: tl.constexpr, WIDTH: tl.constexpr):
    """Writes rows of a head. WHOLE: none lies beyond N."""
    d = tl.arange(0, D)
    at, value = base + place[:, None] * stride + d[None, :], value.to(base.dtype.element_ty)
    if WHOLE and D == WIDTH:
        tl.store(at, value)
    else:
        tl.store(at, value, mask=(place < N)[:, None] & (d < WIDTH)[None, :])


@triton.jit
def forward_kernel(
    q, k, v, out, lse, item, place, bits, codes, slope, learnt,
    q_row, q_head, q_place, k_row, k_head, k_place, v_row, v_head, v_place, o_row, o_head, o_place,
    N, heads, scale,
    WHOLE: tl.constexpr, EACH: tl.constexpr, S: tl.constexpr, T: tl.constexpr, D: tl.constexpr, WIDTH: tl.constexpr,
    SLOPED: tl.constexpr, TERMED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """item: int32 [programs,ITEM], what each program is told (model.kernels.program). strides in elements; scale: of
    scores, times log2(e); codes: of pairs, learnt: float32 [H,KINDS+1], read where TERMED; WHOLE: no block goes beyond
    its row; EACH: heads that share their keys. out as q; lse: float32 [B,H,N], base-2 logarithm of each query's sum of
    weights."""
    told = item + tl.program_id(0) * ITEM
    head, row, t = tl.load(told), tl.load(told + 1).to(tl.int64), tl.load(told + 2) + tl.arange(0, S)
    e_begin, e_end = tl.load(told + 3), tl.load(told + 4)
    group = head // EACH
    k_base, v_base = k + row * k_row + group * k_head, v + row * v_row + group * v_head
    q_SD = rows_of(q + row * q_row + head * q_head, t if WHOLE else tl.minimum(t, N - 1), q_place, D, WIDTH)
    # Scores stay as the product leaves them where scale is all that they want: it joins the exponent, in one operation.
    unit, fall = scale, 0.0
    if SLOPED or TERMED:
        unit = 1.0
    if SLOPED:
        fall = tl.load(slope + head) * LOG2E

    # No real score is so low. What a row gathers before it has seen any key, its first one shrinks to nothing.
    most = tl.full([S], UNSEEN, tl.float32)
    total = tl.zeros([S], tl.float32)
    mixed = tl.zeros([S, D], tl.float32)
    for e in range(e_begin, e_end, T // TILE):
        key = tl.load(place + e * TILE + tl.arange(0, T))
        seen = seen_of(bits, e, e_end, S, T)
        k_TD = rows_of(k_base, key, k_place, D, WIDTH)
        score = tl.dot(q_SD, tl.trans(k_TD), input_precision=PRECISION)
        if SLOPED or TERMED:
            score *= scale
        if SLOPED:
            score -= fall * tl.abs(t[:, None] - key[None, :]).to(tl.float32)
        if TERMED:
            added, _ = added_of(codes, learnt, e, e_end, head, S, T)
            score += added
        score = tl.where(seen, score, UNSEEN)
        more = tl.maximum(most, tl.max(score, 1))
        held = more * unit
        weight = tl.exp2(score * unit - held[:, None])
        shrunk = tl.exp2(most * unit - held)
        most, total = more, total * shrunk + tl.sum(weight, 1)
        v_TD = rows_of(v_base, key, v_place, D, WIDTH)
        mixed = tl.dot(weight.to(v_TD.dtype), v_TD, mixed * shrunk[:, None], input_precision=PRECISION)

    save(out + row * o_row + head * o_head, t, o_place, mixed * (1.0 / total)[:, None], N, WHOLE, D, WIDTH)
    to = lse + (row * heads + head) * N + t
    if WHOLE:
        tl.store(to, most * unit + tl.log2(total))
    else:
        tl.store(to, most * unit + tl.log2(total), mask=t < N)
