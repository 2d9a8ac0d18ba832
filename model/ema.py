"""A moving average of the weights along training (Polyak and Juditsky 1992): often a little better than the last."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """The average of a model's weights. Early on it is short, so that it forgets the first weights."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights: dict[str, Tensor] = {name: weight.detach().clone() for name, weight in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """After a step, counted from 1."""
        kept = min(self.decay, step / (step + 9))
        for name, weight in model.named_parameters():
            self.weights[name].lerp_(weight, 1 - kept)

    @contextmanager
    def inside(self, model: nn.Module) -> Iterator[None]:
        """The model holds the average while this lasts."""
        with torch.no_grad():
            before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
            _copy(self.weights, model)
        try:
            yield
        finally:
            with torch.no_grad():
                _copy(before, model)


def _copy(weights: dict[str, Tensor], model: nn.Module) -> None:
    for name, weight in model.named_parameters():
        weight.copy_(weights[name])
