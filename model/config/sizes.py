"""Sizes of the transformer by one dial, and recipes said in words of the command line: a mode, a size, leaky or not.

One learning rate serves all sizes: it was found at a width of 128, and `base_dim` fits first weights and rates of the
others to it (model.optimizer). Heads are 64 wide from seed-tiny and 10M up; from 100M on, groups of heads share keys
and values.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from model.config.checks import nearest
from model.config.recipe import Recipe
from pipeline.bonds.modes import mode_of

BASE_DIM = 128


@dataclass(frozen=True, slots=True)
class Size:
    """One setting of the dial."""

    layers: int
    dim: int
    heads: int
    kv_heads: int = 0
    """0: as many as heads."""
    learning_rate: float = 3e-3
    """At a width of `BASE_DIM`."""


SIZES: dict[str, Size] = {
    "seed-tiny": Size(2, 128, 2),
    "tiny": Size(4, 128, 8),
    "10M": Size(6, 320, 5),
    "30M": Size(8, 512, 8),
    "100M": Size(15, 768, 12, 4),
    "181M": Size(18, 960, 15, 3),
    "350M": Size(24, 1152, 18, 6),
}
"""Named by their weights with the 8,192 pieces of the shipped tokenizer; the two tiny ones have 1.5 and 1.9 million."""


def spoken(recipe: Recipe, *, mode: str | None = None, size: str | None = None, leaky: bool = False,
           budget: Mapping[str, float] | None = None) -> Recipe:  # fmt: skip
    """The recipe with what a command line says, which its name then says too: `train,mode=full,size=tiny,epochs=10`.

    leaky: every piece has the tag of its whole word, as the seed's models had it. budget: at most one of steps, epochs,
    tokens and seconds; the recipe's own is then left out. Errors: ValueError for a mode or a size that is none.
    """
    said = {
        "mode": mode,
        "size": size,
        **{each: f"{value}".removesuffix(".0") for each, value in (budget or {}).items()},
    }
    name = ",".join([recipe.name, *(f"{key}={value}" for key, value in said.items() if value is not None)])
    model, train = recipe.model, recipe.train
    if size is not None:
        if size not in SIZES:
            raise ValueError(f"size is {size!r}; {nearest(size, SIZES)}")
        chosen = SIZES[size]
        shape: dict[str, Any] = {
            "layers": chosen.layers,
            "dim": chosen.dim,
            "heads": chosen.heads,
            "kv_heads": chosen.kv_heads,
        }
        views = model.views if chosen.heads % len(model.views) == 0 else ("dense",)
        model = replace(model, base_dim=BASE_DIM, views=views, layer_views=(), **shape)
        train = replace(train, learning_rate=chosen.learning_rate)
    if mode is not None:
        model = replace(model, **mode_settings(mode))  # type: ignore[arg-type]
    if budget:
        plain = {"epochs": 0.0, "tokens": 0, "seconds": 0.0, **budget}
        warmup = min(train.warmup, int(budget["steps"])) if "steps" in budget else train.warmup
        train = replace(train, warmup=warmup, **plain)  # type: ignore[arg-type]
    name += "-leaky" if leaky and "leaky" not in name else ""
    return replace(recipe, name=name, leaky=leaky or recipe.leaky, model=model, train=train)


def mode_settings(name: str) -> dict[str, object]:
    """What ModelConfig has to say for a mode of pipeline.bonds.modes.

    Errors: ValueError, with the nearest name, for what is no mode.
    """
    mode = mode_of(name)
    return {"views": (mode.view,), "layer_views": (), "scores": mode.scores}
