"""Where a transformers model mixes pieces: its self-attention modules, in their order, and what shape they have.

By the names of classes, so that nothing is imported to look. Attention from a decoder to an encoder is none of them.
"""

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from torch import Tensor, nn


class Shape(NamedTuple):
    """What a mechanism must know of the place where it is put."""

    heads: int
    key_heads: int
    width: int
    """Of a head."""
    causal: bool


class Place(NamedTuple):
    """A self-attention module of a model."""

    name: str
    module: nn.Module
    shape: Shape
    weight: Tensor
    """Of the queries' projection: where the module lies, and in what precision."""


class Kind(NamedTuple):
    """A class of transformers whose objects mix pieces."""

    shape: Callable[[Any], Shape]
    queries: str
    """Name of the projection to queries."""
    interface: bool = True
    """Whether it calls the attention that is registered under its configuration's name."""
    biased: bool = False
    """Whether it adds to the scores of pairs by their distance."""


def _bert(module: Any) -> Shape:
    heads = module.num_attention_heads
    return Shape(heads, heads, module.attention_head_size, bool(module.is_causal or module.is_decoder))


def _llama(module: Any) -> Shape:
    config = module.config
    return Shape(config.num_attention_heads, config.num_key_value_heads, module.head_dim, True)


KINDS: dict[str, Kind] = {
    "BertSelfAttention": Kind(_bert, "query"),
    "RobertaSelfAttention": Kind(_bert, "query"),
    "GPT2Attention": Kind(lambda each: Shape(each.num_heads, each.num_heads, each.head_dim, True), "c_attn"),
    "LlamaAttention": Kind(_llama, "q_proj"),
    "T5Attention": Kind(
        lambda each: Shape(each.n_heads, each.n_heads, each.key_value_proj_dim, bool(each.is_decoder)), "q", biased=True
    ),
    "LongformerSelfAttention": Kind(
        lambda each: Shape(each.num_heads, each.num_heads, each.head_dim, False), "query", interface=False
    ),
}
"""By the class's name."""


def kind_of(module: nn.Module) -> Kind | None:
    """None for what does not mix the pieces of one sequence."""
    return KINDS.get(type(module).__name__)


def places_of(model: nn.Module) -> list[Place]:
    """All self-attention of a model, from the first layer up, an encoder's before its decoder's.

    Errors: ValueError for a model that has none that we know.
    """
    found = []
    for name, module in model.named_modules():
        kind = kind_of(module)
        if kind is None or getattr(module, "is_cross_attention", False) or name.endswith("EncDecAttention"):
            continue
        found.append(Place(name, module, kind.shape(module), getattr(module, kind.queries).weight))
    if not found:
        known = ", ".join(name.removesuffix("SelfAttention").removesuffix("Attention") for name in KINDS)
        raise ValueError(f"{type(model).__name__} has no self-attention that can be swapped; known are {known}")
    return found


def chosen(places: Sequence[Place], layers: Sequence[int] | str | None) -> list[int]:
    """The numbers of the places that are named: all; by numbers, from the end if negative; or by a pattern of names.

    Errors: ValueError for a number or pattern without a layer.
    """
    if layers is None:
        return list(range(len(places)))
    if isinstance(layers, str):
        found = [number for number, place in enumerate(places) if fnmatchcase(place.name, layers)]
        if not found:
            raise ValueError(f"no layer is named {layers!r}; the names are like {places[0].name!r}")
        return found
    wrong = [number for number in layers if not -len(places) <= number < len(places)]
    if wrong or not layers:
        raise ValueError(f"layers is {list(layers)}; give numbers from 0 to {len(places) - 1}, or None for all")
    return sorted({number % len(places) for number in layers})
