"""Feature maps: what linear attention weighs pairs by, phi(q)·phi(k) in place of exp(q·k). All features are above 0.

elu       elu(x) + 1 (Katharopoulos et al. 2020)
relu2     relu(x)**2 (the activation of So et al. 2021 as a feature map)
favor     exp(w·x - |x|²/2) for random w: positive, unbiased for exp(q·k / sqrt(D)) (FAVOR+, Choromanski et al. 2021)
learned   softmax of a learned map and of its negative (Hedgehog, Zhang et al. 2024)

The first two are of dimension R by a drawn projection to R directions, where R is not the width of the head. What is
drawn is drawn once from a seed and kept beside the weights. Letters: G heads of keys, E heads of queries that share
one, N pieces, D width of a head, R features.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

FLOOR = {"elu": 1e-6, "relu2": 1e-3, "favor": 1e-6, "learned": 1e-6}
"""Added to each feature, so that no query's weights can come to nothing: the stabilizers of Choromanski et al. 2021,
who have 1e-3 for features by relu and 1e-6 for exponentials (their largest is 1 here)."""


class Features(NamedTuple):
    """Features of pieces, times exp(log_scale) where there is one."""

    phi: Tensor
    """[...,N,R]"""
    log_scale: Tensor | None
    """[...,N]: exponentials are given with their largest taken out, so that none overflows."""


class FeatureMap(nn.Module):
    """One of the four, for all heads of a layer."""

    projection: Tensor | None

    def __init__(self, kind: str, key_heads: int, width: int, dimension: int, seed: int) -> None:
        super().__init__()
        self.kind, self.width, self.dimension = kind, width, dimension
        drawn = None
        if kind == "favor":
            drawn = orthogonal_gaussian(key_heads, width, dimension, seed)
        elif kind != "learned" and dimension != width:
            drawn = functional.normalize(orthogonal_gaussian(key_heads, width, dimension, seed), dim=1)
        self.register_buffer("projection", drawn)
        self.map: nn.Parameter | None = None
        if kind == "learned":
            half = orthogonal_gaussian(key_heads, width, dimension // 2, seed)
            self.map = nn.Parameter(functional.normalize(half, dim=1))

    def forward(self, x_BGEND: Tensor) -> Features:
        """[B,G,E,N,R], and for `favor` the scale [B,G,E,N]."""
        floor = FLOOR[self.kind]
        if self.map is not None:
            half = x_BGEND @ self.map[:, None].to(x_BGEND.dtype)
            return Features(torch.cat([half.softmax(-1), (-half).softmax(-1)], dim=-1) + floor, None)
        if self.kind == "favor":
            assert self.projection is not None
            x_BGEND = x_BGEND * self.width**-0.25  # both sides together: softmax's 1 / sqrt(D)
            log_phi = x_BGEND @ self.projection[:, None].to(x_BGEND) - x_BGEND.square().sum(-1, keepdim=True) / 2
            top = log_phi.amax(-1, keepdim=True)
            return Features((log_phi - top).exp() + floor, top.squeeze(-1))
        if self.projection is not None:
            x_BGEND = x_BGEND @ self.projection[:, None].to(x_BGEND)
        phi = functional.elu(x_BGEND) + 1 if self.kind == "elu" else functional.relu(x_BGEND).square()
        return Features(phi + floor, None)

    def slow(self, x_D: Tensor, group: int) -> Tensor:
        """[R]: the features of one piece by the formula, their scale in them."""
        floor = FLOOR[self.kind]
        if self.map is not None:
            x_R = x_D @ self.map[group]
            return torch.cat([x_R.softmax(0), (-x_R).softmax(0)]) + floor
        if self.kind == "favor":
            assert self.projection is not None
            x_D = x_D / self.width**0.25
            phi = (x_D @ self.projection[group] - x_D.dot(x_D) / 2).exp()
            return phi + floor * phi.max()
        x_R = x_D if self.projection is None else x_D @ self.projection[group]
        return (functional.elu(x_R) + 1 if self.kind == "elu" else functional.relu(x_R) ** 2) + floor


def orthogonal_gaussian(heads: int, width: int, dimension: int, seed: int) -> Tensor:
    """[G,D,R]: normal vectors, orthogonal to each other in blocks of D (Choromanski et al. 2021, section 3.3)."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    blocks = -(-dimension // width)
    found = torch.linalg.qr(drawn(heads, blocks, width, width))
    # Only with positive signs on R's diagonal is Q evenly distributed (Mezzadri 2007). LAPACK's lean one way, and with
    # them the estimate of exp(q·k) was 2% too large on average, however many features it had.
    even = found.Q * found.R.diagonal(dim1=-2, dim2=-1).sign()[:, :, None]
    directions = even.transpose(1, 2).flatten(2)[:, :, :dimension]
    lengths = drawn(heads, width, dimension).norm(dim=1, keepdim=True)
    made: Tensor = (directions * lengths).to(torch.get_default_dtype())
    return made
