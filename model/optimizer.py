"""How weights are moved: AdamW (Loshchilov and Hutter 2019) or Muon (Jordan et al. 2024), and a schedule for the rate.

Widths share one learning rate where a model says at which width it was found (`base_dim`): with w = base_dim / dim,

    weights                       first spread       AdamW's rate    Muon's rate    weight decay
    matrices of the layers        0.02 * sqrt(w)     * w             * sqrt(w)      so that rate * decay stays
    gain of the last norm         w                  * w
    embeddings, other norms       0.02, 1            as said

AdamW's column is table 8 of Yang et al. 2022 (maximal update parametrisation) with tied embeddings: the gain of the
last norm, drawn at w and moved at w, is their factor 1/width on the logits. Muon's is the spectral condition of Yang
et al. 2023: an update of root mean square r has the spectral norm r * dim where its entries are aligned, as AdamW's
are, and r * sqrt(dim) where all its singular values are equal, as Muon's are; either has to stay.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from model.config import TrainConfig
from model.transformer import Decoder

MOMENTUM = 0.95
"""Muon's, with Nesterov's look ahead, as its authors set it."""


def cosine(gone: float, config: TrainConfig) -> float:
    """Down along half a cosine to `final_fraction`."""
    low = config.final_fraction
    return low + (1 - low) * (1 + math.cos(math.pi * gone)) / 2


def warmup_stable_decay(gone: float, config: TrainConfig) -> float:
    """Level, then down as 1 - sqrt: best of the shapes that Hägele et al. 2024 tried for Hu et al.'s schedule."""
    falling = max(0.0, (gone - (1 - config.decay)) / config.decay)
    return 1 - (1 - config.final_fraction) * math.sqrt(min(1.0, falling))


SHAPES: dict[str, Callable[[float, TrainConfig], float]] = {"cosine": cosine, "wsd": warmup_stable_decay}
"""What is left of the highest learning rate when a part `gone` (0 to 1) of the job after warm-up is over."""


def learning_rate(step: int, config: TrainConfig, gone: float | None = None) -> float:
    """Of a step, counted from 1: up in a straight line through warm-up, then by the schedule.

    gone: part of the budget that is over, where it is not counted in steps.
    """
    if step < config.warmup:
        return config.learning_rate * step / config.warmup
    if gone is None:
        gone = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.learning_rate * SHAPES[config.schedule](gone, config)


def set_rate(optimizers: list[Optimizer], rate: float) -> None:
    """Set the learning rate of every group of weights; a group's `scale` says how much of it is its own."""
    for group in groups_of(optimizers):
        group["lr"] = rate * group["scale"]


def groups_of(optimizers: list[Optimizer]) -> list[dict[str, Any]]:
    return [group for optimizer in optimizers for group in optimizer.param_groups]


def make_optimizers(decoder: Decoder, config: TrainConfig) -> list[Optimizer]:
    """AdamW for all weights, or Muon for the matrices of the layers and AdamW for the others.

    Weight decay pulls at matrices alone. The weights must lie where they will be trained.
    """
    matrices, others = parted(decoder)
    width = (decoder.config.base_dim or decoder.config.dim) / decoder.config.dim
    plain = {"weight_decay": 0.0, "scale": 1.0}
    moved: list[dict[str, Any]] = [{"params": others, **plain}]
    if width != 1:
        last = decoder.norm.weight
        moved = [{"params": [each for each in others if each is not last], **plain}]
        moved.append({"params": [last], "weight_decay": 0.0, "scale": width})
    # Its fused steps would undo the scale of the loss by themselves, and leave nothing to clip before.
    settings: dict[str, Any] = {"betas": (config.beta1, config.beta2), "fused": config.precision != "16-mixed"}
    if config.optimizer == "adamw":
        layers = {"params": matrices, "weight_decay": config.weight_decay / width, "scale": width}
        return [torch.optim.AdamW([layers, *moved], lr=config.learning_rate, **settings)]
    inside = {id(weight) for weight in decoder.layers.parameters()}  # type: ignore[attr-defined]
    layers = {"params": [weight for weight in matrices if id(weight) in inside], "scale": width**0.5}
    outside = [weight for weight in matrices if id(weight) not in inside]  # what says tags
    if outside:
        moved.append({"params": outside, "weight_decay": config.weight_decay, "scale": 1.0})
    # match_rms_adamw: updates 0.2 * sqrt(max(rows, columns)) times as large, of AdamW's usual root mean square, so that
    # its learning rate and decay serve (Liu et al. 2025, section 2.2).
    muon = torch.optim.Muon(
        [layers],
        lr=config.learning_rate,
        weight_decay=config.weight_decay / width**0.5,
        momentum=MOMENTUM,
        nesterov=True,
        adjust_lr_fn="match_rms_adamw",
    )
    return [muon, torch.optim.AdamW(moved, lr=config.learning_rate, **settings)]


def parted(decoder: Decoder) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The weights that decay, and embeddings, norms and learned terms that do not, as has been usual since GPT-2."""
    linear = {layer.weight for layer in decoder.modules() if isinstance(layer, nn.Linear)}
    weights = list(decoder.parameters())
    return [weight for weight in weights if weight in linear], [weight for weight in weights if weight not in linear]
