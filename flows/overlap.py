"""`valency overlap`: where a trained model looks, beside the bonds of the words it reads (is grammar found unasked?).

Held-out documents of the cache are read in rows as in evaluation, by the trained model and by an untrained one of the
same shape. The bonds are those of the cache, and each control is drawn for the very pairs that are measured:

    random-keys     as many pairs a word, with words drawn from the sentence of the true one (same density)
    same-distances  the distances of a kind dealt out anew in the document (same density, same distances)
    other-sentence  the bonds of another sentence of the document, about as long
    permuted-tags   word types exchange their tags before bonds are made: the kinds that read tags must suffer

Ratios are of the mean weight of a true pair to that of a control's pair, with 95% intervals by the bootstrap over
documents. The best head of a kind is chosen on the validation documents and scored on the test documents.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.evaluate import cache_of, text_model
from flows.report.sentence import cut
from lexicons.upos import UPOS
from model.batches import evaluation_places, read_places
from model.columns import Split, read_layer
from model.evaluate.imdb import untrained
from model.evaluate.intervals import Floats
from model.evaluate.overlap import (
    METRICS,
    PAIRS,
    QUERIES,
    VARIANTS,
    Pairs,
    RowWords,
    best_head,
    in_row,
    pairs_of_bonds,
    per_pair,
    ratio,
    rounded,
    row_sums,
)
from model.evaluate.overlap_weights import attention_weights
from model.evaluate.text import TextModel
from model.inputs import recipe_splits
from model.run import load_result
from model.transformer import Decoder
from pipeline.bonds import BondConfig, bonds_of
from pipeline.cache import Cache
from pipeline.cache.digest import shard_of
from pipeline.cache.read import read_bonds, read_documents_of, read_words
from pipeline.controls import BONDS, WORDS
from pipeline.controls.draws import with_keys
from pipeline.pieces import Tokenizer
from pipeline.rebond import config_of
from pipeline.records import KINDS, Bonds, Words

CONTROLS = ("random-keys", "same-distances", "other-sentence", "permuted-tags")
SOURCES = ("bonds", *CONTROLS)
ALL = "all kinds"
HELD_OUT = ("validation", "test")
MOST = 20_000
"""Pieces of each split that are read, unless others are asked for: 80 rows of 256."""

Told = Callable[[str, int, int], None]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Read:
    """One held-out document: its text, its words, and pairs by kind and source."""

    text: str
    words: Words
    pairs: Mapping[str, Sequence[Pairs]]


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
    text, recipe = text_model(run)
    folder = cache_of(run, cache)
    layer, result = read_layer(folder), load_result(run)
    assert result is not None  # load_run has seen it
    if layer.digest() != result.made_from["pieces"]:
        raise ValueError(f"{run} was trained on other pieces than those of {folder}; name its cache, --cache")
    config = replace(config_of(folder), control="", control_seed=0)
    kinds = tuple(kind for kind in config.kinds if kind != "blocked")
    models = {"trained": text.model, "untrained": untrained(text.model, recipe.train.seed)}
    splits = recipe_splits(layer, recipe)
    sums: dict[str, dict[str, list[Floats]]] = {split: {model: [] for model in models} for split in HELD_OUT}
    for name in HELD_OUT:
        chosen = chosen_documents(splits[name], most)
        read = read_bonded(Cache.open(folder), [splits[name].documents[each] for each in chosen], config, kinds, seed)
        for done, number in enumerate(chosen, start=1):
            document = read[splits[name].documents[number]]
            for model, found in document_sums(text, models, splits[name], number, document).items():
                sums[name][model].append(found)
            told(f"{name} documents", done, len(chosen))
    stacked = {name: {model: np.array(each) for model, each in by.items() if each} for name, by in sums.items()}
    if not any(stacked.values()):
        raise ValueError(f"{folder} holds nothing held out; add files whose names say -validation or -test")
    whole = {model: np.concatenate([by[model] for by in stacked.values() if by]) for model in models}
    return {
        "run": run.name,
        "documents": {name: len(by.get("trained", ())) for name, by in stacked.items()},
        "layers": recipe.model.layers,
        "views": {"heads": [str(view) for view in recipe.model.head_views()]},
        "control_seed": seed,
        "variants": {name: list(left_out) for name, left_out in VARIANTS.items()},
        "summary": _summary((*kinds, ALL), whole),
        "best": _best((*kinds, ALL), stacked, recipe.model.heads),
        "heads": _heads((*kinds, ALL), whole, recipe.model.layers),
    }


def chosen_documents(split: Split, most: int) -> list[int]:
    """Documents in order until so many pieces are read; one at least, if there is any."""
    ends = np.cumsum(split.pieces())
    return list(range(min(len(ends), int(np.searchsorted(ends, most)) + 1)))


def read_bonded(
    cache: Cache, wanted: Sequence[str], config: BondConfig, kinds: Sequence[str], seed: int
) -> dict[str, Read]:
    """Documents of the cache with their pairs, the controls' drawn under the seed."""
    missing, found = set(wanted), {}
    for shard in sorted({shard_of(name, cache.shards) for name in wanted}):
        texts = {each.id: each.text for each in read_documents_of(cache, shard) if each.id in missing}
        for words, bonds in zip(read_words(cache, shard), read_bonds(cache, shard), strict=True):
            for name, theirs, of_theirs in _documents(words, bonds, missing):
                found[name] = Read(texts[name], theirs, pairs_of(theirs, of_theirs, config, kinds, seed))
        for name in texts.keys() - found.keys():  # a document without words left no row
            none = _none_of(kinds)
            found[name] = Read(texts[name], _no_words(), none)
    return found


def pairs_of(words: Words, bonds: Bonds, config: BondConfig, kinds: Sequence[str], seed: int) -> dict[str, list[Pairs]]:
    """By kind, and for all of them together, the pairs of the bonds and of each control."""
    # Made to look back first, so that a control has as many pairs as the bonds have, and not twice as many where a
    # bond points both ways.
    back = _looking_back(bonds)
    sources = [back]
    for control in CONTROLS:
        if control in BONDS:
            sources.append(BONDS[control](words, back, seed))
        else:
            sources.append(_looking_back(bonds_of(WORDS[control](words, seed), config)))
    numbers = {kind: [KINDS.index(kind)] for kind in kinds} | {ALL: [KINDS.index(kind) for kind in kinds]}
    return {kind: [_pairs(source, codes) for source in sources] for kind, codes in numbers.items()}


def _pairs(bonds: Bonds, kinds: Sequence[int]) -> Pairs:
    kept = np.isin(bonds.kind, kinds)
    return pairs_of_bonds(bonds.query[kept], bonds.key[kept])


def _looking_back(bonds: Bonds) -> Bonds:
    query, key = np.maximum(bonds.query, bonds.key), np.minimum(bonds.query, bonds.key)
    return with_keys(bonds, query.astype(np.int64), key.astype(np.int64))


def _documents(words: Words, bonds: Bonds, wanted: set[str]) -> Iterator[tuple[str, Words, Bonds]]:
    for number, name in enumerate(words.documents):
        if name in wanted:
            first, stop = np.searchsorted(words.document, [number, number + 1]).tolist()
            yield name, *cut(words, bonds, first, stop)


def document_sums(
    text: TextModel, models: Mapping[str, Decoder], split: Split, number: int, document: Read
) -> dict[str, Floats]:
    """[K,S,V,5,X] by model: the sums of model.evaluate.overlap over the rows of one document."""
    one = _one_document(split, number)
    of_piece = words_of_pieces(text.tokenizer, document)
    found: dict[str, Floats] = {}
    for document_BN, position_BN in evaluation_places(one, rows=1, length=text.length):
        ids, context = read_places(one, document_BN, position_BN)
        row = row_words(document, of_piece[position_BN[0]])
        for name, model in models.items():
            sums = row_sums(attention_weights(model, ids, context), row)
            found[name] = found[name] + sums if name in found else sums
    return found


def words_of_pieces(tokenizer: Tokenizer, document: Read) -> Rows:
    """int64 [N]: the last word of the parser's that has a character in each piece; -1 for pieces without."""
    _, begin, end = tokenizer.document_spans(document.text)
    if not len(document.words):
        return np.full(len(begin), -1)
    last = np.searchsorted(document.words.start, end) - 1
    inside = (last >= 0) & (begin < end) & (np.maximum.accumulate(document.words.end)[last] > begin)
    return np.where(inside, last, -1)


def row_words(document: Read, of_piece: Rows) -> RowWords:
    """of_piece: the words of the pieces of one row, by their number in the document."""
    held = of_piece[of_piece >= 0]
    first, stop = (int(held.min()), int(held.max()) + 1) if len(held) else (0, 0)
    return RowWords(
        of_piece=np.where(of_piece >= 0, of_piece - first, stop - first),
        punctuation=document.words.upos[first:stop] == UPOS.index("PUNCT"),
        pairs=[[in_row(each, first, stop) for each in sources] for sources in document.pairs.values()],
    )


def _one_document(split: Split, number: int) -> Split:
    begin, end = split.offset[number : number + 2].tolist()
    return Split(
        documents=split.documents[number : number + 1],
        offset=np.array([0, end - begin]),
        bytes=split.bytes[number : number + 1],
        columns={name: column[begin:end] for name, column in split.columns.items()},
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
    """For each model and kind the head whose mass is the most times that of same-distances pairs, on other documents."""
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
        ratios = {control: ratio(sums, SOURCES.index(control)) for control in CONTROLS}
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


def _none_of(kinds: Sequence[str]) -> dict[str, list[Pairs]]:
    nothing = np.empty(0, np.int64)
    return {kind: [(nothing, nothing)] * len(SOURCES) for kind in (*kinds, ALL)}


def _no_words() -> Words:
    from pipeline.records import no_words

    return no_words()
