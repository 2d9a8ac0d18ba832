"""Scaffold and remove: train under views, open them, and end with a plain model that needs no annotator.

A pair that a view forbids gets log(opened) instead of -inf, with `opened` from 0 (the views hold) to 1 (nothing is
forbidden but what time order and documents forbid); tag embeddings are multiplied by 1 - opened. At 1 the model is,
number for number, the one that `served` describes.
"""

from dataclasses import fields, replace

from model.config import ModelConfig, Recipe

PLAIN: dict[str, object] = {"views": ("dense",), "layer_views": (), "tags": False, "tag_loss": 0.0, "scores": False}
"""What a model has in the end, as far as ModelConfig has these fields: nothing that an annotator would have to give."""


def opened(gone: float, scaffold: tuple[float, ...]) -> float:
    """How far the views are open, 0 to 1, when a part `gone` (0 to 1) of the job is over."""
    if not scaffold:
        return 0.0
    begin, end = scaffold
    if gone >= end:
        return 1.0
    return max(0.0, (gone - begin) / (end - begin)) if end > begin else 0.0


def served(recipe: Recipe) -> Recipe:
    """The recipe of the model that a job leaves: itself, or with a scaffold the plain one."""
    if not recipe.train.scaffold:
        return recipe
    known = {each.name for each in fields(ModelConfig)}
    plain = {name: value for name, value in PLAIN.items() if name in known}
    return replace(recipe, model=replace(recipe.model, **plain), leaky=False, control="none")  # type: ignore[arg-type]
