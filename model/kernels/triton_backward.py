"""The way back of `model.kernels.triton_forward`, in one launch: gradients of queries by their lists of keys, and of
keys and values by their lists of queries.

Two kinds of programs take turns, so that what one reads of a stretch of the text the other finds in the cache. What
first pieces of a sequence get from queries far from them is written down block by block and added up at the end, by
`sinks_kernel`: no atomics, the same bits every time.

Letters: S pieces of a block, T of a tile, D width of a head, F first pieces of a sequence.
"""

import triton
import triton.language as tl

from model.kernels.triton_forward import FIRST, NARROWEST, rows_of, seen_of


@triton.jit
def backward_kernel(
    q, k, v, out, up, lse, dq, dk, dv, partial,
    item, view_of_head, key_begin, key_place, key_bits, query_begin, query_place, query_bits, sink, sequence, slope,
    q_row, q_head, q_place, k_row, k_head, k_place, v_row, v_head, v_place, o_row, o_head, o_place,
    u_row, u_head, u_place, dq_row, dq_head, dq_place, dk_row, dk_head, dk_place, dv_row, dv_head, dv_place,
    N, X, blocks, Y, key_blocks, heads, each, scale,
    S: tl.constexpr, T: tl.constexpr, KS: tl.constexpr, QT: tl.constexpr, D: tl.constexpr, WIDTH: tl.constexpr,
    SLOPED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Program: item[pid] = 2 * (head * X + block of queries), or 2 * (head of keys * Y + block of keys) + 1.
    S, T: of the lists of keys; KS, QT: of those of queries. scale: of scores, without log2(e). up: what comes back for
    out; partial: float32 [X,H,2,F,D], what each block of queries gives back to its sink's keys and values."""
    work = tl.load(item + tl.program_id(0))
    if work % 2 == 0:
        head, x = work // 2 // X, work // 2 % X
        _queries(
            q, k, v, out, up, lse, dq, partial, view_of_head, key_begin, key_place, key_bits, sink, sequence, slope,
            q_row, q_head, q_place, k_row, k_head, k_place, v_row, v_head, v_place, o_row, o_head, o_place,
            u_row, u_head, u_place, dq_row, dq_head, dq_place,
            N, X, blocks, heads, each, scale, head, x, S, T, D, WIDTH, SLOPED, PRECISION,
        )  # fmt: skip
    else:
        group, y = work // 2 // Y, work // 2 % Y
        _keys(
            q, k, v, out, up, lse, dk, dv, view_of_head, query_begin, query_place, query_bits, slope,
            q_row, q_head, q_place, k_row, k_head, k_place, v_row, v_head, v_place, o_row, o_head, o_place,
            u_row, u_head, u_place, dk_row, dk_head, dk_place, dv_row, dv_head, dv_place,
            N, Y, key_blocks, heads, each, scale, group, y, KS, QT, D, WIDTH, SLOPED, PRECISION,
        )  # fmt: skip


@triton.jit
def _queries(
    q, k, v, out, up, lse, dq, partial, view_of_head, begin, place, bits, sink, sequence, slope,
    q_row, q_head, q_place, k_row, k_head, k_place, v_row, v_head, v_place, o_row, o_head, o_place,
    u_row, u_head, u_place, dq_row, dq_head, dq_place,
    N, X, blocks, heads, each, scale, head, x,
    S: tl.constexpr, T: tl.constexpr, D: tl.constexpr, WIDTH: tl.constexpr,
    SLOPED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    row, t = (x // blocks).to(tl.int64), x % blocks * S + tl.arange(0, S)
    group = head // each
    list_at = tl.load(view_of_head + head) * X + x
    real, t_safe = t < N, tl.minimum(t, N - 1)
    k_base, v_base = k + row * k_row + group * k_head, v + row * v_row + group * v_head
    q_SD = rows_of(q + row * q_row + head * q_head, t_safe, q_place, D, WIDTH)
    up_SD = rows_of(up + row * u_row + head * u_head, t_safe, u_place, D, WIDTH)
    out_SD = rows_of(out + row * o_row + head * o_head, t_safe, o_place, D, WIDTH)
    delta = tl.sum(out_SD.to(tl.float32) * up_SD.to(tl.float32), 1)
    lse_S = tl.load(lse + (row * heads + head) * N + t_safe)
    fall = 0.0
    if SLOPED:
        fall = tl.load(slope + head) * 1.4426950408889634
    dq_SD = tl.zeros([S, D], tl.float32)
    for e in range(tl.load(begin + list_at), tl.load(begin + list_at + 1)):
        key = tl.load(place + e * T + tl.arange(0, T))
        seen = seen_of(bits, e, T, S)
        k_TD = rows_of(k_base, key, k_place, D, WIDTH)
        v_TD = rows_of(v_base, key, v_place, D, WIDTH)
        score = tl.dot(q_SD, tl.trans(k_TD), input_precision=PRECISION) * (scale * 1.4426950408889634)
        if SLOPED:
            score -= fall * tl.abs(t[:, None] - key[None, :]).to(tl.float32)
        weight = tl.exp2(tl.where(seen, score - lse_S[:, None], float("-inf")))
        d_weight = tl.dot(up_SD, tl.trans(v_TD), input_precision=PRECISION)
        d_score = (weight * (d_weight - delta[:, None])).to(k_TD.dtype)
        dq_SD = tl.dot(d_score, k_TD, dq_SD, input_precision=PRECISION)

    first = tl.load(sink + list_at)
    d, f = tl.arange(0, D), tl.arange(0, NARROWEST)
    # Written by every block, so that nobody need clear it before.
    to = partial + ((x.to(tl.int64) * heads + head) * 2 * FIRST + f[:, None]) * D + d[None, :]
    if first >= 0:
        key = tl.minimum(first + f, N - 1)
        its = tl.load(sequence + row * N + t_safe) == first
        seen = (its & real)[:, None] & (f < FIRST)[None, :]
        k_FD = rows_of(k_base, key, k_place, D, WIDTH)
        v_FD = rows_of(v_base, key, v_place, D, WIDTH)
        score = tl.dot(q_SD, tl.trans(k_FD), input_precision=PRECISION) * (scale * 1.4426950408889634)
        if SLOPED:
            score -= fall * tl.abs(t[:, None] - key[None, :]).to(tl.float32)
        weight = tl.exp2(tl.where(seen, score - lse_S[:, None], float("-inf")))
        d_weight = tl.dot(up_SD, tl.trans(v_FD), input_precision=PRECISION)
        d_score = (weight * (d_weight - delta[:, None])).to(k_FD.dtype)
        dq_SD = tl.dot(d_score, k_FD, dq_SD, input_precision=PRECISION)
        dk_FD = tl.dot(tl.trans(d_score), q_SD, input_precision=PRECISION) * scale
        dv_FD = tl.dot(tl.trans(weight.to(up_SD.dtype)), up_SD, input_precision=PRECISION)
        tl.store(to, dk_FD, mask=(f < FIRST)[:, None])
        tl.store(to + FIRST * D, dv_FD, mask=(f < FIRST)[:, None])
    else:
        nothing = tl.zeros([NARROWEST, D], tl.float32)
        tl.store(to, nothing, mask=(f < FIRST)[:, None])
        tl.store(to + FIRST * D, nothing, mask=(f < FIRST)[:, None])

    at = dq + row * dq_row + head * dq_head + t[:, None] * dq_place + d[None, :]
    tl.store(at, (dq_SD * scale).to(dq.dtype.element_ty), mask=real[:, None] & (d < WIDTH)[None, :])


@triton.jit
def _keys(
    q, k, v, out, up, lse, dk, dv, view_of_head, begin, place, bits, slope,
    q_row, q_head, q_place, k_row, k_head, k_place, v_row, v_head, v_place, o_row, o_head, o_place,
    u_row, u_head, u_place, dk_row, dk_head, dk_place, dv_row, dv_head, dv_place,
    N, Y, key_blocks, heads, each, scale, group, y,
    S: tl.constexpr, T: tl.constexpr, D: tl.constexpr, WIDTH: tl.constexpr,
    SLOPED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    row, s = (y // key_blocks).to(tl.int64), y % key_blocks * S + tl.arange(0, S)
    real, s_safe = s < N, tl.minimum(s, N - 1)
    k_SD = rows_of(k + row * k_row + group * k_head, s_safe, k_place, D, WIDTH)
    v_SD = rows_of(v + row * v_row + group * v_head, s_safe, v_place, D, WIDTH)
    dk_SD = tl.zeros([S, D], tl.float32)
    dv_SD = tl.zeros([S, D], tl.float32)
    for head in range(group * each, group * each + each):
        list_at = tl.load(view_of_head + head) * Y + y
        q_base, u_base = q + row * q_row + head * q_head, up + row * u_row + head * u_head
        o_base, l_base = out + row * o_row + head * o_head, lse + (row * heads + head) * N
        fall = 0.0
        if SLOPED:
            fall = tl.load(slope + head) * 1.4426950408889634
        for e in range(tl.load(begin + list_at), tl.load(begin + list_at + 1)):
            t = tl.load(place + e * T + tl.arange(0, T))
            seen = seen_of(bits, e, T, S)
            q_TD = rows_of(q_base, t, q_place, D, WIDTH)
            up_TD = rows_of(u_base, t, u_place, D, WIDTH)
            out_TD = rows_of(o_base, t, o_place, D, WIDTH)
            delta = tl.sum(out_TD.to(tl.float32) * up_TD.to(tl.float32), 1)
            lse_T = tl.load(l_base + t)
            score = tl.dot(k_SD, tl.trans(q_TD), input_precision=PRECISION) * (scale * 1.4426950408889634)
            if SLOPED:
                score -= fall * tl.abs(s[:, None] - t[None, :]).to(tl.float32)
            weight = tl.exp2(tl.where(seen, score - lse_T[None, :], float("-inf")))
            dv_SD = tl.dot(weight.to(up_TD.dtype), up_TD, dv_SD, input_precision=PRECISION)
            d_weight = tl.dot(v_SD, tl.trans(up_TD), input_precision=PRECISION)
            d_score = (weight * (d_weight - delta[None, :])).to(q_TD.dtype)
            dk_SD = tl.dot(d_score, q_TD, dk_SD, input_precision=PRECISION)
    d = tl.arange(0, D)
    kept = real[:, None] & (d < WIDTH)[None, :]
    at = row * dk_row + group * dk_head + s[:, None] * dk_place + d[None, :]
    tl.store(dk + at, (dk_SD * scale).to(dk.dtype.element_ty), mask=kept)
    at = row * dv_row + group * dv_head + s[:, None] * dv_place + d[None, :]
    tl.store(dv + at, dv_SD.to(dv.dtype.element_ty), mask=kept)


@triton.jit
def sinks_kernel(
    partial, dk, dv, sequences,
    dk_row, dk_head, dk_place, dv_row, dv_head, dv_place,
    N, heads, each,
    D: tl.constexpr, WIDTH: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    """Program (sequence, head of keys, first piece and which gradient): adds the parts of all its blocks to it."""
    z, group, which = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    row, first = tl.load(sequences + z * 4).to(tl.int64), tl.load(sequences + z * 4 + 1)
    start, stop = tl.load(sequences + z * 4 + 2), tl.load(sequences + z * 4 + 3)
    d, c = tl.arange(0, D), tl.arange(0, C)
    total = tl.zeros([D], tl.float32)
    for head in range(group * each, group * each + each):
        for x in range(start, stop, C):
            at = (((x + c).to(tl.int64) * heads + head) * 2 * FIRST + which)[:, None] * D + d[None, :]
            total += tl.sum(tl.load(partial + at, mask=(x + c < stop)[:, None], other=0.0), 0)
    piece = first + which % FIRST
    if piece < N:
        if which < FIRST:
            to = dk + row * dk_row + group * dk_head + piece * dk_place + d
        else:
            to = dv + row * dv_row + group * dv_head + piece * dv_place + d
        tl.store(to, (tl.load(to, mask=d < WIDTH) + total).to(dk.dtype.element_ty), mask=d < WIDTH)
