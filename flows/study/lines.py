"""What a study leaves: NAME.jsonl, one line a run, and NAME.articles.parquet, one row a held-out document of a run.

A run's articles are written before its line: a run that has a line is finished. While a study is under way its articles
lie in files of their own, one a run; `join_articles` makes the one file that the report reads.
"""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flows.study.stages import StudyRun
from model.columns import Split
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


def read_lines(file: Path) -> dict[str, dict[str, Any]]:
    """The finished runs by name; a torn last line is left out, and its run done again. Errors: Failure if one before
    the last is damaged."""
    if not file.exists():
        return {}
    whole = file.read_text(encoding="utf-8").splitlines()
    lines = {}
    for number, text in enumerate(whole, start=1):
        try:
            line = json.loads(text)
            lines[line["run"]] = line
        except (ValueError, KeyError, TypeError) as error:
            if number < len(whole):
                raise Failure(
                    f"{file}, line {number} is damaged ({error}); take it out, and its run is done again"
                ) from error
            file.write_text("".join(f"{text}\n" for text in whole[:-1]), encoding="utf-8")
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


def join_articles(folder: Path, together: Path) -> None:
    """One file of all articles: those that stand in it already, and those of the folder."""
    tables = [pq.read_table(each, schema=SCHEMA) for each in sorted(folder.glob("*.parquet"))]
    if together.exists():
        tables.insert(0, pq.read_table(together, schema=SCHEMA))
    if not tables:
        return
    table = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
    order = np.lexsort([table[name].cast(pa.string()).to_numpy() for name in ("document", "split", "run")])
    table = table.take(pa.array(order))
    keys = [
        tuple(row)
        for row in zip(*(table[name].cast(pa.string()).to_pylist() for name in SCHEMA.names[:3]), strict=True)
    ]
    first = [number for number, key in enumerate(keys) if number == 0 or key != keys[number - 1]]
    beside = together.with_suffix(".tmp")
    pq.write_table(table.take(pa.array(first)), beside, compression="zstd")
    beside.replace(together)


def _bits_per_byte(result: PackedResult, split: str) -> float | None:
    return _rounded(result.nats[split].sum() / math.log(2) / max(1, int(result.run.splits[split].bytes.sum())))


def _perplexity(result: PackedResult, split: str) -> float | None:
    pieces = int((result.run.splits[split].pieces() - 1).sum())
    mean = float(result.nats[split].sum()) / max(1, pieces)
    return _rounded(math.exp(mean)) if math.isfinite(mean) and mean < 100 else None


def _rounded(value: float) -> float | None:
    """Seven digits: as many as 32-bit sums have."""
    return float(f"{value:.7g}") if math.isfinite(value) else None
