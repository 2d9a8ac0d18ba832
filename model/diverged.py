"""What is left of a training job whose loss or gradient is no longer a number: the batch that it broke on.

diverged/step-000012-0.json            step, loss, norm, documents by number, names of the tensors
diverged/step-000012-0.safetensors     ids, targets, every attribute, and the lists of bonds

batch, said = load_batch(run / "diverged" / "step-000012-0.safetensors")
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from model.batches import Batch
from model.checkpoint import write_whole
from model.context import PER_PIECE, BondLists, Context
from pipeline.errors import Failure

FOLDER = "diverged"


class Diverged(Failure):
    """Training came to a loss or gradient that is not a number."""


def save_batch(run: Path, name: str, batch: Batch, documents: Sequence[str], said: dict[str, Any]) -> Path:
    """Write a batch into a run directory; documents: ids of the split, by number. Returns the file of tensors."""
    folder = run / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    context = batch.context
    tensors = {"ids": batch.ids, "targets": batch.targets}
    tensors |= {each: getattr(context, each) for each in PER_PIECE}
    if context.bonds is not None:
        tensors |= {f"bonds/{each}": tensor for each, tensor in context.bonds._asdict().items()}
    file = folder / f"{name}.safetensors"
    save_file({each: tensor.detach().cpu().contiguous().clone() for each, tensor in tensors.items()}, file)
    numbers = sorted({number for number in context.document.flatten().tolist() if number >= 0})
    names = {str(number): documents[number] for number in numbers}
    told = {**said, "causal": context.causal, "documents": names, "tensors": sorted(tensors)}
    # JSON has no word for what is not a number
    told = {each: str(value) if isinstance(value, float) else value for each, value in told.items()}
    write_whole(file.with_suffix(".json"), json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    return file


def load_batch(file: Path) -> tuple[Batch, dict[str, Any]]:
    """The batch that a run broke on, and what was said of it. file: what the error named."""
    tensors = load_file(file)
    said: dict[str, Any] = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    bonds = None
    if "bonds/key" in tensors:
        bonds = BondLists(*(tensors[f"bonds/{each}"] for each in BondLists._fields))
    attributes: dict[str, Any] = {each: tensors[each] for each in PER_PIECE}
    context = Context(**attributes, causal=said["causal"], bonds=bonds)
    return Batch(tensors["ids"], tensors["targets"], context), said
