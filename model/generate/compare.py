"""A stream beside its twin that forgets nothing: what the cache that drops closed sentences is held to."""

import torch
from torch import Tensor

from model.generate.stream import Stream
from model.generate.trained import Trained


class Compared(Stream):
    """As Stream; its first pieces are read by a full cache, too."""

    compared: int
    """Pieces that both have read."""
    identical: bool
    """Whether every logit so far was the same, to the bit."""
    largest_difference: float
    """Of two logits, relative to the largest of their piece."""

    def __init__(self, trained: Trained, most: int, evict: bool | None = None) -> None:
        """most: pieces to compare; then the twin is dropped."""
        super().__init__(trained, evict)
        self.most = most
        self.compared, self.identical, self.largest_difference = 0, True, 0.0
        self._twin: Stream | None = Stream(trained, evict=False)

    def read(self, piece: int) -> Tensor:
        logits = super().read(piece)
        if self._twin is not None and self.compared < self.most:
            full = self._twin.read(piece)
            self.compared += 1
            self.identical &= torch.equal(logits, full)
            apart = float((logits - full).abs().max() / full.abs().max())
            self.largest_difference = max(apart, self.largest_difference)
        elif self._twin is not None:
            self._twin = None
        return logits
