"""Checkpoints: folders of safetensors and JSON, each whole or not there at all.

    checkpoint/step-000400/model.safetensors        weights
    checkpoint/step-000400/optimizer.safetensors    the optimizers' tensors by weight, and the random generators
    checkpoint/step-000400/ema.safetensors          the average of the weights, where one is kept
    checkpoint/step-000400/state.json               everything else that resuming needs
    best/step-000350/                               weights and state alone

A folder is written under another name, forced to disk, and renamed: after a crash the latest one is good. Weights that
lie in parts on several devices are put together first: files do not say how many processes wrote them.
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from pipeline.errors import Failure

CPU_GENERATOR, CUDA_GENERATOR = "generator/cpu", "generator/cuda"
MODEL, OPTIMIZER, EMA = "model.safetensors", "optimizer.safetensors", "ema.safetensors"


def save(
    folder: Path,
    step: int,
    model: nn.Module,
    optimizers: Sequence[Optimizer],
    state: Mapping[str, Any],
    average: Mapping[str, Tensor] | None = None,
    writes: bool = True,
) -> Path:
    """Write the checkpoint of a step into a run's checkpoint folder; state: JSON values. Returns its path.

    average: moving average of the weights. Every process must call this; the one that `writes` does so.
    """
    files = {MODEL: whole_weights(model)}
    if optimizers:
        files[OPTIMIZER] = _optimizer_tensors(model, optimizers)
    if average:
        files[EMA] = {name: whole(tensor) for name, tensor in average.items()}
    place = folder / f"step-{step:06d}"
    if not writes:
        return place
    beside = folder / f".{place.name}.{os.getpid()}.tmp"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    for name, tensors in files.items():
        save_file(tensors, beside / name)
    (beside / "state.json").write_text(json.dumps({"step": step, **state}, indent=1) + "\n", encoding="utf-8")
    for file in [*beside.iterdir(), beside]:
        force_to_disk(file)
    shutil.rmtree(place, ignore_errors=True)
    beside.rename(place)
    force_to_disk(folder)
    return place


def latest(folder: Path) -> Path | None:
    """The checkpoint of the highest step, if there is any."""
    return max(folder.glob("step-*"), key=step_of, default=None)


def step_of(place: Path) -> int:
    """The step of a checkpoint, by its name."""
    return int(place.name.removeprefix("step-"))


def load(
    place: Path, model: nn.Module, optimizers: Sequence[Optimizer], average: Mapping[str, Tensor] | None = None
) -> dict[str, Any]:
    """Set model, optimizers, average and random generators as they were; returns the saved state, `step` in it.

    Errors: Failure if a file of the checkpoint is damaged.
    """
    weights, tensors = _read(place / MODEL), _read(place / OPTIMIZER)
    set_weights(model, weights)
    torch.set_rng_state(tensors.pop(CPU_GENERATOR))
    if CUDA_GENERATOR in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors[CUDA_GENERATOR])
    tensors.pop(CUDA_GENERATOR, None)
    name_of = {weight: name for name, weight in model.named_parameters()}
    by_weight: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        name, _, what = key.rpartition("/")
        by_weight.setdefault(name, {})[what] = tensor
    for optimizer in optimizers:
        held = [weight for group in optimizer.param_groups for weight in group["params"]]
        saved = optimizer.state_dict()
        saved["state"] = {
            number: {what: _like(weight, tensor) for what, tensor in by_weight.get(name_of[weight], {}).items()}
            for number, weight in enumerate(held)
        }
        optimizer.load_state_dict(saved)
    if average:
        found = _read(place / EMA)
        with torch.no_grad():
            for name, tensor in average.items():
                tensor.copy_(_like(tensor, found[name]))
    return read_state(place)


def set_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put whole weights into a model, whose own may lie in parts."""
    with torch.no_grad():
        held = model.state_dict()
        assert held.keys() == weights.keys(), "a checkpoint of another model"
        for name, weight in held.items():
            weight.copy_(_like(weight, weights[name]))


def _read(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise Failure(
            f"{file.parent} is damaged ({error}); remove it, and the run goes on from what came before"
        ) from error


def read_state(place: Path) -> dict[str, Any]:
    """The state that a checkpoint was saved with, and its `step`. Errors: Failure if it is damaged."""
    try:
        state: dict[str, Any] = json.loads((place / "state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Failure(f"{place} is damaged ({error}); remove it, and the run goes on from what came before") from error
    return state


def prune(folder: Path, keep: int) -> None:
    """Remove all but the `keep` latest checkpoints, and what crashed runs left half-written."""
    for place in sorted(folder.glob("step-*"), key=step_of)[:-keep]:
        shutil.rmtree(place)
    for half in folder.glob(".step-*.tmp"):
        shutil.rmtree(half)


def keep_only(folder: Path, step: int | None, *, later: bool = False) -> None:
    """Remove all checkpoints of a folder but that of a step; later: and but those of later steps."""
    for place in folder.glob("step-*"):
        if step_of(place) != step and not (later and step is not None and step_of(place) > step):
            shutil.rmtree(place)
    for half in folder.glob(".step-*.tmp"):
        shutil.rmtree(half)


def write_whole(file: Path, text: str) -> None:
    """Write a file so that it is there with all of the text, or as it was before."""
    beside = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    beside.write_text(text, encoding="utf-8")
    force_to_disk(beside)
    beside.replace(file)
    force_to_disk(file.parent)


def force_to_disk(place: Path) -> None:
    """fsync of a file or folder: a rename must not reach the disk before what it names."""
    handle = os.open(place, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def whole_weights(model: nn.Module) -> dict[str, Tensor]:
    """All weights by name, put together; every process must call this."""
    return {name: whole(tensor) for name, tensor in model.state_dict().items()}


def whole(tensor: Tensor) -> Tensor:
    """A tensor as safetensors takes it, put together if it lies in parts on several devices."""
    tensor = tensor.detach()
    together: Tensor = tensor.full_tensor() if in_parts(tensor) else tensor  # type: ignore[attr-defined]
    return together.contiguous()


def in_parts(tensor: Tensor) -> bool:
    """Whether a tensor lies in parts on several devices: a DTensor, whose module takes long to import."""
    return hasattr(tensor, "full_tensor")


def _like(held: Tensor, tensor: Tensor) -> Tensor:
    """A whole tensor in parts as another's, if that lies in parts and is as large."""
    if in_parts(held) and held.shape == tensor.shape:
        from torch.distributed.tensor import DTensor, distribute_tensor

        assert isinstance(held, DTensor)
        return distribute_tensor(tensor.to(held.device), held.device_mesh, held.placements)
    return tensor


def _optimizer_tensors(model: nn.Module, optimizers: Sequence[Optimizer]) -> dict[str, Tensor]:
    """The optimizers' tensors as `<weight's name>/<what>`, and the state of the random generators."""
    tensors = {CPU_GENERATOR: torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors[CUDA_GENERATOR] = torch.cuda.get_rng_state()
    name_of = {weight: name for name, weight in model.named_parameters()}
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for weight in group["params"]:
                for what, tensor in optimizer.state[weight].items():
                    tensors[f"{name_of[weight]}/{what}"] = whole(tensor)
    return tensors
