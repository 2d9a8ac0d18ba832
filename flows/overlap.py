"""`valency overlap`: where a trained model looks, beside the bonds of the words it reads (is grammar found unasked?).

Held-out documents of the cache are read in rows as in evaluation, by the trained model and by an untrained one of the
same shape. The bonds are those of the cache; flows.overlap_pairs says what the controls are.

Ratios are of the mean weight of a true pair to that of a control's pair, with 95% intervals by the bootstrap over
documents. The best head of a kind is chosen on the validation documents and scored on the test documents.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.evaluate import text_model
from flows.overlap_pairs import ALL, CONTROLS, SOURCES, Bonded, pairs_of_row, read_bonded, words_of_pieces
from flows.runs import cache_of, layer_of
from lexicons.upos import UPOS
from model.batches import evaluation_places, read_places
from model.columns import Split
from model.evaluate.imdb import untrained
from model.evaluate.intervals import Floats
from model.evaluate.overlap import (
    METRICS,
    PAIRS,
    QUERIES,
    VARIANTS,
    RowWords,
    best_head,
    per_pair,
    ratio,
    rounded,
    row_sums,
)
from model.evaluate.overlap_weights import attention_weights
from model.evaluate.text import TextModel
from model.inputs import recipe_splits
from model.transformer import Decoder
from pipeline.cache import Cache
from pipeline.cache.made import config_of

HELD_OUT = ("validation", "test")
MOST = 20_000
"""Pieces of each split that are read, unless others are asked for: 80 rows of 256."""

SAME_QUERIES = ("random-keys", "same-distances")
"""Controls that keep the queries of the bonds: others say too little of a single head."""

Told = Callable[[str, int, int], None]
Rows = NDArray[np.int64]


def overlap(
    run: Path,
    cache: Path | None = None,
    *,
    most: int = MOST,
    seed: int = 0,
    told: Told = lambda part, done, total: None,
) -> dict[str, Any]:
    """What `--json` holds: `summary`, all heads together, by model, kind and variant; `best`, a head for each kind;
    `heads`, matrices of layers × heads.

    most: about how many pieces of each held-out split to read. Errors: ValueError if the run is not finished, its cache
    is not there, has no bonds or nothing held out, or a layer has no softmax weights.
    """
    began, began_process = perf_counter(), process_time()
    text, recipe = text_model(run)
    if recipe.model.objective != "causal":
        raise ValueError(f"{run} reads both ways; overlap is of models in which the later word looks back")
    folder = cache_of(run, cache)
    config = replace(config_of(folder), control="", control_seed=0)
    kinds = tuple(kind for kind in config.kinds if kind != "blocked")
    models = {"trained": text.model, "untrained": untrained(text.model, recipe.train.seed)}
    splits, stacked = recipe_splits(layer_of(run, folder), recipe), dict[str, dict[str, Floats]]()
    for name in HELD_OUT:
        chosen = chosen_documents(splits[name], most)
        read = read_bonded(Cache.open(folder), [splits[name].documents[each] for each in chosen], config, seed)
        found = []
        for done, number in enumerate(chosen, start=1):
            document = read[splits[name].documents[number]]
            found.append(document_sums(text, models, splits[name], number, document, kinds, seed))
            told(f"{name} documents", done, len(chosen))
        stacked[name] = {model: np.array([each[model] for each in found]) for model in models if found}
    if not any(stacked.values()):
        raise ValueError(f"{folder} holds nothing held out; add files whose names say -validation or -test")
    whole = {model: np.concatenate([by[model] for by in stacked.values() if by]) for model in models}
    made = {
        "summary": _summary((*kinds, ALL), whole),
        "best": _best((*kinds, ALL), stacked, recipe.model.heads),
        "heads": _heads((*kinds, ALL), whole, recipe.model.layers),
    }
    return {
        "run": run.name,
        "documents": {name: len(by.get("trained", ())) for name, by in stacked.items()},
        "layers": recipe.model.layers,
        "views": {"heads": [str(view) for view in recipe.model.head_views()]},
        "seconds": perf_counter() - began,
        "processor_seconds": process_time() - began_process,
        "control_seed": seed,
        "head_controls": list(SAME_QUERIES),
        "variants": {name: list(left_out) for name, left_out in VARIANTS.items()},
        **made,
    }


def chosen_documents(split: Split, most: int) -> list[int]:
    """Documents in order until so many pieces are read; one at least, if there is any."""
    ends = np.cumsum(split.pieces())
    return list(range(min(len(ends), int(np.searchsorted(ends, most)) + 1)))


def document_sums(
    text: TextModel,
    models: Mapping[str, Decoder],
    split: Split,
    number: int,
    document: Bonded,
    kinds: Sequence[str],
    seed: int,
) -> dict[str, Floats]:
    """[K,S,V,5,X] by model: the sums of model.evaluate.overlap over the rows of one document."""
    one = split.document(number)
    of_piece = words_of_pieces(text.tokenizer, document.text, document.words)
    found: dict[str, Floats] = {}
    for document_BN, position_BN in evaluation_places(one, rows=1, length=text.length):
        ids, context = read_places(one, document_BN, position_BN)
        row = row_words(document, of_piece[position_BN[0]], kinds, seed)
        for name, model in models.items():
            sums = row_sums(attention_weights(model, ids, context), row)
            found[name] = found[name] + sums if name in found else sums
    return found


def row_words(document: Bonded, of_piece: Rows, kinds: Sequence[str], seed: int) -> RowWords:
    """of_piece: the words of the pieces of one row, by their number in the document."""
    held = of_piece[of_piece >= 0]
    first, stop = (int(held.min()), int(held.max()) + 1) if len(held) else (0, 0)
    return RowWords(
        of_piece=np.where(of_piece >= 0, of_piece - first, stop - first),
        punctuation=document.words.upos[first:stop] == UPOS.index("PUNCT"),
        pairs=list(pairs_of_row(document, first, stop, kinds, seed).values()),
    )


def _summary(kinds: Sequence[str], whole: Mapping[str, Floats]) -> list[dict[str, Any]]:
    """A row a model, kind and variant: what a pair gets, all heads together, and ratios to controls."""
    rows = []
    for name, sums in whole.items():
        together = sums.sum(0).sum(-1, keepdims=True)
        against = {control: ratio(sums, SOURCES.index(control), heads=False) for control in CONTROLS}
        learned = {
            control: ratio(sums, SOURCES.index(control), base=whole["untrained"], heads=False)
            for control in CONTROLS
            if name == "trained"
        }
        for kind, variant in np.ndindex(len(kinds), len(VARIANTS)):
            cell, heads = together[kind, :, variant], sums.shape[-1]
            row: dict[str, Any] = {"model": name, "kind": kinds[kind], "variant": list(VARIANTS)[variant]}
            row |= {"pairs": int(cell[0, PAIRS, 0] / heads), "queries": int(cell[0, QUERIES, 0] / heads)}
            row["density"] = {s: rounded(cell[n, PAIRS, 0] / max(cell[0, PAIRS, 0], 1)) for n, s in enumerate(SOURCES)}
            for number, metric in enumerate(METRICS):
                values = {source: per_pair(cell[n], number)[0] for n, source in enumerate(SOURCES)}
                row[metric] = {source: rounded(value) for source, value in values.items()}
            row["ratio"] = {c: [each[kind][variant] for each in found.to_json()] for c, found in against.items()}  # type: ignore[index]
            row |= {
                "ratio_over_untrained": {
                    c: [each[kind][variant] for each in found.to_json()]  # type: ignore[index]
                    for c, found in learned.items()
                }
            }
            rows.append(row)
    return rows


def _best(kinds: Sequence[str], stacked: Mapping[str, Mapping[str, Floats]], heads: int) -> list[dict[str, Any]]:
    """For each model and kind the head that looks the most times as much as at same-distances, on other documents."""
    if not all(stacked.get(name) for name in HELD_OUT):
        return []
    rows, control, variant = [], SOURCES.index("same-distances"), len(VARIANTS) - 1
    for model in stacked["test"]:
        found = ratio(stacked["test"][model], control)
        for kind, name in enumerate(kinds):
            best = best_head(stacked["validation"][model], control, kind, variant)
            value = [rounded(each[kind, variant, best]) for each in (found.value, found.low, found.high)]
            place = {"layer": best // heads, "head": best % heads}
            rows.append({"model": model, "kind": name, "variant": list(VARIANTS)[variant], **place, "ratio": value})
    return rows


def _heads(kinds: Sequence[str], whole: Mapping[str, Floats], layers: int) -> dict[str, Any]:
    """Matrices [layers][heads] by model, kind and variant (with all in, and with all three left out)."""
    shown = {name: number for number, name in enumerate(VARIANTS) if number in (0, len(VARIANTS) - 1)}
    found: dict[str, Any] = {}
    for model, sums in whole.items():
        ratios = {control: ratio(sums, SOURCES.index(control)) for control in SAME_QUERIES}
        total = sums.sum(0)
        for kind, name in enumerate(kinds):
            for variant, number in shown.items():
                cell: dict[str, Any] = {
                    metric: rounded(per_pair(total[kind, 0, number], place).reshape(layers, -1))
                    for place, metric in enumerate(METRICS)
                }
                cell["ratio"] = {
                    control: {
                        end: rounded(getattr(each, end)[kind, number].reshape(layers, -1))
                        for end in ("value", "low", "high")
                    }
                    for control, each in ratios.items()
                }
                found.setdefault(model, {}).setdefault(name, {})[variant] = cell
    return found
