"""Recipes: all that decides a training job, as frozen settings that a TOML file says and a run directory keeps.

recipe = load_recipe("tiny-views")        # data/recipes/tiny-views.toml
recipe = load_recipe("mine/wide.toml")    # any file
"""

import re
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from math import inf
from pathlib import Path

from model.parse import parse
from model.toml import build, read_toml
from model.views import View

RECIPES = Path(__file__).resolve().parents[1] / "data" / "recipes"

POSITIONS = ("rotary", "learned", "alibi")
"""How a model knows places: turned queries and keys (Su et al. 2021), an embedding a place, or scores that fall with
distance (Press et al. 2022)."""

NAME = re.compile(r"\w[\w\-.,=+ ]{0,119}")
"""What a recipe of one's own may be called: its run directory bears the name."""

PRECISIONS = ("32-true", "bf16-mixed", "64-true")
"""What Fabric computes in: weights and all in 32 bits; products in bfloat16 over 32-bit weights; all in 64 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The transformer, all but its vocabulary, which comes with the cache's tokenizer."""

    layers: int = 4
    dim: int = 128
    """Width of the residual stream."""
    heads: int = 8
    views: tuple[str, ...] = ("dense",)
    """Views (model.views), shared out among the heads in order: two views and eight heads make four heads each."""
    mechanism: str = "views"
    """Name in model.attention.MECHANISMS."""
    positions: str = "rotary"
    """One of POSITIONS."""
    context: int = 256
    """Learned positions are so many: rows may be no longer. The other kinds of positions do not read it."""
    tags: bool = False
    """Whether the tag of a piece's word, by the string so far, is embedded and added to the piece's embedding."""
    tag_loss: float = 0.0
    """Weight of a second loss: at each piece the model must say the full tag of the piece's word. 0: there is none."""
    dropout: float = 0.0
    """Probability of dropping an entry of what a layer adds to the residual stream, while training."""

    def __post_init__(self) -> None:
        from model.attention import MECHANISMS  # late: the mechanisms read this very class

        for name in ("layers", "dim", "heads", "context"):
            _at_least_one(name, getattr(self, name))
        if self.dim % self.heads or (self.dim // self.heads) % 2:
            raise ValueError(f"dim is {self.dim}; with {self.heads} heads give a multiple of {2 * self.heads}")
        if not self.views or self.heads % len(self.views):
            raise ValueError(f"views has {len(self.views)} entries; {self.heads} heads must share out evenly")
        if self.mechanism not in MECHANISMS:
            raise ValueError(f"mechanism is {self.mechanism!r}; {_nearest(self.mechanism, MECHANISMS)}")
        if self.positions not in POSITIONS:
            raise ValueError(f"positions is {self.positions!r}; {_nearest(self.positions, POSITIONS)}")
        if not 0 <= self.tag_loss < inf:
            raise ValueError(f"tag_loss is {self.tag_loss}; give a weight of at least 0")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; give a probability from 0 to below 1")
        for text in self.views:
            parse(text)

    def head_views(self) -> tuple[View, ...]:
        """The view of each head."""
        each = self.heads // len(self.views)
        return tuple(view for text in self.views for view in [parse(text)] * each)

    def hidden(self) -> int:
        """Width of the feed-forward layer: SwiGLU has three matrices, so 8/3 dim costs what two of 4 dim would."""
        return -(-8 * self.dim // 3 // 32) * 32


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """One training job over one cache."""

    steps: int = 1000
    rows: int = 8
    """Rows of a batch."""
    length: int = 256
    """Pieces of a row; also the longest context in evaluation."""
    learning_rate: float = 2e-3
    """At its highest, after warm-up."""
    warmup: int = 50
    """Steps in which the learning rate rises from 0."""
    final_fraction: float = 0.1
    """The learning rate at the last step, as a part of the highest; a cosine leads there."""
    weight_decay: float = 0.1
    """AdamW's, on matrices alone: embeddings and norms have none."""
    beta1: float = 0.9
    beta2: float = 0.95
    clip: float = 1.0
    """Largest norm of the gradient."""
    precision: str = "32-true"
    seed: int = 0
    """Of the first weights, of dropout, and of the order of the data."""
    log_every: int = 10
    """Steps between two lines of the curve."""
    evaluate_every: int = 200
    """Steps between two measurements on the validation split; the last step always has one."""
    evaluate_pieces: int = 16384
    """Pieces of the validation split that such a measurement reads at most; the final one reads all."""
    checkpoint_every: int = 200
    keep_checkpoints: int = 2

    def __post_init__(self) -> None:
        counts = ("steps", "rows", "length", "log_every", "evaluate_every", "evaluate_pieces", "checkpoint_every")
        for name in (*counts, "keep_checkpoints"):
            _at_least_one(name, getattr(self, name))
        if not (0 < self.learning_rate < inf and 0 < self.clip < inf):  # not <= 0: TOML has nan
            raise ValueError(f"learning_rate {self.learning_rate} and clip {self.clip} must be above 0")
        if not 0 <= self.warmup <= self.steps:
            raise ValueError(f"warmup is {self.warmup}; give 0 to {self.steps}, the number of steps")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision is {self.precision!r}; {_nearest(self.precision, PRECISIONS)}")
        fractions = {name: getattr(self, name) for name in ("final_fraction", "beta1", "beta2", "weight_decay")}
        for name, value in fractions.items():
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is {value}; give a number from 0 to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A named training job."""

    name: str
    leaky: bool = False
    """Give every piece the full tag of its word, the future included: for comparison with work that did so. Law 1 is
    broken on purpose, so the name must say it."""
    control: str = "none"
    """Name in model.controls.CONTROLS: sentences or tags replaced by something of the same shape that says nothing."""
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        from model.controls import CONTROLS  # late: recipes are read where no column ever is

        if self.control not in CONTROLS:
            raise ValueError(f"control is {self.control!r}; {_nearest(self.control, CONTROLS)}")
        if self.leaky and self.control != "none":
            raise ValueError(f"recipe {self.name!r} is leaky and has control {self.control!r}; choose one of the two")
        if self.leaky and "leaky" not in self.name:
            raise ValueError(f"recipe {self.name!r} is leaky; let its name say so, as in '{self.name}-leaky'")
        if self.model.positions == "learned" and self.train.length > self.model.context:
            raise ValueError(
                f"recipe {self.name!r}: rows of {self.train.length} pieces, {self.model.context} learned positions; "
                f"set model.context to at least {self.train.length}"
            )


def load_recipe(name_or_path: str | Path) -> Recipe:
    """A recipe of data/recipes by name, or any TOML file by a path that ends in `.toml`.

    Errors: ValueError for an unknown name (with the nearest), a file that is no TOML, an unknown or unfit setting.
    """
    said = str(name_or_path)
    if said.endswith(".toml"):
        recipe = build(Recipe, read_toml(Path(said)), said)
        if not NAME.fullmatch(recipe.name):
            raise ValueError(
                f"{said}: a recipe cannot be called {recipe.name[:80]!r}, as its run directory bears its name; give "
                "letters, digits and any of - _ . , = + and spaces, 120 at most, a letter or digit first"
            )
        return recipe
    file = RECIPES / f"{said}.toml"
    if not file.is_file():
        raise ValueError(f"unknown recipe {said!r}; {_nearest(said, recipe_names())}; a file's path ends in .toml")
    return build(Recipe, read_toml(file), f"recipe {said}")


def changed(recipe: Recipe, seed: int | None, steps: int | None) -> Recipe:
    """The recipe with another seed or number of steps, which its name then says: `tiny-views,seed=1,steps=300`."""
    said = {name: value for name, value in (("seed", seed), ("steps", steps)) if value is not None}
    name = ",".join([recipe.name, *(f"{key}={value}" for key, value in said.items())])
    settings = recipe.train if seed is None else replace(recipe.train, seed=seed)
    if steps is not None:
        settings = replace(settings, steps=steps, warmup=min(settings.warmup, steps))
    return replace(recipe, name=name, train=settings)


def recipe_names() -> list[str]:
    """Names of the recipes that come with Valency, sorted."""
    return sorted(file.stem for file in RECIPES.glob("*.toml"))


def _nearest(said: str, known: object) -> str:
    names = list(known)  # type: ignore[call-overload]
    near = get_close_matches(said, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"


def _at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} is {value}; give at least 1")
