"""Performer (Choromanski et al. 2021): linear attention by FAVOR+ with D ln D positive random features, never exact.

Its authors draw the features anew now and then while training; here they stay as drawn, so that a run can be resumed.
"""

from typing import TYPE_CHECKING

from model.attention.linear import LinearAttention

if TYPE_CHECKING:
    from model.config import ModelConfig


def performer(config: "ModelConfig", layer: int = 0) -> LinearAttention:
    """A layer of it."""
    return LinearAttention(config, layer, config.performer.linear(config.dim // config.heads))
