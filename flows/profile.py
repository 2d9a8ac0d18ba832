"""`valency profile`: time and memory of a run's components on text of the sample, at several lengths."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from flows.evaluate import text_model
from model.batches import Batch, gather
from model.profile import PARTS, WHOLE, profile
from pipeline.corpus import Document, read_documents, sample_corpus

LENGTHS = (128, 256, 512, 1024, 2048)


def profile_run(
    run: Path, lengths: Sequence[int] = LENGTHS, *, repeats: int = 5, device: str = "cpu", threads: int | None = None
) -> dict[str, Any]:
    """What `--json` holds: rows by length and component, and scaling exponents.

    Text: the sample corpus, as one document. Errors: ValueError if the run is not finished, for lengths that it cannot
    read, or too few of them.
    """
    text, recipe = text_model(run, device)
    if recipe.model.positions == "learned" and max(lengths) > recipe.model.context:
        raise ValueError(f"{run} has learned {recipe.model.context} positions; give lengths up to that many pieces")
    torch.set_num_threads(threads or torch.get_num_threads())
    sample = " ".join(each.text for each in read_documents([sample_corpus()]) if isinstance(each, Document))
    split = text.split([text.ids(sample)])
    if max(lengths) >= split.offset[-1]:
        raise ValueError(f"the sample has {int(split.offset[-1]) - 1:,} pieces; give lengths up to that many")

    def batch_of(length: int) -> Batch:
        return gather(split, np.zeros((1, length), np.int64), np.arange(length)[None]).to(device)

    views = list(dict.fromkeys(str(view) for view in recipe.model.head_views()))
    about = {"run": run.name, "views": views, "repeats": repeats, "threads": torch.get_num_threads()}
    return about | profile(text.model, batch_of, lengths, repeats)


def tables(result: dict[str, Any]) -> list[tuple[str, pa.Table]]:
    """Milliseconds and saved MiB, a row a component, a column a length, and the exponent with its error."""
    lengths = sorted({row["tokens"] for row in result["rows"]})
    cells = {(row["component"], row["tokens"]): row for row in result["rows"]}
    shown = []
    for title, column, fitted in (
        ("milliseconds, forward and backward, fastest repeat", "ms", "time_exponent"),
        ("MiB kept for the backward pass", "saved_mib", "memory_exponent"),
    ):
        rows = []
        for name in (*PARTS, WHOLE):
            fit = result[fitted][name]
            said = "–" if fit["exponent"] is None else f"{fit['exponent']:.2f} ± {fit['standard_error']:.2f}"
            rows.append(
                {"component": name}
                | {str(n): round(float(cells[name, n][column]), 2) for n in lengths}
                | {"exponent": said}
            )
        shown.append((title, pa.Table.from_pylist(rows)))
    return shown
