"""What a recipe's model is given: the columns of a cache as the recipe wants them, honest, leaky or under a control.

`recipe_splits` gives what training and evaluation read, `recipe_annotators` what rebuilds it from ids alone.
"""

from collections.abc import Iterable

from model.columns import PiecesLayer, Split
from model.config import Recipe
from model.controls import CONTROLS, Controlled, document_seed, with_control
from model.evaluate.leak import Annotator, WholeWordTags


def recipe_splits(layer: PiecesLayer, recipe: Recipe) -> dict[str, Split]:
    """The splits of a cache as the recipe's model reads them."""
    if recipe.leaky:
        return {name: split.with_whole_word_tags() for name, split in layer.splits.items()}
    return with_control(layer.splits, recipe.control)


def recipe_annotators(
    layer: PiecesLayer, recipe: Recipe, annotator: Annotator, documents: Iterable[str]
) -> dict[str, Annotator]:
    """What makes these attributes of ids, by document id: a control has a seed for each document.

    annotator: the cache's, which `layer` was made with.
    """
    if recipe.leaky:
        return dict.fromkeys(documents, WholeWordTags(annotator))
    if recipe.control == "none":
        return dict.fromkeys(documents, annotator)
    change = CONTROLS[recipe.control](layer.splits["train"])
    return {name: Controlled(annotator, change, document_seed(name)) for name in documents}
