"""What a recipe's model is given: the columns of a cache as the recipe wants them, honest, leaky or under a control.

`recipe_splits` gives what training and evaluation read, `recipe_annotators` what rebuilds it from ids alone.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from model.bond_reader import Bonded, BondReader
from model.columns import PiecesLayer, Split, read_layer
from model.config import Recipe
from model.controls import CONTROLS, Controlled, document_seed, with_control
from model.controls.words import Change, Columns
from model.evaluate.leak import Annotator, WholeWordTags
from pipeline.pieces import Tokenizer


def recipe_layer(cache: Path, recipe: Recipe) -> PiecesLayer:
    """The current pieces of a cache, with what the recipe reads of words.

    Errors: ValueError if the cache has no pieces, or not what the recipe reads; Failure if it is damaged.
    """
    reads, causal = recipe.model, recipe.model.objective != "masked"  # masked text is read anew
    return read_layer(cache, bonds=causal and reads.reads_bonds(), facts=causal and reads.reads_facts())


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
    told: dict[str, Annotator]
    if recipe.leaky:
        told = dict.fromkeys(documents, WholeWordTags(annotator))
    elif recipe.control == "none":
        told = dict.fromkeys(documents, annotator)
    else:
        change = CONTROLS[recipe.control](layer.splits["train"])
        told = {name: Controlled(annotator, change, document_seed(name)) for name in documents}
    if not recipe.model.reads_words():
        return told
    reader = BondReader.load(Tokenizer.load(layer.tokenizer), layer.bonds)
    return {name: Bonded(each, reader) for name, each in told.items()}


def recipe_change(layer: PiecesLayer, recipe: Recipe) -> Change:
    """What becomes of an honest document's columns under a recipe: a function that can be sent to another process.

    Cost: some seconds for three million pieces, if the recipe has a control.
    """
    return whole_words if recipe.leaky else CONTROLS[recipe.control](layer.splits["train"])


def whole_words(_seed: int, columns: Columns) -> dict[str, NDArray[Any]]:
    """Leaky on purpose: every piece has the full tag of its word, as far as anybody knows it."""
    return {"input_tag": columns["key_tag"]}
