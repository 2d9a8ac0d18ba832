"""Checkpoints: folders of safetensors and JSON, each whole or not there at all.

    checkpoint/step-000400/model.safetensors        weights
    checkpoint/step-000400/optimizer.safetensors    the optimizer's tensors by weight, and the random generators
    checkpoint/step-000400/state.json               everything else that resuming needs

A folder is written under another name, forced to disk, and renamed: after a crash the latest one is good.
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from pipeline.errors import Failure

CPU_GENERATOR, CUDA_GENERATOR = "generator/cpu", "generator/cuda"


def save(folder: Path, step: int, model: nn.Module, optimizer: Optimizer, state: Mapping[str, Any]) -> Path:
    """Write the checkpoint of a step into a run's checkpoint folder; state: JSON values. Returns its path."""
    place = folder / f"step-{step:06d}"
    beside = folder / f".{place.name}.{os.getpid()}.tmp"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    weights = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, beside / "model.safetensors")
    save_file(_optimizer_tensors(model, optimizer), beside / "optimizer.safetensors")
    (beside / "state.json").write_text(json.dumps({"step": step, **state}, indent=1) + "\n", encoding="utf-8")
    for file in [*beside.iterdir(), beside]:
        force_to_disk(file)
    shutil.rmtree(place, ignore_errors=True)
    beside.rename(place)
    force_to_disk(folder)
    return place


def latest(folder: Path) -> Path | None:
    """The checkpoint of the highest step, if there is any."""
    return max(folder.glob("step-*"), key=lambda place: int(place.name.removeprefix("step-")), default=None)


def load(place: Path, model: nn.Module, optimizer: Optimizer) -> dict[str, Any]:
    """Set model, optimizer and random generators as they were; returns the state that was saved, `step` in it.

    Errors: Failure if a file of the checkpoint is damaged.
    """
    try:
        weights, tensors = (load_file(place / f"{name}.safetensors") for name in ("model", "optimizer"))
    except (OSError, SafetensorError) as error:
        raise Failure(f"{place} is damaged ({error}); remove it, and the run goes on from what came before") from error
    model.load_state_dict(weights)
    torch.set_rng_state(tensors.pop(CPU_GENERATOR))
    if CUDA_GENERATOR in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors[CUDA_GENERATOR])
    tensors.pop(CUDA_GENERATOR, None)
    saved, names = optimizer.state_dict(), _names(model, optimizer)
    saved["state"] = {number: {} for number in range(len(names))}
    for key, tensor in tensors.items():
        name, _, what = key.rpartition("/")
        saved["state"][names.index(name)][what] = tensor
    optimizer.load_state_dict(saved)
    return read_state(place)


def read_state(place: Path) -> dict[str, Any]:
    """The state that a checkpoint was saved with, and its `step`. Errors: Failure if it is damaged."""
    try:
        state: dict[str, Any] = json.loads((place / "state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Failure(f"{place} is damaged ({error}); remove it, and the run goes on from what came before") from error
    return state


def prune(folder: Path, keep: int) -> None:
    """Remove all but the `keep` latest checkpoints, and what crashed runs left half-written."""
    for place in sorted(folder.glob("step-*"), key=lambda place: int(place.name.removeprefix("step-")))[:-keep]:
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


def _optimizer_tensors(model: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """The optimizer's tensors as `<weight's name>/<what>`, and the state of the random generators."""
    tensors = {CPU_GENERATOR: torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors[CUDA_GENERATOR] = torch.cuda.get_rng_state()
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    for name, weight in zip(_names(model, optimizer), weights, strict=True):
        for what, tensor in optimizer.state[weight].items():
            tensors[f"{name}/{what}"] = tensor.contiguous()
    return tensors


def _names(model: nn.Module, optimizer: Optimizer) -> list[str]:
    """Names of the optimizer's weights, in its own order."""
    name_of = {weight: name for name, weight in model.named_parameters()}
    return [name_of[weight] for group in optimizer.param_groups for weight in group["params"]]
