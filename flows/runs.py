"""A finished run and the cache that it was trained on."""

from pathlib import Path

from model.columns import PiecesLayer
from model.config import load_recipe
from model.inputs import recipe_layer
from model.run import RECIPE, load_result


def cache_of(run: Path, cache: Path | None) -> Path:
    """The cache that is named, or the one beside the run's folder, where `valency run` and `valency train` have it.

    Errors: ValueError if there is none.
    """
    beside = run.absolute().parents[1] / "cache"
    if cache is None and not (beside / "cache.json").is_file():
        raise ValueError(f"there is no cache beside {run}; name the one it was trained on with --cache FOLDER")
    return cache or beside


def layer_of(run: Path, folder: Path) -> PiecesLayer:
    """The pieces of a cache, as a finished run was trained on them. Errors: ValueError if it was on other ones."""
    # by the recipe of training: the one that serves a run may ask for less, once a scaffold is gone
    layer, result = recipe_layer(folder, load_recipe(run / RECIPE)), load_result(run)
    if result is None or layer.digest() != result.made_from["pieces"]:
        raise ValueError(f"{run} was trained on other pieces than those of {folder}; name its cache, --cache")
    return layer
