"""A layer of sparse attention against a dense one: forward, training, and the memory of both, at several lengths.

valency reproduce asam --device cpu --json data/results/reproduce_asam_cpu.json

Measured: one layer of attention with its projections, 512 wide with 8 heads, in no time order, one row without padding,
random weights that are the same for all. `forward` is a pass without gradients; `training` is a pass, the gradients of
all weights and one step of AdamW; memory is the most that a pass with gradients held. What it is held against: 4.44,
4.47 and 2.70 times faster forward at 256, 512 and 1,024 tokens, 2.02 times in training at 1,024, and 5.45 times
`combined`, which is the product of the two at 1,024 (2.70 * 2.02 = 5.45) and no measurement of anything; ours is given
as that product, too. What they were faster than is not said, so there are two dense layers here: `naive`, which writes
down all scores, and `sdpa`, torch's own attention, which is what a ratio should be held against.
"""

import copy
from collections.abc import Callable, Sequence
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from flows.bench.turns import taking_turns
from flows.reproduce.variants import PRECISIONS, check_device, check_mechanisms, peaks, ratios, told
from model.attention import MECHANISMS as TABLE
from model.attention.heads import Heads
from model.config import ModelConfig
from model.context import Context
from model.layer import context_of_places

LENGTHS = (256, 512, 1024, 2048, 4096, 16384)
CLAIM = {
    "forward": {256: 4.44, 512: 4.47, 1024: 2.70},
    "training": {1024: 2.02},
    "combined": {1024: 5.45},
    "combined_is": "2.70 * 2.02, a product of two ratios",
}
MECHANISMS = ("local", "adaptive")
MOST_SCORES = {"cpu": 2**31, "cuda": 2**36, "mps": 2**33}
"""Bytes of one layer's scores from which `naive` is left out: it needs several times as much."""
LONG = 4096
"""Tokens from which a CPU measures once: one pass takes seconds."""


class Naive(Heads):
    """Dense attention that writes down all scores, as it is written in textbooks."""

    def mix(self, q_BHND: Tensor, k_BGND: Tensor, v_BGND: Tensor, context: Context) -> Tensor:
        scores_BHNN = q_BHND @ k_BGND.transpose(-1, -2) / sqrt(q_BHND.shape[-1])
        return scores_BHNN.softmax(-1) @ v_BGND


class Sdpa(Heads):
    """Dense attention by torch's own kernel."""

    def mix(self, q_BHND: Tensor, k_BGND: Tensor, v_BGND: Tensor, context: Context) -> Tensor:
        return functional.scaled_dot_product_attention(q_BHND, k_BGND, v_BGND)


DENSE: dict[str, Callable[[ModelConfig], Heads]] = {"naive": Naive, "sdpa": Sdpa}


def reproduce_asam(
    device: str = "cpu",
    lengths: Sequence[int] = LENGTHS,
    mechanisms: Sequence[str] = MECHANISMS,
    precisions: Sequence[str] = (),
    repeats: int = 0,
    dim: int = 512,
    heads: int = 8,
    on_row: Callable[[dict[str, Any]], None] = lambda row: None,
) -> dict[str, Any]:
    """The claim, and a row for each length and mechanism.

    precisions: none: float32 on a CPU, and bfloat16 beside it elsewhere. repeats: 0: 7 on a CPU (1 from LONG tokens
    on), 30 elsewhere. Errors: ValueError for a device or mechanism that is not there.
    """
    check_device(device)
    check_mechanisms(list(mechanisms))
    chosen = list(precisions) or (["float32"] if device == "cpu" else ["float32", "bfloat16"])
    rows = []
    for length in lengths:
        few = 1 if device == "cpu" and length >= LONG else 7 if device == "cpu" else 30
        measured = {each: _measured(device, length, mechanisms, each, repeats or few, dim, heads) for each in chosen}
        for name in mechanisms:
            row: dict[str, Any] = {"mechanism": name, "tokens": length}
            for what in ("forward", "training"):
                ours = {each: measured[each][what][name]["ms"] for each in chosen}
                row[what] = {
                    dense: ratios({each: measured[each][what][dense]["ms"] for each in chosen}, ours)
                    for dense in DENSE
                    if dense in measured[chosen[0]][what]
                }
            row["combined"] = {
                dense: {
                    each: row["forward"][dense]["same_precision"][each] * row["training"][dense]["same_precision"][each]
                    for each in chosen
                }
                for dense in row["forward"]
            }
            row["measured"] = {
                each: {
                    what: {who: its for who, its in told.items() if who in (name, *DENSE)}
                    for what, told in measured[each].items()
                }
                for each in chosen
            }
            rows.append(row)
            on_row(row)
    return {
        "experiment": "asam",
        "claim": CLAIM,
        "dim": dim,
        "heads": heads,
        "causal": False,
        "threads": torch.get_num_threads(),
        "rows": rows,
    }


def _measured(
    device: str, length: int, mechanisms: Sequence[str], precision: str, repeats: int, dim: int, heads: int
) -> dict[str, dict[str, Any]]:
    """Forward, training and peak memory by layer; a dense layer whose scores are too many is left out."""
    dtype = PRECISIONS[precision]
    config = ModelConfig(layers=1, dim=dim, heads=heads, positions="learned", context=length)
    layers: dict[str, Any] = {}
    for name, make in DENSE.items():
        if name == "naive" and heads * length * length * dtype.itemsize > MOST_SCORES[device.partition(":")[0]]:
            continue
        layers[name] = make(config)
    for name in mechanisms:
        layers[name] = TABLE[name].make(config, 0)
    for layer in layers.values():  # the same weights where they have the same names
        own = layer.state_dict()
        layer.load_state_dict(own | {each: its for each, its in layers["sdpa"].state_dict().items() if each in own})
        layer.to(device, dtype)
    torch.manual_seed(0)
    x = torch.randn(1, length, dim, device=device, dtype=dtype)
    context = context_of_places(1, length, causal=False, device=device)
    turns: dict[str, Any] = {"warm": 1 if device == "cpu" else 5, "fewest": repeats, "seconds": 0.0}
    forward = {name: _forward(layer, x, context) for name, layer in layers.items()}
    training = {name: _training(copy.deepcopy(layer), x, context) for name, layer in layers.items()}
    return {
        "forward": told(taking_turns(forward, device, **turns)),
        "training": told(taking_turns(training, device, **turns)),
        "peak_mib": peaks({name: _gradients(layer, x, context) for name, layer in layers.items()}, device),
    }


def _forward(layer: nn.Module, x: Tensor, context: Context) -> Callable[[], object]:
    def work() -> object:
        with torch.no_grad():
            return layer(x, context)

    return work


def _gradients(layer: nn.Module, x: Tensor, context: Context) -> Callable[[], None]:
    def work() -> None:
        layer(x, context).square().mean().backward()
        layer.zero_grad(set_to_none=True)

    return work


def _training(layer: nn.Module, x: Tensor, context: Context) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(layer.parameters(), lr=1e-4)

    def work() -> None:
        layer(x, context).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return work
