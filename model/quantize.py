"""A trained transformer in fewer bits: int8 by torchao, weights alone or activations too, and plain casts.

    int8            weights of all linear layers as int8, a scale a row; products in float
    int8-dynamic    the same, and what goes in as int8 by a scale a piece, found as it comes
    bf16, fp16      all weights in 16 bits

The matrix that both embeds pieces and says them stays in float under int8: reading it is a look-up, and what it says
are the logits. A folder holds plain tensors (int8 and their scales by name) and JSON, no pickle; who loads it makes the
model, quantizes it, and fills in the numbers, so that they are the saved ones whatever rounds otherwise by then.
torchao is imported when int8 is asked for and no sooner.
"""

import json
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from model.config import ModelConfig
from model.config.checks import nearest
from model.transformer import Decoder
from pipeline.errors import Failure

QUANTIZED = "quantized.json"
"""In a run's folder: how its weights are quantized. Without it they are in float."""
SCALE = "/scale"
"""After a weight's name: what its whole numbers are worth, a row each."""
CASTS = {"bf16": torch.bfloat16, "fp16": torch.float16}
TO = ("int8", "int8-dynamic", *CASTS)
"""All that a model can be quantized to."""


def quantize(model: Decoder, to: str) -> Decoder:
    """The same model, its weights replaced. to: one of TO.

    Errors: ValueError for another name; ImportError without torchao.
    """
    if to not in TO:
        raise ValueError(f"a model cannot be quantized to {to!r}; {nearest(to, TO)}")
    if to in CASTS:
        return model.to(CASTS[to])
    turn, configs = _torchao()
    turn(model.layers, configs[to]())
    return model


def save(model: Decoder, folder: Path, to: str, file: str) -> None:
    """Write a quantized model's tensors, and what it was quantized to, into a folder."""
    save_file(plain(model), folder / file)
    # Last: a folder that says so holds it all.
    (folder / QUANTIZED).write_text(json.dumps({"to": to, "torchao": _version(to)}, indent=1) + "\n", encoding="utf-8")


def load(folder: Path, config: ModelConfig, file: str) -> Decoder:
    """The model of a folder that `save` wrote, on the CPU, in evaluation mode.

    Errors: Failure if the folder is damaged; ImportError without torchao.
    """
    try:
        to = str(json.loads((folder / QUANTIZED).read_text(encoding="utf-8"))["to"])
    except (ValueError, KeyError, TypeError) as error:
        raise Failure(f"{folder / QUANTIZED} is damaged ({error}); quantize the run again") from error
    weights = load_file(folder / file)
    model = quantize(Decoder(config, vocabulary=len(weights["embedding.weight"])), to)
    fill(model, weights)
    return model.eval()


def plain(model: nn.Module) -> dict[str, Tensor]:
    """All weights by name, as safetensors takes them: of a quantized one the whole numbers, and under another name
    their scales."""
    found = dict[str, Tensor]()
    for name, weight in _weights(model):
        if is_quantized(weight):
            found[name], found[name + SCALE] = weight.qdata.contiguous(), weight.scale.contiguous()
        else:
            found[name] = weight.detach().contiguous()
    return found


def fill(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put plain weights into a model that is quantized in the same way. Errors: Failure if they are of another one."""
    try:
        with torch.no_grad():
            for name, weight in _weights(model):
                if is_quantized(weight):
                    weight.qdata.copy_(_like(weight.qdata, weights[name]))
                    weight.scale.copy_(_like(weight.scale, weights[name + SCALE]))
                else:
                    weight.copy_(_like(weight, weights[name]))
    except (KeyError, TypeError) as error:
        raise Failure(
            f"the weights are of another model or quantized in another way ({error}); quantize again"
        ) from error


def is_quantized(weight: Any) -> bool:
    """Whether torchao has made it."""
    return hasattr(weight, "qdata")


def size(model: nn.Module) -> int:
    """Bytes of all weights."""
    return sum(each.numel() * each.element_size() for each in plain(model).values())


def _weights(model: nn.Module) -> list[tuple[str, Any]]:
    return list(model.state_dict().items())


def _like(held: Tensor, given: Tensor) -> Tensor:
    if held.shape != given.shape or held.dtype != given.dtype:
        raise TypeError(f"{given.dtype} {list(given.shape)} for {held.dtype} {list(held.shape)}")
    return given


def _version(to: str) -> str | None:
    try:
        return None if to in CASTS else version("torchao")
    except PackageNotFoundError:
        return None


def _torchao() -> tuple[Callable[..., Any], dict[str, Callable[[], Any]]]:
    """Its function, and its settings by our names. Errors: ImportError without it."""
    try:
        from torchao.quantization import (
            Int8DynamicActivationInt8WeightConfig,
            Int8WeightOnlyConfig,
            quantize_,
        )
    except ImportError as error:
        raise ImportError(f"{error}; int8 needs torchao: pip install 'valency[quantize]'") from error
    # Its settings for compiled code are global and would outlive us.
    return quantize_, {
        "int8": lambda: Int8WeightOnlyConfig(set_inductor_config=False),
        "int8-dynamic": lambda: Int8DynamicActivationInt8WeightConfig(set_inductor_config=False),
    }
