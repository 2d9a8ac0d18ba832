"""The left-to-right network in use: exact arithmetic, so that no word's tag depends on what is computed beside it.

A word's rows (`pipeline.prefix.features`) give a vector of the word; three words that follow one another, one of their
neighbourhood; a gated recurrent unit of straight lines reads these from left to right; and from both comes the view
that tag, features and the scores of pairs are read from.

**Why nothing depends on the batch.** A matrix product in floating point is summed in another order for another shape,
and has other last bits. Here every activation is an integer (in units of its grid, a power of two) and every weight an
int8 times a power of two a row, and `Layer` makes sure that no sum, however ordered, reaches 2**24 units: so every
partial sum is a float32 without rounding. All other operations are single additions, products with few enough bits,
roundings of exact numbers and comparisons. The same bits come out of any batch, library and machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.prefix.features import WORD_ROWS

Floats = NDArray[np.float32]
Places = NDArray[np.int64]

TANH_BITS, RELU_BITS, STATE_BITS, GATE_BITS, PAIR_BITS = 7, 6, 10, 8, 5
"""Units are 2**-bits: of embeddings (up to 127 units), rectified activations (255), the recurrent state and all that
flows into it (1,023 and 8,192), its gates (256), queries and keys (127)."""

TANH_TOP, RELU_TOP, STATE_TOP, GATE_TOP, FLOW_TOP, PAIR_TOP, BIAS_TOP = 127, 255, 1023, 256, 8192, 127, 65_536

EXACT = 1 << 24
"""Integers up to here are float32 numbers without rounding."""

FAR = 64
"""Words apart from which distance does not matter any more."""

SCORES = 3
"""Of a pair: is there an arc; is the later word its head; will the earlier one be joined to a word still to come?"""
ARC, LATER_IS_HEAD, OPEN = range(SCORES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    row: int = 48
    word: int = 256
    near: int = 192
    state: int = 192
    view: int = 192
    pair: int = 32


LAYERS: dict[str, tuple[int, int, int]] = {
    # bits and largest number of what goes in, bits of what comes out
    "word": (TANH_BITS, TANH_TOP, RELU_BITS),
    "near": (RELU_BITS, RELU_TOP, RELU_BITS),
    "drive": (RELU_BITS, RELU_TOP, STATE_BITS),
    "recur": (STATE_BITS, STATE_TOP, STATE_BITS),
    "view_state": (STATE_BITS, STATE_TOP, STATE_BITS),
    "view_near": (RELU_BITS, RELU_TOP, STATE_BITS),
    "tag": (RELU_BITS, RELU_TOP, STATE_BITS),
    "label": (RELU_BITS, RELU_TOP, STATE_BITS),
    "query": (RELU_BITS, RELU_TOP, PAIR_BITS),
    "key": (RELU_BITS, RELU_TOP, PAIR_BITS),
}


@dataclass(frozen=True, slots=True)
class Layer:
    """y = x W + b in units of the outgoing grid, before rounding; exact."""

    weight: Floats
    """[in, out]"""
    bias: Floats

    @classmethod
    def of(cls, name: str, arrays: Mapping[str, NDArray[Any]]) -> "Layer":
        """From `weight` int8 [out, in], `shift` int8 [out] (a row's unit is 2**shift) and `bias` int32 [out] (its unit
        is the row's times that of what goes in). ValueError if a sum could grow too large to be exact."""
        bits, top, out_bits = LAYERS[name]
        weight, shift, bias = (arrays[f"{name}.{part}"] for part in ("weight", "shift", "bias"))
        largest = np.abs(weight.astype(np.int64)).sum(1) * top + np.abs(bias.astype(np.int64))
        if (largest >= EXACT).any():
            row = int(largest.argmax())
            raise ValueError(f"row {row} of {name} can sum up to {largest[row]:,}; under {EXACT:,} it would be exact")
        unit = np.ldexp(np.float32(1), shift.astype(np.int32) - bits + out_bits).astype(np.float32)
        return cls(
            np.ascontiguousarray((weight * unit[:, None]).T.astype(np.float32)), (bias * unit).astype(np.float32)
        )

    def __call__(self, x: Floats) -> Floats:
        y: Floats = x @ self.weight
        y += self.bias
        return y


def rounded(x: Floats, low: int, high: int) -> Floats:
    """To the nearest integer of the range, in place."""
    np.rint(x, out=x)
    return np.clip(x, low, high, out=x)


class Network:
    """The layers, made from the arrays of a file. Letters: U distinct words, N words, S sentences, H state."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.rows, self.vectors = arrays["rows"], arrays["vectors"]
        self.distance = np.clip(arrays["distance"], -BIAS_TOP, BIAS_TOP).astype(np.float32)
        self.layers = {name: Layer.of(name, arrays) for name in LAYERS}
        near = self.layers["near"]
        self._taps = np.ascontiguousarray(np.concatenate(np.split(near.weight, 3), axis=1))
        self.state_size = len(self.layers["recur"].weight)

    def word_taps(self, rows: NDArray[np.int32]) -> Floats:
        """[U, 3 * near]: what each word says as the last, the last but one and the one before of a neighbourhood.

        rows: as `word_rows` gives them."""
        told = self.rows[rows].reshape(len(rows), -1)
        vector = self.vectors[rows[:, -1] - WORD_ROWS]
        word = rounded(self.layers["word"](np.concatenate([told, vector], axis=1).astype(np.float32)), 0, RELU_TOP)
        taps: Floats = word @ self._taps
        return taps

    def near(self, taps: Floats, word: Places, before: Places, earlier: Places) -> Floats:
        """[N, near] of words and the two before each, as rows of `taps`; a row of -1 stands for none."""
        size = taps.shape[1] // 3
        silent = np.concatenate([taps, np.zeros_like(taps[:1])])  # row -1
        near = silent[word, :size]
        near += silent[before, size : 2 * size]
        near += silent[earlier, 2 * size :]
        near += self.layers["near"].bias
        return rounded(near, 0, RELU_TOP)

    def drive(self, near: Floats) -> Floats:
        """[N, 3 H]: what the unit is given at each word."""
        return rounded(self.layers["drive"](near), -FLOW_TOP, FLOW_TOP)

    def next_state(self, state: Floats, drive: Floats) -> Floats:
        """[S, H]: a gated recurrent unit (Cho et al. 2014) whose curves are straight lines, for one word a sentence."""
        size = self.state_size
        again = rounded(self.layers["recur"](state), -FLOW_TOP, FLOW_TOP)
        gates = again[:, : 2 * size]
        gates += drive[:, : 2 * size]
        gates *= np.float32(2.0 ** (GATE_BITS - STATE_BITS - 2))  # a quarter of the sum, in units of gates
        gates += np.float32(GATE_TOP / 2)
        rounded(gates, 0, GATE_TOP)
        gates *= np.float32(1 / GATE_TOP)
        new = again[:, 2 * size :]
        new *= gates[:, :size]
        new += drive[:, 2 * size :]
        rounded(new, -STATE_TOP, STATE_TOP)
        moved: Floats = state - new
        moved *= gates[:, size:]
        moved += new
        np.rint(moved, out=moved)
        return moved

    def states(self, drive: Floats, first: Places) -> Floats:
        """[N, H] after each word. first: [S + 1] where each sentence begins, and N. Longer sentences first, so that
        those that have ended need not be carried along."""
        length = np.diff(first)
        order = np.argsort(-length, kind="stable")
        begin, alive = (
            first[:-1][order],
            np.searchsorted(-length[order], -np.arange(1, length.max(initial=0) + 1), "right"),
        )
        states = np.empty((len(drive), self.state_size), dtype=np.float32)
        state = np.zeros((len(order), self.state_size), dtype=np.float32)
        for place, going in enumerate(alive.tolist()):
            rows = begin[:going] + place
            state = self.next_state(state[:going], drive[rows])
            states[rows] = state
        return states

    def view(self, states: Floats, near: Floats) -> Floats:
        """[N, view]"""
        view = rounded(self.layers["view_state"](states), -FLOW_TOP, FLOW_TOP)
        view += rounded(self.layers["view_near"](near), -FLOW_TOP, FLOW_TOP)
        view *= np.float32(2.0 ** (RELU_BITS - STATE_BITS))
        return rounded(view, 0, RELU_TOP)

    def tags(self, view: Floats) -> NDArray[np.uint8]:
        """uint8 [N]: the best tag; of equals the first."""
        best: NDArray[np.uint8] = self.layers["tag"](view).argmax(1).astype(np.uint8)
        return best

    def labels(self, view: Floats, allowed: NDArray[np.bool_]) -> NDArray[np.int32]:
        """int32 [N]: the best label. allowed: bool [N, labels], those that go with the word's tag."""
        best: NDArray[np.int32] = np.where(allowed, self.layers["label"](view), -np.inf).argmax(1).astype(np.int32)
        return best

    def queries(self, view: Floats) -> Floats:
        """[N, SCORES, pair + 1]: the last is the word's own part of the score."""
        return _pair(self.layers["query"](view))

    def keys(self, view: Floats) -> Floats:
        """As `queries`, for the earlier word of a pair."""
        return _pair(self.layers["key"](view))


def _pair(x: Floats) -> Floats:
    x = x.reshape(len(x), SCORES, -1)
    own = x[..., -1:] * np.float32(2.0**PAIR_BITS)  # on the grid of a product
    rounded(x, -PAIR_TOP, PAIR_TOP)
    x[..., -1:] = rounded(own, -BIAS_TOP, BIAS_TOP)
    return x


def scores(query: Floats, key: Floats, number: int) -> Floats:
    """[..., T, T'] of queries [..., T, SCORES, pair + 1] and keys [..., T', SCORES, pair + 1], distance apart."""
    inner: Floats = query[..., number, :-1] @ key[..., number, :-1].swapaxes(-1, -2)
    inner += query[..., number, -1:]
    inner += key[..., number, -1:].swapaxes(-1, -2)
    return inner
