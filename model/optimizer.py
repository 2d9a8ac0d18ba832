"""How weights are moved: AdamW (Loshchilov and Hutter 2019) under a cosine schedule with warm-up."""

import math

import torch
from torch import nn

from model.config import TrainConfig
from model.transformer import Decoder


def learning_rate(step: int, config: TrainConfig) -> float:
    """Of a step, counted from 1: up in a straight line through warm-up, then down along half a cosine."""
    if step < config.warmup:
        return config.learning_rate * step / config.warmup
    gone = (step - config.warmup) / max(1, config.steps - config.warmup)
    low = config.final_fraction
    return config.learning_rate * (low + (1 - low) * (1 + math.cos(math.pi * gone)) / 2)


def make_optimizer(decoder: Decoder, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW; weight decay pulls at matrices alone."""
    matrices, others = parted(decoder)
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(config.beta1, config.beta2), fused=True)


def parted(decoder: Decoder) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The weights that decay, and the embeddings and norms that do not, as has been usual since GPT-2."""
    embeddings = {layer.weight for layer in decoder.modules() if isinstance(layer, nn.Embedding)}
    weights = list(decoder.parameters())
    matrices = [weight for weight in weights if weight.ndim == 2 and weight not in embeddings]
    return matrices, [weight for weight in weights if weight.ndim != 2 or weight in embeddings]
