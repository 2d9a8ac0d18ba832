"""Rotary positions (Su et al. 2021): queries and keys turn with their place, so that scores depend on distance alone.

Because only distances count, places are those of the row, wherever a document begins in it.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

BASE = 10_000.0


class Turn(NamedTuple):
    """Cosine and sine of the angle of each place and pair, [N,D/2]."""

    cos: Tensor
    sin: Tensor


@lru_cache(maxsize=64)
def turn_of(places: int, width: int, device: torch.device, dtype: torch.dtype) -> Turn:
    """Angles n * BASE ** (-2i/D) for the places n of a row and the pairs i of a head's `width` D, which is even.

    Kept: to compute a power, a sine and a cosine for every entry again took a fifth of a small model's step on a GPU.
    """
    with torch.inference_mode(False):  # what generation kept first, training must be able to use
        # In at least 32 bits: bfloat16 cannot tell place 256 from 257.
        exact = torch.promote_types(dtype, torch.float32)
        rate_F = BASE ** -torch.arange(0, width, 2, device=device, dtype=exact).div(width)
        angle_NF = torch.outer(torch.arange(places, device=device, dtype=exact), rate_F)
        return Turn(angle_NF.cos().to(dtype), angle_NF.sin().to(dtype))


def turn_at(place: Tensor, width: int, dtype: torch.dtype) -> Turn:
    """The same for places of any shape: [*place,D/2]."""
    exact = torch.promote_types(dtype, torch.float32)
    rate_F = BASE ** -torch.arange(0, width, 2, device=place.device, dtype=exact).div(width)
    angle = place[..., None].to(exact) * rate_F
    return Turn(angle.cos().to(dtype), angle.sin().to(dtype))


def rotate(x_BHND: Tensor, turn: Turn) -> Tensor:
    """Turn each pair of entries (i, i + D/2) of the piece at each place."""
    one_BHNF, other_BHNF = x_BHND.chunk(2, dim=-1)
    turned = (one_BHNF * turn.cos - other_BHNF * turn.sin, one_BHNF * turn.sin + other_BHNF * turn.cos)
    return torch.cat(turned, dim=-1)
