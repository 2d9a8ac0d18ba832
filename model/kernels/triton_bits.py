"""The bits of lists of tiles by one kernel: masks evaluated in registers from attributes of pieces.

The twin of `model.kernels.bits.bits_slow`, which asks `model.kernels.pairs.see`. Letters as there: S pieces of a
block, T of a tile (32), P places of the line.
"""

import triton
import triton.language as tl

ABSENT: tl.constexpr = tl.constexpr(-1)
WINDOW: tl.constexpr = tl.constexpr(0)
SENTENCE: tl.constexpr = tl.constexpr(1)
POS: tl.constexpr = tl.constexpr(2)
LISTED: tl.constexpr = tl.constexpr(3)
DENSE: tl.constexpr = tl.constexpr(4)
T: tl.constexpr = tl.constexpr(32)
KIND_OF = {"window": 0, "sentence": 1, "sentences": 1, "pos": 2, "dense": 4}
"""How masks are evaluated; those without a line here read lists."""


@triton.jit
def _mask(
    index, m: tl.constexpr, KIND: tl.constexpr, count, t, s, reach, tag_row, closed, input_tag, key_tag, last_word,
    planes, e, P, CAUSAL: tl.constexpr, S: tl.constexpr,
):  # fmt: skip
    """index with bit m set where mask m holds. t, s: places of queries and keys, one along each side of the tile."""
    if KIND == ABSENT:
        return index
    if KIND == WINDOW:
        held = tl.abs(t - s) < count
    elif KIND == SENTENCE:
        held = s >= tl.load(reach + m * P + t)
        if not CAUSAL:
            held = held & (t >= tl.load(reach + m * P + s))
    elif KIND == POS:
        known = tl.load(last_word + s) < tl.load(closed + t)
        tag = tl.where(known, tl.load(key_tag + s), tl.load(input_tag + s))
        held = ((tl.load(tag_row + t) >> tag) & 1) != 0
    elif KIND == LISTED:
        i, j = tl.arange(0, S)[:, None], tl.arange(0, T)[None, :]
        held = ((tl.load(planes + (count + e) * S + i) >> j) & 1) != 0
    else:
        held = (t - s) * 0 == 0
    return index | (held.to(tl.int32) << m)


@triton.jit
def bits_kernel(
    bits, block, place, count, sink,
    run, begin, first_word, last_word, closed, input_tag, key_tag, tag_row, reach, planes,
    N, blocks, P, table, c0, c1, c2, c3, c4,
    K0: tl.constexpr, K1: tl.constexpr, K2: tl.constexpr, K3: tl.constexpr, K4: tl.constexpr,
    CAUSAL: tl.constexpr, BY_KEY: tl.constexpr, S: tl.constexpr,
    WORD: tl.constexpr, PREVIOUS: tl.constexpr, FIRST: tl.constexpr,
):  # fmt: skip
    """Program: a tile, e. bits: int32 [E,S]. block: the block of each tile; place: [E*T], on the line; count: how
    many of the places are real. sink: [P], on the line, asked where the blocks are of keys. table and K0 … c4: the view
    (model.kernels.truth), kinds and numbers of its masks; reach: [masks,P]; planes: [E,S] for each mask that reads
    lists, whose number says after how many tiles of others its own begin. WORD, PREVIOUS, FIRST: the anchors. All are
    int32."""
    e = tl.program_id(0)
    x = tl.load(block + e)
    row, i, j = x // blocks, tl.arange(0, S), tl.arange(0, T)
    inside = x % blocks * S + i
    own = row * N + tl.minimum(inside, N - 1)
    other = tl.load(place + e * T + j)
    if BY_KEY:
        t, s = other[None, :], own[:, None]
    else:
        t, s = own[:, None], other[None, :]
    index = tl.zeros([S, T], tl.int32)
    index = _mask(index, 0, K0, c0, t, s, reach, tag_row, closed, input_tag, key_tag, last_word, planes, e, P,
                  CAUSAL, S)  # fmt: skip
    index = _mask(index, 1, K1, c1, t, s, reach, tag_row, closed, input_tag, key_tag, last_word, planes, e, P,
                  CAUSAL, S)  # fmt: skip
    index = _mask(index, 2, K2, c2, t, s, reach, tag_row, closed, input_tag, key_tag, last_word, planes, e, P,
                  CAUSAL, S)  # fmt: skip
    index = _mask(index, 3, K3, c3, t, s, reach, tag_row, closed, input_tag, key_tag, last_word, planes, e, P,
                  CAUSAL, S)  # fmt: skip
    index = _mask(index, 4, K4, c4, t, s, reach, tag_row, closed, input_tag, key_tag, last_word, planes, e, P,
                  CAUSAL, S)  # fmt: skip
    seen = ((table >> index) & 1) != 0

    back = t - s
    its_first = tl.load(first_word + t)
    anchor = (tl.load(last_word + s) >= its_first) & (its_first >= 0) & (back > 0) & (back <= WORD)
    anchor = anchor | (s - tl.load(begin + s) < FIRST) | ((back >= 0) & (back <= PREVIOUS))
    its_run = tl.load(run + t)
    together = (its_run == tl.load(run + s)) & (its_run >= 0)
    if CAUSAL:
        together = together & (back >= 0)
    seen = ((seen | anchor) & together) | (back == 0)
    if BY_KEY:
        at = tl.load(sink + t)
        seen = seen & ((at < 0) | (tl.load(begin + t) != at) | (s >= at + FIRST))
    seen = seen & (inside < N)[:, None] & (j < tl.load(count + e))[None, :]
    tl.store(bits + e * S + i, tl.sum(seen.to(tl.int32) << j[None, :], 1))
