"""The mechanisms: how a layer mixes pieces. One file a mechanism, all of them in one table, one signature.

A mechanism is a module made from the model's configuration. `forward(x [B,N,M], context) -> [B,N,M]` mixes;
`prepare(context) -> context` adds what all layers can share (masks), once a batch. One that can go on from piece to
piece without looking at all that came before is `Streaming` as well.

Settings that are a mechanism's own are a frozen dataclass in model.config, a field of ModelConfig that bears the
mechanism's name, or the family's if several mechanisms share them: then their lines of the table name the field
(`Entry.settings`). It is `[model.FIELD]` in a recipe and plain keywords of `model.layer.attention`; settings that go
well together may have a name (`Entry.presets`).

A mechanism may offer `info(x [B,N,M], context) -> Info`, what it has to say of a call (model.attention.info), and
`weights(x [B,N,M], context) -> [B,H,N,N]` if it has weights of pairs.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from torch import Tensor

from model.attention import patterns, views
from model.attention.adaptive import AdaptiveAttention
from model.attention.bigbird import BigBirdAttention
from model.attention.clustered import clustered
from model.attention.compressed import CompressedAttention, compressed_slow
from model.attention.dense import DenseAttention, dense_slow
from model.attention.hash import HashAttention, hash_slow
from model.attention.hierarchical import hierarchical
from model.attention.latent import LatentAttention, latent_slow
from model.attention.linear import LinearAttention, linear_slow
from model.attention.linformer import Linformer, linformer_slow
from model.attention.local import local
from model.attention.memory import MemoryAttention
from model.attention.memory_slow import mix_slow as memory_slow
from model.attention.performer import performer
from model.attention.random_keys import random
from model.attention.state_space import StateSpace, state_space_slow
from model.attention.strided import strided
from model.attention.window import WindowAttention, sparse_slow
from model.config.linear import LINEAR_PRESETS
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


class Auxiliary(Protocol):
    """A mechanism that asks for a loss of its own."""

    def auxiliary(self) -> Tensor:
        """Added to the loss in training: of no dimension, of the last forward pass, its weight already in it; 0 where
        there was no such pass."""
        ...


class Entry(NamedTuple):
    """A line of the table."""

    make: Callable[["ModelConfig", int], Mechanism]
    """Makes one for a layer, by the layer's number."""
    slow: Callable[[Any, Tensor, Context], Tensor]
    """(what was made, x_BNM, context) -> [B,N,M]: its slow twin, with the same weights, straight from the formula."""
    orders: tuple[bool, ...] = (True, False)
    """The time orders that it knows: True is causal, False sees ahead. In any other it raises ValueError."""
    settings: str = ""
    """The field of ModelConfig that holds its settings; none: the field of its own name, if there is one."""
    presets: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
    """Settings by the name of a preset, for `model.layer.attention(…, preset=…)`."""


def _pattern(make: Callable[["ModelConfig", int], Mechanism], **presets: Mapping[str, Any]) -> Entry:
    return Entry(make, patterns.mix_slow, settings="patterns", presets=presets)


MECHANISMS: dict[str, Entry] = {
    "views": Entry(views.ViewsAttention, views.mix_slow),
    "local": _pattern(local),
    "strided": _pattern(strided),
    "random": _pattern(random),
    "clustered": _pattern(clustered),
    "hierarchical": _pattern(hierarchical),
    "adaptive": _pattern(
        AdaptiveAttention,
        all={"gate": "token"},
        # Near pieces one by one and the rest summed up: about two fifths of the cost of all five.
        near={"gate": "token", "patterns": ("local", "hierarchical")},
    ),
    "linear": Entry(
        LinearAttention, linear_slow, presets={name: asdict(said) for name, said in LINEAR_PRESETS.items()}
    ),
    "dense": Entry(DenseAttention, dense_slow),
    "window": Entry(WindowAttention, sparse_slow),
    "bigbird": Entry(BigBirdAttention, sparse_slow),
    "linformer": Entry(Linformer, linformer_slow, orders=(False,)),
    "performer": Entry(performer, linear_slow),
    "hash": Entry(HashAttention, hash_slow),
    "compressed": Entry(CompressedAttention, compressed_slow),
    "latent": Entry(LatentAttention, latent_slow),
    "state_space": Entry(StateSpace, state_space_slow),
    "memory": Entry(MemoryAttention, memory_slow, orders=(True,)),
}
"""All mechanisms by name. tests/model/test_mechanisms.py walks the table and holds each to its twin and to the laws."""
