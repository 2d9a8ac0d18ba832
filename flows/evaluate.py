"""`valency evaluate`: a run on test suites, on text files, and on the splits of its cache."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from flows.runs import cache_of, layer_of
from model.bond_reader import Bonded, BondReader
from model.columns import SPLITS
from model.config import Recipe
from model.evaluate.suites import SUITES, check_data
from model.evaluate.text import TextModel, counted, split_nats, text_scores
from model.inputs import recipe_splits
from model.run import load_readers, load_run
from pipeline.corpus import Document, read_documents
from pipeline.pieces import Tokenizer

Told = Callable[[str, int, int], None]


def evaluate_run(
    run: Path,
    on: str,
    *,
    data: Path,
    cache: Path | None = None,
    most: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    told: Told = lambda part, done, total: None,
) -> dict[str, object]:
    """Scores of a run on one thing: a name in SUITES, a split's name (train, validation, test), or text to read.

    most: cases of a suite, 0 for all, None for as many as the suite reads by itself. cache: for a split; None: the one
    beside the run. Errors: ValueError if the run is not finished, the data is not there, or the recipe's inputs cannot
    be made for new text.
    """
    if on in SUITES:
        check_data(on, data)
    text, recipe = text_model(run, device)
    about = {"run": run.name, "on": on, "leaky": recipe.leaky, "control": recipe.control, "objective": text.objective}
    if on not in SUITES and text.objective != "causal":
        raise ValueError(
            f"{run} reads both ways, so that what it says of pieces is no length of a text; evaluate it on "
            f"{', '.join(SUITES)}"
        )
    if on in SPLITS:
        return about | _of_split(run, recipe, cache, text, on)
    if recipe.control != "none":
        raise ValueError(
            f"{run} was trained under the control {recipe.control!r}, which new text has not; evaluate it on validation"
        )
    if on in SUITES:
        wanted = SUITES[on].most if most is None else most or None
        scores = SUITES[on].score(text, data, wanted, seed, told)
        return {**about, "most": wanted, "seed": seed, **scores}
    return about | _of_files(text, on)


def text_model(run: Path, device: str = "cpu") -> tuple[TextModel, Recipe]:
    """A finished run with all that it needs to read text, and its recipe. Errors: as `load_run`."""
    model, recipe = load_run(run)
    tokenizer, annotator = load_readers(run)
    text = TextModel(
        model=model.to(device),
        tokenizer=tokenizer,
        annotator=Bonded(annotator, BondReader.load(tokenizer)) if recipe.model.reads_words() else annotator,
        length=recipe.train.length,
        leaky=recipe.leaky,
        objective=recipe.model.objective,
        device=device,
    )
    return text, recipe


def _of_split(run: Path, recipe: Recipe, cache: Path | None, text: TextModel, name: str) -> dict[str, object]:
    split = recipe_splits(layer_of(run, cache_of(run, cache)), recipe)[name]
    # From the pieces and not from the documents, which a machine that trains may not have. Pieces of bytes spell the
    # very text; of other tokenizers, spaces may differ.
    ids = [split.columns["pieces"][begin:end] for begin, end in zip(split.offset[:-1], split.offset[1:], strict=True)]
    count = counted([text.tokenizer.decode(each) for each in ids], Tokenizer.load())
    scores = text_scores(split_nats(text, split), replace(count, bytes=split.bytes.astype(np.float64)))
    return scores | {"tokenizer": text.tokenizer.digest}


def _of_files(text: TextModel, on: str) -> dict[str, object]:
    try:
        texts = [each.text for each in read_documents([on]) if isinstance(each, Document)]
    except ValueError as error:
        raise ValueError(f"{error}; or name one of {', '.join((*SUITES, *SPLITS))}") from error
    scores = text_scores(text.nats([text.ids(each) for each in texts]), counted(texts, Tokenizer.load()))
    return scores | {"tokenizer": text.tokenizer.digest}
