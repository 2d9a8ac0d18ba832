"""A finished run as a folder that transformers loads: weights, settings, tokenizer and annotator.

The logits are those of the run to the last bit in float32: the same code computes them from the same numbers.
"""

from dataclasses import asdict
from pathlib import Path

from model.config import Recipe
from model.huggingface.base import ValencyPreTrainedModel
from model.huggingface.config import ValencyConfig
from model.huggingface.heads import ValencyForCausalLM, ValencyForMaskedLM, ValencyForSequenceClassification
from model.huggingface.tokenizer import fast_tokenizer, padding_of
from model.quantize import QUANTIZED
from model.reading import Reader
from model.run import load_readers, load_run

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
    if (run / QUANTIZED).is_file():
        raise ValueError(f"{run} is quantized; export the run that it was made of")
    decoder, recipe = load_run(run)
    check_from_ids(recipe)
    tokenizer, annotator = load_readers(run)
    objective = recipe.model.objective
    config = ValencyConfig(
        vocab_size=decoder.vocabulary,
        network=asdict(recipe.model),
        causal=objective == "causal",
        bos_token_id=tokenizer.begin,
        eos_token_id=tokenizer.end,
        pad_token_id=padding_of(tokenizer),
        num_labels=recipe.model.classes,
    )
    model = CLASSES[objective](config)
    weights = decoder.state_dict()
    if isinstance(model, ValencyForSequenceClassification):
        model.score.load_state_dict({"weight": weights.pop("class_out.weight")})
    model.bare.decoder.load_state_dict(weights)
    model.reader = Reader(tokenizer, annotator)
    folder.mkdir(parents=True, exist_ok=True)
    model.eval()
    model.save_pretrained(folder)
    fast_tokenizer(tokenizer, objective).save_pretrained(folder)
    return model


def check_from_ids(recipe: Recipe) -> None:
    """Errors: ValueError for a recipe whose model is told what ids alone do not give."""
    if recipe.control != "none" or recipe.leaky:
        what = "leaky tags" if recipe.leaky else f"the control {recipe.control!r}"
        raise ValueError(f"recipe {recipe.name!r} reads {what}, which only its cache gives; export a recipe without")
    if recipe.model.reads_words():
        raise ValueError(
            f"recipe {recipe.name!r} is told bonds or features of words; from ids alone there are words, sentences and "
            "tags only: export a recipe that does without"
        )
