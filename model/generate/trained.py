"""A trained model with what reads text for it: all that generation and a service need, from a run directory alone."""

from dataclasses import dataclass
from pathlib import Path

import torch

from model.attention.views import ViewsAttention
from model.config import ModelConfig, Recipe
from model.generate.sight import check, forgets
from model.run import TOKENIZER, load_readers, load_run
from model.transformer import Decoder
from pipeline.pieces import Tokenizer
from pipeline.prefix import PrefixAnnotator

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True, slots=True)
class Trained:
    """Shared by any number of streams; none of them changes it."""

    model: Decoder
    tokenizer: Tokenizer
    annotator: PrefixAnnotator | None
    """None: the model is told nothing of words and sentences."""

    def __post_init__(self) -> None:
        """Errors: ValueError if the model has what cannot be computed piece by piece. The one place that says so."""
        if self.annotator is None and annotated(self.model.config):
            raise ValueError("this model is told of words and sentences; give the annotator that its run carries")
        for number, layer in enumerate(self.model.layers):
            if not isinstance(layer.attention, ViewsAttention):
                name = self.model.config.mechanism(number)
                raise ValueError(f"layer {number} is {name!r}, which keeps no keys and values; only views generate yet")
        for view in self.model.config.distinct_views().values():
            check(view)
        if self.model.config.reads_words():
            raise ValueError(
                "this model weighs pairs by bonds or features of words, which are not yet made while a text grows; "
                "train without scores, kind_bias, kind_gates and features, or scaffold them away (docs/training.md)"
            )

    @property
    def forgets(self) -> bool:
        """Whether all views are near, so that closed sentences may leave the cache."""
        return all(map(forgets, self.model.config.distinct_views().values()))


def load_trained(run: Path, precision: str = "float32") -> Trained:
    """The model of a finished run. precision: one of PRECISIONS, of weights and sums.

    Errors: ValueError if the run is not finished, or its recipe reads what no growing text can give.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision is {precision!r}; give one of {', '.join(PRECISIONS)}")
    model, recipe = load_run(run)
    _check_honest(recipe)
    model.to(PRECISIONS[precision])
    if not annotated(recipe.model):
        return Trained(model, Tokenizer.load(run / TOKENIZER), None)
    return Trained(model, *load_readers(run))


def annotated(config: ModelConfig) -> bool:
    """Whether anything that the annotator says reaches the model. Every view but `dense` keeps a word's pieces."""
    return config.tags or any(view != "dense" for view in config.distinct_views())


def _check_honest(recipe: Recipe) -> None:
    if recipe.leaky:
        raise ValueError(f"{recipe.name} was trained on tags that read ahead; there is nothing ahead of a growing text")
    if recipe.control != "none":
        raise ValueError(f"{recipe.name} was trained under the control {recipe.control}; generate with its honest twin")
