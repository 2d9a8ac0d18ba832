"""Recipes: all that decides a training job, as frozen settings that a TOML file says and a run directory keeps.

recipe = load_recipe("tiny-views")        # data/recipes/tiny-views.toml
recipe = load_recipe("mine/wide.toml")    # any file

network.py    the transformer
depth.py      what it does with its depth
memory.py     the mechanism `memory`
training.py   one training job
recipe.py     both under a name, and where they come from
"""

from model.config.depth import DepthConfig
from model.config.memory import MemoryConfig
from model.config.network import POSITIONS, ModelConfig
from model.config.recipe import RECIPES, Recipe, changed, load_recipe, recipe_names
from model.config.training import PRECISIONS, TrainConfig, settled

__all__ = [
    "POSITIONS",
    "PRECISIONS",
    "RECIPES",
    "DepthConfig",
    "MemoryConfig",
    "ModelConfig",
    "Recipe",
    "TrainConfig",
    "changed",
    "load_recipe",
    "recipe_names",
    "settled",
]
