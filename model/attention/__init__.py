"""The mechanisms: how a layer mixes pieces. One file a mechanism, all of them in one table, one signature.

A mechanism is a module made from the model's configuration. `forward(x [B,N,M], context) -> [B,N,M]` mixes;
`prepare(context) -> context` adds what all layers can share (masks), once a batch. One that can go on from piece to
piece without looking at all that came before is `Streaming` as well. Settings that are a mechanism's own are a frozen
dataclass in model.config, a field of ModelConfig that bears the mechanism's name: `[model.NAME]` in a recipe.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from torch import Tensor

from model.attention.memory import MemoryAttention
from model.attention.memory_slow import mix_slow as memory_slow
from model.attention.views import ViewsAttention, mix_slow
from model.context import Context

if TYPE_CHECKING:
    from model.config import ModelConfig


class Mechanism(Protocol):
    """What a layer asks of its mechanism."""

    def prepare(self, context: Context) -> Context: ...
    def __call__(self, x_BNM: Tensor, context: Context) -> Tensor: ...


class Streaming(Protocol):
    """A mechanism that reads a text piece by piece; the outputs are those of `__call__`, the state what it keeps."""

    def begin(self, rows: int) -> Any:
        """The state of so many rows before their first piece."""
        ...

    def step(self, x_BM: Tensor, begins_B: Tensor, state: Any) -> tuple[Tensor, Any]:
        """([B,M], the state after it). begins_B: bool, the rows where a new sequence begins with this piece."""
        ...


class Entry(NamedTuple):
    """A line of the table."""

    make: Callable[["ModelConfig", int], Mechanism]
    """Makes one for a layer, by the layer's number."""
    slow: Callable[[Any, Tensor, Context], Tensor]
    """(what was made, x_BNM, context) -> [B,N,M]: its slow twin, with the same weights, straight from the formula."""
    orders: tuple[bool, ...] = (True, False)
    """The time orders that it knows: True is causal, False sees ahead. In any other it raises ValueError."""


MECHANISMS: dict[str, Entry] = {
    "views": Entry(ViewsAttention, mix_slow),
    "memory": Entry(MemoryAttention, memory_slow, orders=(True,)),
}
"""All mechanisms by name. tests/model/test_mechanisms.py walks the table and holds each to its twin and to the laws."""
