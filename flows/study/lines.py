"""What a study leaves: NAME.jsonl, one line a run, and NAME.articles.parquet, one row a held-out document of a run.

A run's articles are written before its line: a run that has a line is finished. While a study is under way its articles
lie in files of their own, one a run; `join_articles` makes the one file that the report reads.
"""

import json
import math
import os
from collections.abc import Collection, Mapping
from dataclasses import fields, is_dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flows.study.stages import StudyRun
from model.columns import Split
from model.config import Recipe
from model.packed.train import PackedResult
from pipeline.errors import Failure

SCHEMA = pa.schema(
    {
        "run": pa.dictionary(pa.int32(), pa.string()),
        "split": pa.dictionary(pa.int32(), pa.string()),
        "document": pa.dictionary(pa.int32(), pa.string()),
        "nats": pa.float32(),
        "pieces": pa.int32(),
        "bytes": pa.int32(),
    }
)


FORMAT = 3
"""Of the lines: from 2 on, whatever is scored on the test split has a certificate; lines of 1 do not say it. From 3 on
the certificate names the recipe by the digest in `made_from`."""


def read_lines(file: Path) -> dict[str, dict[str, Any]]:
    """The finished runs by name; a torn last line is left out, and its run done again. Errors: Failure if one before
    the last is damaged."""
    if not file.exists():
        return {}
    text = file.read_text(encoding="utf-8")
    whole = text.removesuffix("\n").split("\n") if text else []
    lines = {}
    for number, one in enumerate(whole, start=1):
        try:
            line = json.loads(one)
            lines[line["run"]] = line
        except (ValueError, KeyError, TypeError) as error:
            if number < len(whole):
                raise Failure(
                    f"{file}, line {number} is damaged ({error}); take it out, and its run is done again"
                ) from error
            whole.pop()
    if text != (mended := "".join(f"{line}\n" for line in whole)):  # else the next line would be glued to the last
        beside = file.with_suffix(".tmp")
        beside.write_text(mended, encoding="utf-8")
        beside.replace(file)
    return lines


def append_line(file: Path, line: Mapping[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as out:
        out.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
        out.flush()
        os.fsync(out.fileno())


def line_of(study: str, run: StudyRun, result: PackedResult, made_by: Mapping[str, Any]) -> dict[str, Any]:
    """A run's line, all but what measuring leaks adds. A score that is no number stands as null."""
    bits = {name: _bits_per_byte(result, name) for name in result.nats}
    perplexity = {name: _perplexity(result, name) for name in result.nats}
    model, train = run.recipe.model, run.recipe.train
    return {
        "format": FORMAT,
        "run": run.name,
        "study": study,
        "stage": run.stage,
        "corpus": run.corpus,
        "size": run.size,
        "recipe": run.recipe.name,
        "family": run.family,
        "positions": run.positions,
        "seed": train.seed,
        "trial": run.trial,
        "leaky": run.recipe.leaky,
        "leak_free": None,
        "max_change": None,
        "steps": train.steps,
        "bits_per_byte": bits["validation"],
        "perplexity": perplexity["validation"],
        "test_bits_per_byte": bits.get("test"),
        "test_perplexity": perplexity.get("test"),
        "certificate": None,
        "leak_nats": None,
        "gain_nats": None,
        "attributes": {},
        "curve": [[step, _rounded(nats / math.log(2))] for step, nats in result.curve],
        "settings": {
            **{name: getattr(model, name) for name in ("tags", "tag_loss", "layers", "dim", "heads", "dropout")},
            **{name: getattr(train, name) for name in ("learning_rate", "weight_decay", "rows", "length", "warmup")},
            "views": list(model.views),
            "control": run.recipe.control,
            "precision": train.precision,
        },
        "parameters": sum(weight.numel() for weight in result.weights.values()),
        "pieces": train.steps * train.rows * train.length,
        "seconds": _rounded(result.seconds),
        "packed": result.beside,
        **made_by,
    }


def write_articles(folder: Path, run: StudyRun, result: PackedResult, splits: Mapping[str, Split]) -> None:
    """The nats of each held-out document, in a file of this run's own."""
    columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    for name, nats in result.nats.items():
        split = splits[name]
        columns["split"] += [name] * len(nats)
        columns["document"] += split.documents
        columns["nats"] += nats.tolist()
        columns["pieces"] += (split.pieces() - 1).tolist()
        columns["bytes"] += split.bytes.tolist()
    columns["run"] = [run.name] * len(columns["split"])
    file = articles_file(folder, run)
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_suffix(".tmp")
    pq.write_table(pa.table(columns, schema=SCHEMA), beside, compression="zstd")
    beside.replace(file)


def articles_file(folder: Path, run: StudyRun) -> Path:
    return folder / f"{run.name.replace('/', '__')}.parquet"


def join_articles(folder: Path, together: Path, runs: Collection[str]) -> None:
    """One file of the articles of these runs: those of the folder, and of runs that are not there what it held before.

    Files of the folder are newer: a run that is done again has other articles.
    """
    tables = [pq.read_table(each, schema=SCHEMA) for each in sorted(folder.glob("*.parquet"))]
    newer = {run for table in tables for run in table["run"].unique().to_pylist()}
    if together.exists():
        before = pq.read_table(together, schema=SCHEMA)
        tables.append(before.filter(pc.invert(_among(before, newer))))
    if not tables:
        return
    table = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
    table = table.filter(_among(table, runs))
    order = np.lexsort([table[name].cast(pa.string()).to_numpy() for name in ("document", "split", "run")])
    beside = together.with_suffix(".tmp")
    pq.write_table(table.take(pa.array(order)), beside, compression="zstd")
    beside.replace(together)


def _among(table: pa.Table, runs: Collection[str]) -> pa.ChunkedArray:
    """Which rows are of these runs."""
    return pc.is_in(table["run"].cast(pa.string()), pa.array(sorted(runs), pa.string()))


def settings_digest(recipe: Recipe) -> str:
    """Twelve hex digits over all settings that are not at their default, so that a new setting changes no digest."""
    return sha256(json.dumps(_said(recipe), sort_keys=True).encode()).hexdigest()[:12]


def _said(settings: Any) -> dict[str, Any]:
    values = {each.name: (getattr(settings, each.name), each) for each in fields(settings)}
    return {
        name: _said(value) if is_dataclass(value) else value
        for name, (value, each) in values.items()
        if is_dataclass(value) or value != each.default
    }


def _bits_per_byte(result: PackedResult, split: str) -> float | None:
    return _rounded(result.nats[split].sum() / math.log(2) / max(1, int(result.run.splits[split].bytes.sum())))


def _perplexity(result: PackedResult, split: str) -> float | None:
    pieces = int((result.run.splits[split].pieces() - 1).sum())
    mean = float(result.nats[split].sum()) / max(1, pieces)
    return _rounded(math.exp(mean)) if math.isfinite(mean) and mean < 100 else None


def _rounded(value: float) -> float | None:
    """Seven digits: as many as 32-bit sums have."""
    return float(f"{value:.7g}") if math.isfinite(value) else None
