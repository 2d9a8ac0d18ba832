"""The mechanisms: how a layer mixes pieces. One file a mechanism, all of them in one table, one signature.

A mechanism is a module made from the model's configuration. `forward(x [B,N,M], context) -> [B,N,M]` mixes;
`prepare(context) -> context` adds what all layers can share (masks), once a batch.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from torch import Tensor

from model.attention.views import ViewsAttention, mix_slow
from model.context import Context

if TYPE_CHECKING:
    from model.config import ModelConfig


class Mechanism(Protocol):
    """What a layer asks of its mechanism."""

    def prepare(self, context: Context) -> Context: ...
    def __call__(self, x_BNM: Tensor, context: Context) -> Tensor: ...


class Entry(NamedTuple):
    """A line of the table."""

    make: Callable[["ModelConfig", int], Mechanism]
    """Makes one for a layer, by the layer's number."""
    slow: Callable[[Any, Tensor, Context], Tensor]
    """(what was made, x_BNM, context) -> [B,N,M]: its slow twin, with the same weights, straight from the formula."""


MECHANISMS: dict[str, Entry] = {"views": Entry(ViewsAttention, mix_slow)}
"""All mechanisms by name. tests/model/test_mechanisms.py walks the table and holds each to its twin and to the laws."""
