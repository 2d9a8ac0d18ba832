"""Attention through lists of tiles, forward, in Triton: one program takes a block of queries of one head.

Online softmax (Milakov and Gimelshein 2018) over tiles as in FlashAttention-2 (Dao 2023), base 2. Keys and values are
gathered by the list, so a far key costs a column and not a tile. No atomics, nothing of N*N.

Letters: S queries of a block, T keys of a tile, D width of a head, F first pieces of a sequence.
"""

import triton
import triton.language as tl

FIRST: tl.constexpr = tl.constexpr(4)
"""model.views.FIRST_ANCHORS"""
NARROWEST: tl.constexpr = tl.constexpr(16)
"""Keys of the narrowest product of tensor cores: the tile of first pieces is so wide, and mostly empty."""


@triton.jit
def seen_of(bits, e, T: tl.constexpr, S: tl.constexpr):
    """bool [S,T]: the pairs of tile e that are seen."""
    s, j = tl.arange(0, S), tl.arange(0, T)
    if T <= 32:
        word = tl.load(bits + e * S + s)[:, None]
    else:
        low, high = tl.load(bits + (e * S + s) * 2)[:, None], tl.load(bits + (e * S + s) * 2 + 1)[:, None]
        word = tl.where(j[None, :] < 32, low, high)
    return ((word >> (j[None, :] & 31)) & 1) != 0


@triton.jit
def rows_of(base, place, stride, D: tl.constexpr, WIDTH: tl.constexpr):
    """[len(place),D]: rows of a head, whole as lists hold no place outside; 0 beyond its width."""
    d = tl.arange(0, D)
    at = base + place[:, None] * stride + d[None, :]
    if D == WIDTH:
        return tl.load(at)
    return tl.load(at, mask=d[None, :] < WIDTH, other=0.0)


@triton.jit
def softened(score, seen, most, total):
    """The weights of more scores, and the largest, the sum and the factor for what was before."""
    score = tl.where(seen, score, float("-inf"))
    more = tl.maximum(most, tl.max(score, 1))
    # Where nothing is seen yet, the largest is -inf, and a difference of two of them is no number.
    held = tl.where(more == float("-inf"), 0.0, more)
    weight = tl.exp2(score - held[:, None])
    shrunk = tl.exp2(most - held)
    return weight, more, total * shrunk + tl.sum(weight, 1), shrunk


@triton.jit
def forward_kernel(
    q, k, v, out, lse,
    item, view_of_head, begin, place, bits, sink, sequence, slope,
    q_row, q_head, q_place, k_row, k_head, k_place, v_row, v_head, v_place, o_row, o_head, o_place,
    N, X, blocks, heads, each, scale,
    S: tl.constexpr, T: tl.constexpr, D: tl.constexpr, WIDTH: tl.constexpr,
    SLOPED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Program: item[pid] = head * X + block. strides in elements; blocks: of a row; each: heads that share their keys;
    scale: of scores, times log2(e). out as q; lse: float32 [B,H,N], base-2 logarithm of each query's sum of weights."""
    work = tl.load(item + tl.program_id(0))
    head, x = work // X, work % X
    row, t = (x // blocks).to(tl.int64), x % blocks * S + tl.arange(0, S)
    group = head // each
    list_at = tl.load(view_of_head + head) * X + x
    real, t_safe = t < N, tl.minimum(t, N - 1)
    k_base, v_base = k + row * k_row + group * k_head, v + row * v_row + group * v_head
    q_SD = rows_of(q + row * q_row + head * q_head, t_safe, q_place, D, WIDTH)
    fall = 0.0
    if SLOPED:
        fall = tl.load(slope + head) * 1.4426950408889634

    most = tl.full([S], float("-inf"), tl.float32)
    total = tl.zeros([S], tl.float32)
    mixed = tl.zeros([S, D], tl.float32)
    for e in range(tl.load(begin + list_at), tl.load(begin + list_at + 1)):
        key = tl.load(place + e * T + tl.arange(0, T))
        seen = seen_of(bits, e, T, S)
        k_TD = rows_of(k_base, key, k_place, D, WIDTH)
        score = tl.dot(q_SD, tl.trans(k_TD), input_precision=PRECISION) * scale
        if SLOPED:
            score -= fall * tl.abs(t[:, None] - key[None, :]).to(tl.float32)
        weight, most, total, shrunk = softened(score, seen, most, total)
        v_TD = rows_of(v_base, key, v_place, D, WIDTH)
        mixed = tl.dot(weight.to(v_TD.dtype), v_TD, mixed * shrunk[:, None], input_precision=PRECISION)

    first = tl.load(sink + list_at)
    if first >= 0:
        key = tl.minimum(first + tl.arange(0, NARROWEST), N - 1)
        its = tl.load(sequence + row * N + t_safe) == first
        seen = (its & real)[:, None] & (tl.arange(0, NARROWEST) < FIRST)[None, :]
        k_FD = rows_of(k_base, key, k_place, D, WIDTH)
        score = tl.dot(q_SD, tl.trans(k_FD), input_precision=PRECISION) * scale
        if SLOPED:
            score -= fall * tl.abs(t[:, None] - key[None, :]).to(tl.float32)
        weight, most, total, shrunk = softened(score, seen, most, total)
        v_FD = rows_of(v_base, key, v_place, D, WIDTH)
        mixed = tl.dot(weight.to(v_FD.dtype), v_FD, mixed * shrunk[:, None], input_precision=PRECISION)

    some = tl.where(total > 0, total, 1.0)
    d = tl.arange(0, D)
    to = out + row * o_row + head * o_head + t[:, None] * o_place + d[None, :]
    tl.store(to, (mixed / some[:, None]).to(out.dtype.element_ty), mask=real[:, None] & (d < WIDTH)[None, :])
    tl.store(lse + (row * heads + head) * N + t, most + tl.log2(some), mask=real)
