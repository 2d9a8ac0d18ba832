"""Files that are whole or not there: written beside their place, then renamed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_arrays_of
from safetensors.numpy import save_file as save_arrays_to
from safetensors.torch import load_file as load_tensors_of
from safetensors.torch import save_file as save_tensors_to

from pipeline.errors import Failure

Arrays = dict[str, NDArray[Any]]


def save_arrays(arrays: Arrays, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    save_arrays_to({name: np.ascontiguousarray(array) for name, array in arrays.items()}, fresh)
    fresh.replace(path)


def load_arrays(path: Path) -> Arrays:
    """Errors: Failure if the file is not there or is damaged."""
    try:
        return load_arrays_of(path)
    except (OSError, SafetensorError) as error:
        raise Failure(f"cannot read {path} ({error}); run the stage that makes it again") from error


def save_weights(module: torch.nn.Module, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    save_tensors_to({name: weight.detach().cpu().contiguous() for name, weight in module.state_dict().items()}, fresh)
    fresh.replace(path)


def load_weights(module: torch.nn.Module, path: Path) -> None:
    """Errors: Failure if the file is damaged, or of a teacher of other sizes."""
    try:
        module.load_state_dict(load_tensors_of(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise Failure(f"{path} does not fit ({str(error)[:300]}); remove it, and it is trained again") from error


def save_json(value: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(json.dumps(value, ensure_ascii=False) + "\n", encoding="utf-8")
    fresh.replace(path)


def load_json(path: Path) -> Any:
    """Errors: Failure if the file is not there or is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Failure(f"cannot read {path} ({error}); run the stage that makes it again") from error
