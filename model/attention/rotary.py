"""Rotary positions (Su et al. 2021): queries and keys turn with their place, so that scores depend on distance alone.

Because only distances count, places are those of the row, wherever a document begins in it.
"""

import torch
from torch import Tensor

BASE = 10_000.0


def rotate(x_BHND: Tensor) -> Tensor:
    """Turn each pair of entries (i, i + D/2) of the piece at place n by the angle n * BASE ** (-2i/D). D is even."""
    N, D = x_BHND.shape[-2:]
    # Angles in at least 32 bits: bfloat16 cannot tell place 256 from 257.
    exact = torch.promote_types(x_BHND.dtype, torch.float32)
    rate_F = BASE ** -torch.arange(0, D, 2, device=x_BHND.device, dtype=exact).div(D)
    angle_NF = torch.outer(torch.arange(N, device=x_BHND.device, dtype=exact), rate_F)
    cos_NF, sin_NF = angle_NF.cos().to(x_BHND.dtype), angle_NF.sin().to(x_BHND.dtype)
    one_BHNF, other_BHNF = x_BHND.chunk(2, dim=-1)
    turned = (one_BHNF * cos_NF - other_BHNF * sin_NF, one_BHNF * sin_NF + other_BHNF * cos_NF)
    return torch.cat(turned, dim=-1)
