"""The way back of `model.kernels.triton_forward`: gradients of queries by their lists of keys, then of keys and values
by their lists of queries.

What first pieces of a sequence get from queries far from them is written down block by block with the gradients of
queries and added up at the end, by `sinks_kernel`: no atomics, the same bits every time.

Letters: S pieces of a block, T on the other side at a time (one tile or two), D width of a head, F first pieces of a
sequence.
"""

import triton
import triton.language as tl

from model.kernels.triton_forward import (
    ITEM,
    KINDS,
    LOG2E,
    TILE,
    added_of,
    rows_of,
    save,
    score_in,
    seen_of,
)

FIRST: tl.constexpr = tl.constexpr(4)
"""model.views.FIRST_ANCHORS"""


@triton.jit
def narrowest(x_ST, S: tl.constexpr, T: tl.constexpr):
    """The first 16 columns, of 32 or 64: the narrowest product of tensor cores."""
    if T == 64:
        x_ST = _left(x_ST, S, 64)
    return _left(x_ST, S, 32)


@triton.jit
def _left(x_ST, S: tl.constexpr, T: tl.constexpr):
    left, _ = tl.split(tl.permute(tl.reshape(x_ST, (S, 2, T // 2)), (0, 2, 1)))
    return left


@triton.jit
def queries_kernel(
    q, k, v, out, up, lse, dq, delta, partial, item, place, bits, codes, slope, learnt, d_learnt,
    q_row, q_head, q_place, k_row, k_head, k_place, v_row, v_head, v_place, o_row, o_head, o_place,
    u_row, u_head, u_place, dq_row, dq_head, dq_place,
    N, heads, scale,
    WHOLE: tl.constexpr, EACH: tl.constexpr, S: tl.constexpr, T: tl.constexpr, D: tl.constexpr, WIDTH: tl.constexpr,
    SLOPED: tl.constexpr, TERMED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradients of queries. item: as forward. scale: of scores, without log2(e). up: what comes back for out; delta:
    float32 [B,H,N], written: the inner product of out and up; partial: float32 [X,H,2,F,D], written: what each block
    gives back to its sink's keys and values; d_learnt: float32 [X,H,KINDS+1], written: what it gives back to learned
    terms."""
    told = item + tl.program_id(0) * ITEM
    head, row, start = tl.load(told), tl.load(told + 1).to(tl.int64), tl.load(told + 2)
    e_begin, e_end, first = tl.load(told + 3), tl.load(told + 4), tl.load(told + 5)
    group, t = head // EACH, start + tl.arange(0, S)
    t_safe = t if WHOLE else tl.minimum(t, N - 1)
    k_base, v_base = k + row * k_row + group * k_head, v + row * v_row + group * v_head
    up_SD = rows_of(up + row * u_row + head * u_head, t_safe, u_place, D, WIDTH)
    out_SD = rows_of(out + row * o_row + head * o_head, t_safe, o_place, D, WIDTH)
    q_SD = rows_of(q + row * q_row + head * q_head, t_safe, q_place, D, WIDTH)
    its = (row * heads + head) * N
    lse_S = tl.load(lse + its + t_safe)
    delta_S = tl.sum(out_SD.to(tl.float32) * up_SD.to(tl.float32), 1)
    tl.store(delta + its + t_safe, delta_S)  # those beyond N tell the last one's again
    fall = 0.0
    if SLOPED:
        fall = tl.load(slope + head) * LOG2E
    dq_SD = tl.zeros([S, D], tl.float32)
    if TERMED:
        learnt_SK = tl.zeros([S, KINDS + 1], tl.float32)
    d, f = tl.arange(0, D), tl.arange(0, 16)
    block = row * tl.cdiv(N, S) + start // S
    to, kept = partial + ((block * heads + head) * 2 * FIRST + f[:, None]) * D + d[None, :], (f < FIRST)[:, None]
    if first < 0:
        # Written by every block, so that nobody need clear it before.
        tl.store(to, tl.zeros([16, D], tl.float32), mask=kept)
        tl.store(to + FIRST * D, tl.zeros([16, D], tl.float32), mask=kept)
    for e in range(e_begin, e_end, T // TILE):
        key = tl.load(place + e * TILE + tl.arange(0, T))
        seen = seen_of(bits, e, e_end, S, T)
        k_TD = rows_of(k_base, key, k_place, D, WIDTH)
        v_TD = rows_of(v_base, key, v_place, D, WIDTH)
        exponent = tl.dot(q_SD, tl.trans(k_TD), input_precision=PRECISION) * (scale * LOG2E) - lse_S[:, None]
        if SLOPED:
            exponent -= fall * tl.abs(t[:, None] - key[None, :]).to(tl.float32)
        if TERMED:
            added, code = added_of(codes, learnt, e, e_end, head, S, T)
            exponent += added
        weight = tl.where(seen, tl.exp2(exponent), 0.0)
        d_weight = tl.dot(up_SD, tl.trans(v_TD), input_precision=PRECISION)
        d_exact = weight * (d_weight - delta_S[:, None])
        if TERMED:
            what = tl.arange(0, KINDS + 1)[None, :]
            learnt_SK += tl.where(what == 0, tl.sum(d_exact * score_in(code), 1)[:, None], 0.0)
            for kind in tl.static_range(KINDS):
                of_kind = tl.sum(tl.where(((code >> kind) & 1) != 0, d_exact, 0.0), 1)
                learnt_SK += tl.where(what == kind + 1, of_kind[:, None], 0.0)
        d_score = d_exact.to(k_TD.dtype)
        dq_SD = tl.dot(d_score, k_TD, dq_SD, input_precision=PRECISION)
        # A sink's keys are the first of the first tile.
        if (e == e_begin) & (first >= 0):
            dk_FD = tl.dot(tl.trans(narrowest(d_score, S, T)), q_SD, input_precision=PRECISION) * scale
            tl.store(to, dk_FD, mask=kept)
            weight_SF = narrowest(weight.to(up_SD.dtype), S, T)
            dv_FD = tl.dot(tl.trans(weight_SF), up_SD, input_precision=PRECISION)
            tl.store(to + FIRST * D, dv_FD, mask=kept)
    if TERMED:
        at = d_learnt + (block * heads + head) * (KINDS + 1) + tl.arange(0, KINDS + 1)
        tl.store(at, tl.sum(learnt_SK, 0))
    save(dq + row * dq_row + head * dq_head, t, dq_place, dq_SD * scale, N, WHOLE, D, WIDTH)


@triton.jit
def keys_kernel(
    q, k, v, up, lse, delta, dk, dv, item, place, bits, codes, slope, learnt,
    q_row, q_head, q_place, k_row, k_head, k_place, v_row, v_head, v_place,
    u_row, u_head, u_place, dk_row, dk_head, dk_place, dv_row, dv_head, dv_place,
    N, heads, scale,
    WHOLE: tl.constexpr, EACH: tl.constexpr, S: tl.constexpr, T: tl.constexpr, D: tl.constexpr, WIDTH: tl.constexpr,
    SLOPED: tl.constexpr, TERMED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradients of keys and values. item: int32 [programs,3+2*EACH]: head of keys, row, first piece of the block, and
    the tiles from-to of each head that shares them. S, T: of the lists of queries."""
    told = item + tl.program_id(0) * (3 + 2 * EACH)
    group, row, s = tl.load(told), tl.load(told + 1).to(tl.int64), tl.load(told + 2) + tl.arange(0, S)
    s_safe = s if WHOLE else tl.minimum(s, N - 1)
    k_SD = rows_of(k + row * k_row + group * k_head, s_safe, k_place, D, WIDTH)
    v_SD = rows_of(v + row * v_row + group * v_head, s_safe, v_place, D, WIDTH)
    dk_SD = tl.zeros([S, D], tl.float32)
    dv_SD = tl.zeros([S, D], tl.float32)
    for one in range(0, EACH):
        head = group * EACH + one
        q_base, u_base = q + row * q_row + head * q_head, up + row * u_row + head * u_head
        its = (row * heads + head) * N
        fall = 0.0
        if SLOPED:
            fall = tl.load(slope + head) * LOG2E
        e_end = tl.load(told + 4 + 2 * one)
        for e in range(tl.load(told + 3 + 2 * one), e_end, T // TILE):
            t = tl.load(place + e * TILE + tl.arange(0, T))
            seen = seen_of(bits, e, e_end, S, T)
            q_TD = rows_of(q_base, t, q_place, D, WIDTH)
            up_TD = rows_of(u_base, t, u_place, D, WIDTH)
            lse_T, delta_T = tl.load(lse + its + t), tl.load(delta + its + t)
            exponent = tl.dot(k_SD, tl.trans(q_TD), input_precision=PRECISION) * (scale * LOG2E) - lse_T[None, :]
            if SLOPED:
                exponent -= fall * tl.abs(s[:, None] - t[None, :]).to(tl.float32)
            if TERMED:
                added, _ = added_of(codes, learnt, e, e_end, head, S, T)
                exponent += added
            weight = tl.where(seen, tl.exp2(exponent), 0.0)
            dv_SD = tl.dot(weight.to(up_TD.dtype), up_TD, dv_SD, input_precision=PRECISION)
            d_weight = tl.dot(v_SD, tl.trans(up_TD), input_precision=PRECISION)
            d_score = (weight * (d_weight - delta_T[None, :])).to(q_TD.dtype)
            dk_SD = tl.dot(d_score, q_TD, dk_SD, input_precision=PRECISION)
    save(dk + row * dk_row + group * dk_head, s, dk_place, dk_SD * scale, N, WHOLE, D, WIDTH)
    save(dv + row * dv_row + group * dv_head, s, dv_place, dv_SD, N, WHOLE, D, WIDTH)


@triton.jit
def sink_parts_kernel(
    partial, sequences, heads, EACH: tl.constexpr, D: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    """Program (sequence, head of keys and which sum, part of C blocks): adds up a part where its first block's stands,
    so that of a long sequence many programs add."""
    z, group, which = tl.program_id(0), tl.program_id(1) // (2 * FIRST), tl.program_id(1) % (2 * FIRST)
    begin = tl.load(sequences + z * 4 + 2) + tl.program_id(2) * C
    stop = tl.load(sequences + z * 4 + 3)
    if begin < stop:
        d = tl.arange(0, D)
        total = _sum_of(partial, begin, stop, group, which, heads, EACH, D, C)
        tl.store(partial + ((begin.to(tl.int64) * heads + group * EACH) * 2 * FIRST + which) * D + d, total)


@triton.jit
def _sum_of(
    partial, begin, stop, group, which, heads, EACH: tl.constexpr, D: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    """float32 [D]: the sum over C blocks from `begin`, those before `stop`, and over the heads of a group."""
    d, x = tl.arange(0, D), begin + tl.arange(0, C)
    total = tl.zeros([D], tl.float32)
    for head in range(group * EACH, group * EACH + EACH):
        at = ((x.to(tl.int64) * heads + head) * 2 * FIRST + which)[:, None] * D + d[None, :]
        total += tl.sum(tl.load(partial + at, mask=(x < stop)[:, None], other=0.0), 0)
    return total


@triton.jit
def sinks_kernel(
    partial, dk, dv, sequence, sequences,
    dk_row, dk_head, dk_place, dv_row, dv_head, dv_place,
    N, heads,
    EACH: tl.constexpr, PARTS: tl.constexpr, D: tl.constexpr, WIDTH: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    """Program (sequence, head of keys, first piece and which gradient): adds the parts of all its blocks to it; those
    of C blocks each are added up already where PARTS. sequence: int32 [B,N], where each piece's sequence begins;
    sequences: model.kernels.lists.Sinks."""
    z, group, which = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    row, first = tl.load(sequences + z * 4).to(tl.int64), tl.load(sequences + z * 4 + 1)
    start, stop = tl.load(sequences + z * 4 + 2), tl.load(sequences + z * 4 + 3)
    d = tl.arange(0, D)
    total = tl.zeros([D], tl.float32)
    if PARTS:
        for x in range(start, stop, C * C):
            # Only the first head of each group holds a part.
            at = (((x + tl.arange(0, C) * C).to(tl.int64) * heads + group * EACH) * 2 * FIRST + which)[:, None] * D
            here = (x + tl.arange(0, C) * C < stop)[:, None]
            total += tl.sum(tl.load(partial + at + d[None, :], mask=here, other=0.0), 0)
    else:
        for x in range(start, stop, C):
            total += _sum_of(partial, x, stop, group, which, heads, EACH, D, C)
    piece = first + which % FIRST
    # A sequence of three pieces has no fourth: that place is another's, and another program's.
    if tl.load(sequence + row * N + tl.minimum(piece, N - 1)) == first and piece < N:
        if which < FIRST:
            to = dk + row * dk_row + group * dk_head + piece * dk_place + d
        else:
            to = dv + row * dv_row + group * dv_head + piece * dv_place + d
        tl.store(to, (tl.load(to, mask=d < WIDTH) + total).to(dk.dtype.element_ty), mask=d < WIDTH)
