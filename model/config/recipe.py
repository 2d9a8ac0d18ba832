"""A recipe: a named training job, read from TOML."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from model.config.checks import nearest
from model.config.network import ModelConfig
from model.config.training import TrainConfig
from model.toml import build, read_toml

RECIPES = Path(__file__).resolve().parents[2] / "data" / "recipes"

NAME = re.compile(r"\w[\w\-.,=+ ]{0,119}")
"""What a recipe of one's own may be called: its run directory bears the name."""


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
        from model.attention import MECHANISMS  # late: the mechanisms read settings
        from model.controls import CONTROLS  # late: recipes are read where no column ever is

        if self.control not in CONTROLS:
            raise ValueError(f"control is {self.control!r}; {nearest(self.control, CONTROLS)}")
        for name in self.model.pattern:
            if (self.model.objective == "causal") not in MECHANISMS[name].orders:
                knows = "causal" if True in MECHANISMS[name].orders else "masked"
                raise ValueError(
                    f"recipe {self.name!r} has the objective {self.model.objective!r} and the mechanism {name!r}, "
                    f"which does not know that order; set model.objective to {knows!r}, or choose another mechanism"
                )
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
        raise ValueError(f"unknown recipe {said!r}; {nearest(said, recipe_names())}; a file's path ends in .toml")
    return build(Recipe, read_toml(file), f"recipe {said}")


def changed(recipe: Recipe, seed: int | None, steps: int | None) -> Recipe:
    """The recipe with another seed or number of steps, which its name then says: `tiny-views,seed=1,steps=300`."""
    said = {name: value for name, value in (("seed", seed), ("steps", steps)) if value is not None}
    name = ",".join([recipe.name, *(f"{key}={value}" for key, value in said.items())])
    settings = recipe.train if seed is None else replace(recipe.train, seed=seed)
    if steps is not None:
        others = {"epochs": 0.0, "tokens": 0, "seconds": 0.0}  # the recipe's own budget gives way
        settings = replace(settings, steps=steps, warmup=min(settings.warmup, steps), **others)  # type: ignore[arg-type]
    return replace(recipe, name=name, train=settings)


def recipe_names() -> list[str]:
    """Names of the recipes that come with Valency, sorted."""
    return sorted(file.stem for file in RECIPES.glob("*.toml"))
