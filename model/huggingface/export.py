"""A finished run as a folder that transformers loads: weights, settings, tokenizer and annotator.

The logits are those of the run to the last bit in float32: the same code computes them from the same numbers.
"""

from pathlib import Path

from model.config import Recipe
from model.huggingface.base import ValencyPreTrainedModel
from model.huggingface.config import ValencyConfig
from model.huggingface.heads import ValencyForCausalLM, ValencyForMaskedLM, ValencyForSequenceClassification
from model.huggingface.tokenizer import padding_of, save_tokenizer
from model.masks import MASKS
from model.reading import Reader
from model.run import load_readers, load_run
from model.views import And, Named, Not, Or, Random, View

CLASSES: dict[str, type[ValencyPreTrainedModel]] = {
    "causal": ValencyForCausalLM,
    "masked": ValencyForMaskedLM,
    "classify": ValencyForSequenceClassification,
}
"""By what a recipe's model is trained for."""


def export_run(run: Path, folder: Path) -> ValencyPreTrainedModel:
    """Write a run's model into a folder, new or empty; returns it.

    Errors: ValueError if the run is not finished, the folder holds something, or what the model is told of its pieces
    cannot be made from ids alone (a control, leaky tags, views that look through bonds).
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is not empty; name a new folder")
    decoder, recipe = load_run(run)
    check_from_ids(recipe)
    tokenizer, annotator = load_readers(run)
    objective = getattr(recipe.model, "objective", "causal")
    config = ValencyConfig(
        vocab_size=decoder.vocabulary,
        network={name: getattr(recipe.model, name) for name in recipe.model.__dataclass_fields__},
        causal=objective == "causal",
        bos_token_id=tokenizer.begin,
        eos_token_id=tokenizer.end,
        pad_token_id=padding_of(tokenizer),
    )
    model = CLASSES[objective](config)
    model.bare.decoder.load_state_dict(decoder.state_dict())
    model.reader = Reader(tokenizer, annotator)
    folder.mkdir(parents=True, exist_ok=True)
    model.eval()
    model.save_pretrained(folder)
    save_tokenizer(tokenizer, folder, end=objective != "causal")
    return model


def check_from_ids(recipe: Recipe) -> None:
    """Errors: ValueError for a recipe whose model is told what ids alone do not give."""
    if recipe.control != "none" or recipe.leaky:
        what = "leaky tags" if recipe.leaky else f"the control {recipe.control!r}"
        raise ValueError(f"recipe {recipe.name!r} reads {what}, which only its cache gives; export a recipe without")
    bonded = [text for text, view in recipe.model.distinct_views().items() if looks_through_bonds(view)]
    if bonded:
        raise ValueError(
            f"recipe {recipe.name!r} has the view {bonded[0]!r}, which looks through bonds; from ids alone there are "
            "words, sentences and tags, but no bonds: export a recipe whose views do without"
        )


def looks_through_bonds(view: View) -> bool:
    """Whether any mask of the view reads lists of bonds."""
    match view:
        case Named(name):
            return MASKS[name].bonded
        case Not(of) | Random(of):
            return looks_through_bonds(of)
        case And(left, right) | Or(left, right):
            return looks_through_bonds(left) or looks_through_bonds(right)
