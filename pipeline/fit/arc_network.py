"""The left-to-right network while it learns: in floating point, with the grids of `pipeline.prefix.network`.

Every number that the network will have in use is a multiple of a power of two. While it learns, numbers are only kept
in range at first; with `on_grid` they are rounded, too, and gradients pass through (Bengio et al. 2013). What it then
says is bit for bit what the network in use will say.
"""

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.prefix.features import FEATURES, HASHED, WORD_ROWS
from pipeline.prefix.network import (
    EXACT,
    FAR,
    GATE_BITS,
    LAYERS,
    PAIR_BITS,
    RELU_BITS,
    SCORES,
    STATE_BITS,
    TANH_BITS,
    TANH_TOP,
    Sizes,
)


class Grid(torch.autograd.Function):
    """To the nearest multiple of 2**-bits."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bits: int) -> Tensor:
        return torch.round(x * 2.0**bits) * 2.0**-bits

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


class Instead(torch.autograd.Function):
    """Other numbers in the place of those that learn."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, numbers: Tensor) -> Tensor:
        return numbers

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


class ArcNetwork(nn.Module):
    """B sentences, T words; sizes as in `pipeline.prefix.network`."""

    vectors: Tensor

    def __init__(self, sizes: Sizes, vectors: Tensor, labels: int, dropout: float) -> None:
        """vectors: [1 + known words, width], the first for all other words; multiples of 2**-TANH_BITS in [-1, 1]."""
        super().__init__()
        self.sizes, self.dropout, self.on_grid = sizes, dropout, False
        self.rows = nn.Embedding(WORD_ROWS + len(vectors), sizes.row)
        nn.init.normal_(self.rows.weight, std=0.2)
        nn.init.zeros_(self.rows.weight[: HASHED["spelling"]])  # a spelling that was never seen says nothing
        nn.init.zeros_(self.rows.weight[WORD_ROWS:])
        self.register_buffer("vectors", vectors)
        self.word = nn.Linear(FEATURES * sizes.row + vectors.shape[1], sizes.word)
        self.near = nn.Linear(3 * sizes.word, sizes.near)
        self.drive = nn.Linear(sizes.near, 3 * sizes.state)
        self.recur = nn.Linear(sizes.state, 3 * sizes.state)
        self.view_state = nn.Linear(sizes.state, sizes.view, bias=False)
        self.view_near = nn.Linear(sizes.near, sizes.view)
        self.tag = nn.Linear(sizes.view, 17)
        self.label = nn.Linear(sizes.view, labels)
        self.query = nn.Linear(sizes.view, SCORES * (sizes.pair + 1))
        self.key = nn.Linear(sizes.view, SCORES * (sizes.pair + 1))
        self.distance = nn.Parameter(torch.full((SCORES, FAR + 1), -2.0))
        for rectified in (self.word, self.near, self.view_state, self.view_near):
            nn.init.kaiming_normal_(rectified.weight, nonlinearity="relu")
        for flow in (self.drive, self.recur):
            nn.init.xavier_normal_(flow.weight)
        for layer in self.children():
            if isinstance(layer, nn.Linear) and layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def grid(self, x: Tensor, bits: int, low: float, high: float) -> Tensor:
        x = x.clamp(low, high)
        return Grid.apply(x, bits) if self.on_grid else x  # type: ignore[no-untyped-call]

    def relu(self, x: Tensor) -> Tensor:
        return self.grid(x, RELU_BITS, 0.0, 255 * 2.0**-RELU_BITS)

    def linear(self, name: str, x: Tensor) -> Tensor:
        return F.linear(x, *self.weights(name))

    def weights(self, name: str) -> tuple[Tensor, Tensor]:
        """Weight and bias of a layer, rounded if numbers are."""
        layer = getattr(self, name)
        bias = layer.weight.new_zeros(len(layer.weight)) if layer.bias is None else layer.bias
        if not self.on_grid:
            return layer.weight, bias
        weight, shift, moved = as_integers(name, layer.weight.detach(), bias.detach())
        unit = torch.ldexp(torch.ones_like(shift), shift)
        bits = LAYERS[name][0]
        weight, moved = weight * unit[:, None], moved * unit * 2.0**-bits
        return Instead.apply(layer.weight, weight), Instead.apply(bias, moved)  # type: ignore[no-untyped-call]

    def drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)

    def forward(self, rows: Tensor, unknown: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """rows: int64 [B, T, FEATURES]; unknown: bool [B, T], words that are to be taken for unknown ones.
        Returns tags [B, T, 17], labels [B, T, labels], and scores [B, SCORES, T, T] of word i (row) and word j."""
        top = 127 * 2.0**-TANH_BITS
        embedded = self.grid(self.rows(rows), TANH_BITS, -top, top)
        vector = self.vectors[rows[..., -1] - WORD_ROWS]
        if unknown is not None:
            keep = (torch.rand(embedded.shape[:-1]) >= self.dropout / 2).float().unsqueeze(-1)
            keep[..., 0, :] *= (~unknown).unsqueeze(-1)
            keep[..., -1, :] *= (~unknown).unsqueeze(-1)
            embedded, vector = embedded * keep, vector * keep[..., -1, :]
        told = torch.cat([embedded.flatten(2), vector], -1)
        x = self.drop(self.relu(self.linear("word", told)))
        before = torch.cat([x, F.pad(x, (0, 0, 1, 0))[:, :-1], F.pad(x, (0, 0, 2, 0))[:, :-2]], -1)
        near = self.drop(self.relu(self.linear("near", before)))
        state = self.drop(self.scan(self.linear("drive", near)))
        # Both flow in on one grid: units of the finer one would not leave room for the greater numbers of the other.
        flows = (self.linear("view_state", state), self.linear("view_near", near))
        one, other = (self.grid(flow, STATE_BITS, -8.0, 8.0) for flow in flows)
        view = self.relu(one + other)
        return self.read(self.drop(view))

    def scan(self, drive: Tensor) -> Tensor:
        """[B, T, state] from [B, T, 3 * state]: a GRU (Cho et al. 2014) of straight lines."""
        top, state, states = 8.0, drive.new_zeros(len(drive), self.sizes.state), []
        drive = self.grid(drive, STATE_BITS, -top, top)
        weight, bias = self.weights("recur")
        one, both = 1 - 2.0**-STATE_BITS, 2 * self.sizes.state
        for given in drive.unbind(1):
            again = self.grid(F.linear(state, weight, bias), STATE_BITS, -top, top)
            gates = self.grid((given[:, :both] + again[:, :both]) * 0.25 + 0.5, GATE_BITS, 0.0, 1.0)
            reset, keep = gates.chunk(2, -1)
            new = self.grid(given[:, both:] + reset * again[:, both:], STATE_BITS, -one, one)
            state = new + keep * (state - new)
            if self.on_grid:
                state = Grid.apply(state, STATE_BITS)  # type: ignore[no-untyped-call]
            states.append(state)
        return torch.stack(states, 1)

    def read(self, view: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        tag, label = self.linear("tag", view), self.linear("label", view)
        query, query_bias = self.pair(self.linear("query", view))
        key, key_bias = self.pair(self.linear("key", view))
        place = torch.arange(view.shape[1])
        apart = (place[:, None] - place).clamp(0, FAR)
        distance = self.grid(self.distance, 2 * PAIR_BITS, -64.0, 64.0)[:, apart]
        return tag, label, query @ key.transpose(-1, -2) + query_bias + key_bias.transpose(-1, -2) + distance

    def pair(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[B, SCORES, T, pair] and [B, SCORES, T, 1]"""
        x = x.reshape(*x.shape[:2], SCORES, -1).transpose(1, 2)
        top = 127 * 2.0**-PAIR_BITS
        return self.grid(x[..., :-1], PAIR_BITS, -top, top), self.grid(x[..., -1:], 2 * PAIR_BITS, -64.0, 64.0)


def as_integers(name: str, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weights [rows, in] from -127 to 127, the power of two [rows] that is a row's unit, and biases [rows] as multiples
    of that unit times the unit of what goes in; such that `Layer.of` takes them for exact."""
    bits, top, _ = LAYERS[name]
    reach = (weight.abs().sum(1) * top + bias.abs() * 2.0**bits) / (0.97 * EXACT)
    shift = torch.ceil(torch.log2(torch.maximum(weight.abs().amax(1) / 127, reach).clamp(min=2.0**-30)))
    unit = torch.ldexp(torch.ones_like(shift), shift)
    return (weight / unit[:, None]).round(), shift, (bias / (unit * 2.0**-bits)).round()


def arrays_of(network: ArcNetwork) -> dict[str, NDArray[Any]]:
    """What `pipeline.prefix.network.Network` is made from."""
    arrays: dict[str, NDArray[Any]] = {}
    for name in LAYERS:
        layer = getattr(network, name)
        bias = torch.zeros(len(layer.weight)) if layer.bias is None else layer.bias
        weight, shift, moved = as_integers(name, layer.weight.detach(), bias.detach())
        arrays[f"{name}.weight"] = weight.to(torch.int8).numpy()
        arrays[f"{name}.shift"] = shift.to(torch.int8).numpy()
        arrays[f"{name}.bias"] = moved.to(torch.int32).numpy()
    rows = (network.rows.weight.detach() * 2.0**TANH_BITS).round().clamp(-TANH_TOP, TANH_TOP)
    arrays["rows"] = rows.to(torch.int8).numpy()
    arrays["vectors"] = (network.vectors * 2.0**TANH_BITS).round().to(torch.int8).numpy()
    arrays["distance"] = (network.distance.detach() * 2.0 ** (2 * PAIR_BITS)).round().to(torch.int32).numpy()
    return arrays
