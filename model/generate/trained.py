"""A trained model with what reads text for it: all that generation and a service need, from a run directory alone."""

from dataclasses import dataclass
from pathlib import Path

import torch

from model.attention.views import ViewsAttention
from model.bond_reader import BondReader
from model.config import ModelConfig, Recipe
from model.generate.sight import check, forgets
from model.run import TOKENIZER, load_bonds, load_readers, load_run
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
    reader: BondReader | None = None
    """What makes bonds and features of words; None: the model reads none."""

    def __post_init__(self) -> None:
        """Errors: ValueError if the model has what cannot be computed piece by piece. The one place that says so."""
        if self.annotator is None and annotated(self.model.config):
            raise ValueError("this model is told of words and sentences; give the annotator that its run carries")
        if not self.model.config.depth.plain():
            raise ValueError(
                "this model's depth is reversible, or ponders (model.depth), which is not computed piece by piece yet; "
                "generate with one whose depth.reversible is false and depth.ponder 0"
            )
        for number, layer in enumerate(self.model.storeys()):
            if not isinstance(layer.attention, ViewsAttention):
                name = self.model.config.mechanism(number)
                raise ValueError(f"layer {number} is {name!r}, which keeps no keys and values; only views generate yet")
        if self.model.config.reads_words() != (self.reader is not None):
            raise ValueError(
                "a reader of bonds goes with models that read bonds or features of words, and with no other"
            )
        for view in () if self.reader else self.model.config.distinct_views().values():
            check(view)

    @property
    def forgets(self) -> bool:
        """Whether all views are near, so that closed sentences may leave the cache."""
        return self.reader is None and all(map(forgets, self.model.config.distinct_views().values()))


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
    tokenizer, annotator = load_readers(run)
    reader = BondReader.load(tokenizer, load_bonds(run)) if recipe.model.reads_words() else None
    return Trained(model, tokenizer, annotator, reader)


def annotated(config: ModelConfig) -> bool:
    """Whether anything that the annotator says reaches the model. Every view but `dense` keeps a word's pieces."""
    return config.tags or config.reads_words() or any(view != "dense" for view in config.distinct_views())


def _check_honest(recipe: Recipe) -> None:
    if recipe.leaky:
        raise ValueError(f"{recipe.name} was trained on tags that read ahead; there is nothing ahead of a growing text")
    if recipe.control != "none":
        raise ValueError(f"{recipe.name} was trained under the control {recipe.control}; generate with its honest twin")
