"""The mechanisms: how a layer mixes pieces. One file a mechanism, all of them in one table, one signature.

A mechanism is a module made from the model's configuration. `forward(x [B,N,M], context) -> [B,N,M]` mixes;
`prepare(context) -> context` adds what all layers can share (masks), once a batch.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from model.attention.views import ViewsAttention
from model.context import Context

if TYPE_CHECKING:
    from model.config import ModelConfig


class Mechanism(Protocol):
    """What a layer asks of its mechanism."""

    def prepare(self, context: Context) -> Context: ...
    def __call__(self, x_BNM: Tensor, context: Context) -> Tensor: ...


MECHANISMS: dict[str, Callable[["ModelConfig", int], Mechanism]] = {"views": ViewsAttention}
"""All mechanisms by name: what makes one for a layer, by the layer's number."""
