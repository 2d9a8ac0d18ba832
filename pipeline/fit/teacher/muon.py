"""Muon (Jordan et al. 2024): momentum, made orthogonal by five steps of Newton and Schulz, moves a matrix.

Matrices of one shape go together, so that ten layers cost no more launches than one.
"""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
STEPS = 5
A, B, C = 3.4445, -4.7750, 2.0315
"""Of the odd polynomial that takes singular values in (0, 1] near 1 within five steps."""


class Muon:
    """Set `rate`, call `step` after each backward pass; gradients stay as they are."""

    def __init__(self, matrices: Iterable[nn.Parameter], rate: float, decay: float) -> None:
        self.rate, self.decay = rate, decay
        shapes: dict[torch.Size, list[Tensor]] = defaultdict(list)
        for matrix in matrices:
            shapes[matrix.shape].append(matrix)
        self._groups = [(group, torch.zeros(len(group), *shape, device=group[0].device))
                        for shape, group in shapes.items()]  # fmt: skip

    @torch.no_grad()
    def step(self) -> None:
        for matrices, momentum in self._groups:
            gradient = torch.stack([matrix.grad for matrix in matrices if matrix.grad is not None])
            momentum.lerp_(gradient, 1 - MOMENTUM)
            rows, columns = momentum.shape[1:]
            moved = orthogonal(gradient.lerp(momentum, MOMENTUM)) * max(1.0, rows / columns) ** 0.5
            torch._foreach_mul_(matrices, 1 - self.rate * self.decay)
            torch._foreach_add_(matrices, list(moved.to(matrices[0].dtype).unbind(0)), alpha=-self.rate)


def orthogonal(stack: Tensor) -> Tensor:
    """Each matrix of [n, rows, columns] with all singular values near 1 (0.7 to 1.2)."""
    x: Tensor = stack.bfloat16() if stack.is_cuda else stack
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(STEPS):
        gram = x @ x.mT
        x = A * x + (B * gram + C * gram @ gram) @ x
    return x.mT if tall else x
