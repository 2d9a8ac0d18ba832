"""`valency leaktest`: which model, annotators and documents the test is run on."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from model.bond_reader import Bonded, BondReader
from model.columns import read_layer
from model.config import load_recipe
from model.evaluate.leak import Annotator, WholeWordTags, randomised
from model.evaluate.leaktest import LeakTest, leaktest, random_documents
from model.inputs import recipe_annotators
from model.run import ANNOTATOR, RECIPE, TOKENIZER, load_run
from model.transformer import Decoder
from pipeline.corpus import Document, read_documents, sample_corpus
from pipeline.pieces import Tokenizer
from pipeline.prefix import PrefixAnnotator


def check_leaks(target: str | None, cache: Path | None = None, documents: int = 200, seed: int = 0) -> LeakTest:
    """Test a recipe (by name or file, with random weights), a run (by its folder), or every view (None).

    cache: what a recipe under a control draws from.
    Errors: ValueError for a recipe or run that is not there, or a control without its cache.
    """
    real = [item.text for item in read_documents([sample_corpus()]) if isinstance(item, Document)]
    run = Path(target) if target and (Path(target) / RECIPE).is_file() else None
    layer = read_layer(cache) if cache else None
    kept = (run / TOKENIZER, run / ANNOTATOR) if run else (layer.tokenizer, layer.annotator) if layer else (None, None)
    tokenizer = Tokenizer.load(str(kept[0]) if kept[0] else None)
    annotator = PrefixAnnotator.load(kept[1], tokenizer.piece_bytes, tokenizer.begin, tokenizer.end)
    bonds = BondReader.load(tokenizer)
    ids = random_documents(tokenizer, documents, real, seed)
    if target is None:
        return leaktest(None, Bonded(annotator, bonds), tokenizer, ids, seed=seed)
    if run:
        model, recipe = load_run(run)
    else:
        recipe = load_recipe(target)
        model = randomised(Decoder(recipe.model, tokenizer.size), seed)
    annotators: Sequence[Annotator] = [annotator] * documents
    if recipe.leaky:
        annotators = [WholeWordTags(annotator)] * documents
    elif recipe.control != "none":
        if layer is None:
            raise ValueError(f"{target} reads under the control {recipe.control!r}; name its cache with --cache")
        annotators = list(recipe_annotators(layer, recipe, annotator, map(str, range(documents))).values())
    return leaktest(model, [Bonded(each, bonds) for each in annotators], tokenizer, ids, seed=seed)


def told(found: LeakTest) -> dict[str, Any]:
    """The result for JSON."""
    return {**asdict(found), "passed": found.passed}
