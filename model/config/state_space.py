"""Settings of the mechanism `state_space`."""

from dataclasses import dataclass

from model.config.checks import at_least_one, nearest

KERNELS = ("torch", "mamba-ssm")
"""Who computes the scan: this package, anywhere; or the CUDA kernels of the package mamba-ssm, causal ones only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSpaceConfig:
    """A selective scan (Mamba-2; Dao and Gu 2024, "Transformers are SSMs")."""

    state: int = 64
    """Width of what a head remembers, for each entry of its input: S of the paper's state-space dual form."""
    expand: int = 2
    """The scan runs at so many times the width of the model, shared out among its heads."""
    groups: int = 1
    """Groups of heads that write and read by the same vectors (B and C); they must share the heads out evenly."""
    taps: int = 4
    """Pieces that the short causal filter before the scan looks at, the piece itself among them; 1: itself alone."""
    chunk: int = 64
    """Pieces whose pairs are computed as one matrix; what is before comes as a state. It changes speed, not values."""
    kernel: str = "torch"
    """One of KERNELS."""

    def __post_init__(self) -> None:
        for name in ("state", "expand", "groups", "taps", "chunk"):
            at_least_one(f"state_space.{name}", getattr(self, name))
        if self.kernel not in KERNELS:
            raise ValueError(f"state_space.kernel is {self.kernel!r}; {nearest(self.kernel, KERNELS)}")
