"""The processes of a study: one a device, which trains what it is sent, and some on the CPU, which measure leaks."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from flows.study.lines import line_of, settings_digest, write_articles
from flows.study.stages import StudyRun
from model.columns import PiecesLayer, Split, read_layer
from model.config import Recipe
from model.controls.words import Change
from model.evaluate.certificate import CertificateConfig, certify, drawn
from model.evaluate.leak import measure_leak
from model.evaluate.leak_meter import Leak, LeakMeter, MeterConfig
from model.inputs import recipe_annotators, recipe_change, recipe_splits
from model.packed.train import PackedRun, train_packed
from model.transformer import Decoder
from pipeline.pieces import Tokenizer
from pipeline.prefix import PrefixAnnotator
from pipeline.provenance import provenance

LEAK_DOCUMENTS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a study reads and writes."""

    study: str
    caches: Mapping[str, Path]
    articles: Path
    weights: Path


def train_on(device: str, place: Place, lanes: int, parent: Connection) -> None:
    """Train the lists of runs that come over the connection, until None comes; send each line, then None a list.

    A failure is sent as the exception itself, and ends the process.
    """
    try:
        made_by = provenance(device)
        while (runs := parent.recv()) is not None:
            for line in trained(runs, device, place, lanes, made_by):
                parent.send(line)
            parent.send(None)
    except Exception as error:  # whatever it is, the parent must hear of it
        parent.send(RuntimeError(f"{device}: {type(error).__name__}: {error}"))
        raise


def trained(
    runs: Sequence[StudyRun], device: str, place: Place, lanes: int, made_by: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Lines of the runs as they end; articles and weights of those that are scored are on the disk by then."""
    by_name = {run.name: run for run in runs}
    packed = [
        PackedRun(
            name=run.name,
            recipe=run.recipe,
            splits=splits_of(place.caches[run.corpus], run.recipe.control, run.recipe.leaky),
            score=("validation", "test") if run.scored() else ("validation",),
        )
        for run in runs
    ]
    vocabulary = tokenizer_of(place.caches[runs[0].corpus]).size
    for result in train_packed(packed, vocabulary=vocabulary, device=device, lanes=lanes):
        run = by_name[result.run.name]
        if run.scored():
            write_articles(place.articles, run, result, result.run.splits)
            place.weights.mkdir(parents=True, exist_ok=True)
            save_file(dict(result.weights), weights_file(place, run))
        line = line_of(place.study, run, result, made_by)
        yield line | {"made_from": made_from(run.recipe, place.caches[run.corpus])}


def weights_file(place: Place, run: StudyRun) -> Path:
    return place.weights / f"{run.name.replace('/', '__')}.safetensors"


def leak_of(run: StudyRun, place: Place) -> tuple[bool, float | None]:
    """Law 1 on a trained model: whether it is leak-free, and the largest relative change of a logit."""
    torch.set_num_threads(1)
    cache, recipe = place.caches[run.corpus], run.recipe
    layer, tokenizer, annotator = layer_of(cache), tokenizer_of(cache), annotator_of(cache)
    split = splits_of(cache, recipe.control, recipe.leaky)["validation"]
    names = split.documents[:LEAK_DOCUMENTS]
    bounds = list(zip(split.offset, split.offset[1:], strict=False))[:LEAK_DOCUMENTS]
    stored = [{name: array[begin:end] for name, array in split.columns.items()} for begin, end in bounds]
    decoder = Decoder(recipe.model, tokenizer.size)
    decoder.load_state_dict(load_file(weights_file(place, run)))
    found = measure_leak(
        decoder,
        list(recipe_annotators(layer, recipe, annotator, names).values()),
        [columns["pieces"] for columns in stored],
        closers=tokenizer.encode('."\n').tolist(),
        stored=stored,
    )
    return found.leak_free, found.max_change if math.isfinite(found.max_change) else None


def certificate_of(run: StudyRun, place: Place, config: CertificateConfig) -> dict[str, Any]:
    """A trained model replayed piece by piece, in a process that receives only the past; as JSON values."""
    torch.set_num_threads(1)
    cache, recipe = place.caches[run.corpus], run.recipe
    tokenizer = tokenizer_of(cache)
    decoder = Decoder(recipe.model, tokenizer.size)
    decoder.load_state_dict(load_file(weights_file(place, run)))
    documents = drawn(splits_of(cache, recipe.control, recipe.leaky)["validation"], config)
    change = change_of(cache, recipe.control, recipe.leaky)
    reader = annotator_of(cache)
    settings: dict[str, Any] = {"pieces": config.pieces, "change": change, "seed": config.seed}
    found = certify(decoder, recipe, tokenizer, reader, documents, **settings)
    return found.to_json() | {"recipe": settings_digest(recipe)}


def leaks_told(cache: Path, recipe: Recipe, attributes: Sequence[str], config: MeterConfig) -> dict[str, Leak]:
    """The leak meter's readings of attributes, on the columns that a recipe gives. recipe: its control counts, and
    whether it is leaky."""
    torch.set_num_threads(1)
    layer, splits = layer_of(cache), splits_of(cache, recipe.control, recipe.leaky)
    names = [name for split in splits.values() for name in split.documents]
    annotators = recipe_annotators(layer, recipe, annotator_of(cache), names)
    alike: Any = annotators[names[0]] if recipe.control == "none" else annotators
    meter = LeakMeter(splits["train"], splits["validation"], alike, config)
    return {name: meter.measure(name) for name in attributes}


def made_from(recipe: Recipe, cache: Path) -> dict[str, str]:
    """Digests of a run's settings and of what it read: a line is good for a plan as long as both stay."""
    return {"recipe": settings_digest(recipe), "pieces": pieces_digest(cache)}


@lru_cache(maxsize=4)
def pieces_digest(cache: Path) -> str:
    return layer_of(cache).digest()


@lru_cache(maxsize=4)
def layer_of(cache: Path) -> PiecesLayer:
    return read_layer(cache)


@lru_cache(maxsize=4)
def tokenizer_of(cache: Path) -> Tokenizer:
    return Tokenizer.load(layer_of(cache).tokenizer)


@lru_cache(maxsize=4)
def annotator_of(cache: Path) -> PrefixAnnotator:
    tokenizer = tokenizer_of(cache)
    return PrefixAnnotator.load(layer_of(cache).annotator, tokenizer.piece_bytes, tokenizer.begin, tokenizer.end)


@lru_cache(maxsize=16)
def splits_of(cache: Path, control: str, leaky: bool) -> Mapping[str, Split]:
    """One object for all runs that read the same, so that a device holds it once."""
    return recipe_splits(layer_of(cache), columns_recipe(control, leaky))


@lru_cache(maxsize=16)
def change_of(cache: Path, control: str, leaky: bool) -> Change:
    """What makes these of honest columns, of what is known alone."""
    return recipe_change(layer_of(cache), columns_recipe(control, leaky))


def columns_recipe(control: str, leaky: bool) -> Recipe:
    """Of a recipe, what decides its columns."""
    return Recipe(name="leaky" if leaky else "columns", control=control, leaky=leaky)
