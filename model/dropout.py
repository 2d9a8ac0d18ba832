"""Dropout (Srivastava et al. 2014) whose draws follow from a key and a place, and from nothing else.

No generator has a state to save: a step drops the same entries when a run is resumed, on another device, or beside
other runs. Entry i of layer l is kept where hash(key, l, i) says so.
"""

from typing import NamedTuple

import torch
from torch import Tensor

BITS = 24
"""Of a hash, that decide: 2**24 levels of probability, all exact in 32-bit floats."""
LOW = 0xFFFFFFFF


class Noise(NamedTuple):
    """What dropout needs to know at one step. Tensors of no dimension: a captured GPU graph can be given others."""

    key: Tensor
    """int64, from 0 to 2**32: another at every step and seed."""
    rate: Tensor
    """float32, from 0 to below 1: the probability of dropping an entry."""
    part: Tensor = torch.tensor(0)
    """int64: which of equal parts of a step's rows this is; parts draw what the rows would draw in one piece."""

    def spread(self, layers: int) -> list["Noise"]:
        """One for each layer, all different."""
        keys = hashed(self.key + torch.arange(layers, device=self.key.device))
        return [Noise(key, self.rate, self.part) for key in keys.unbind()]


def step_key(seed: Tensor, step: Tensor) -> Tensor:
    """The key of a step: int64 tensors in, int64 from 0 to 2**32 out."""
    return hashed(hashed(seed & LOW) + step)


def drop(x: Tensor, noise: Noise, call: int = 0) -> Tensor:
    """x with entries set to 0, the others grown so that its expectation stays. call: a number of its own in a layer."""
    place = torch.arange(x.numel(), device=x.device).view(x.shape)
    level = hashed(hashed(noise.key + call) + noise.part * x.numel() + place) >> (32 - BITS)
    kept = level >= noise.rate * 2**BITS
    return torch.where(kept, x / (1 - noise.rate).to(x.dtype), 0)


def hashed(x: Tensor) -> Tensor:
    """A hash of the low 32 bits: the finalizer of MurmurHash3 (Appleby 2011), with another multiplier that keeps
    products below 2**63."""
    x = x & LOW
    x = ((x >> 16) ^ x) * 0x45D9F3B & LOW
    x = ((x >> 16) ^ x) * 0x45D9F3B & LOW
    return (x >> 16) ^ x
