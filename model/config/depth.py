"""What a model does with its depth, as settings."""

from collections.abc import Mapping
from dataclasses import dataclass

from model.config.checks import nearest

ORDERS = ("cycle", "sequence")
"""Takase and Kiyono 2021: a stack of layers over and over, or each layer several times before the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthConfig:
    """Layers that share weights, layers that can be computed backwards, and how many of them a piece waits for."""

    tied: int = 0
    """Layers of a group. `cycle`: the first group has weights, and all others use them; `sequence`: all layers of a
    group use those of its first. 0: every layer has weights of its own."""
    order: str = "cycle"
    """One of ORDERS; without `tied` nothing."""
    reversible: bool = False
    """Whether the inputs of layers are computed again from their outputs in the backward pass (model.depth.reversible):
    memory is then the same at any depth."""
    ponder: float = 0.0
    """Probability with which the prior halts at each step, above 0 to below 1: its mean number of steps is about one in
    so much. 0: every piece waits for all layers (model.depth.ponder)."""
    ponder_weight: float = 0.01
    """Of the divergence from the prior in the loss."""
    ponder_step: int = 0
    """Layers between two places where a piece may halt; 0: those of a group, or 1 where none are tied."""

    def __post_init__(self) -> None:
        if self.tied < 0 or self.ponder_step < 0:
            raise ValueError(f"tied is {self.tied} and ponder_step {self.ponder_step}; give numbers of layers, or 0")
        if self.order not in ORDERS:
            raise ValueError(f"order is {self.order!r}; {nearest(self.order, ORDERS)}")
        if not 0 <= self.ponder < 1:
            raise ValueError(f"ponder is {self.ponder}; give a probability of halting below 1, as 0.3, or 0")
        if not 0 <= self.ponder_weight < float("inf"):
            raise ValueError(f"ponder_weight is {self.ponder_weight}; give a weight of at least 0")

    def weights_of(self, layer: int) -> int:
        """The first layer that has the weights that this one has."""
        if not self.tied:
            return layer
        return layer % self.tied if self.order == "cycle" else layer - layer % self.tied

    def step(self) -> int:
        """Layers of one step of pondering."""
        return self.ponder_step or self.tied or 1

    def plain(self) -> bool:
        """Whether a model's output is that of its last layer, each of which adds to the one before."""
        return not (self.reversible or self.ponder)

    def check(self, layers: int, alike: Mapping[int, object], objective: str) -> None:
        """Errors: ValueError if so many layers cannot share weights as said, or pondering does not fit.

        alike: what a layer must have in common with those that share its weights, by its number.
        """
        if self.tied and layers % self.tied:
            raise ValueError(f"depth.tied is {self.tied}; {layers} layers must fall into groups of so many")
        for layer, its in alike.items():
            if its != alike[self.weights_of(layer)]:
                raise ValueError(
                    f"layers {self.weights_of(layer)} and {layer} share weights by depth.tied = {self.tied} and differ "
                    "in mechanism or views; give pattern and layer_views a period that fits"
                )
        if self.ponder and layers % self.step():
            raise ValueError(f"depth.ponder_step is {self.step()}; {layers} layers must fall into steps of so many")
        if self.ponder and layers == self.step():
            raise ValueError(f"depth.ponder halts after {self.step()} layers, of which there are no more; set "
                             "depth.ponder_step to fewer")  # fmt: skip
        if self.ponder and objective == "classify":
            raise ValueError("depth.ponder halts for each piece, and classify reads a class off all of them at once; "
                             "choose another objective, or depth.ponder = 0")  # fmt: skip
