"""How much of a training stage is over, by steps or by seconds, and the learning rate that goes with it."""

import math
import time

WARM = 0.04
"""Share of a stage in which the rate rises."""


class Clock:
    """Starts when it is made."""

    def __init__(self, steps: int, seconds: float) -> None:
        self.steps, self.seconds, self.step = max(1, steps), seconds, 0
        self._began = time.monotonic()

    def elapsed(self) -> float:
        return time.monotonic() - self._began

    def part(self) -> float:
        """From 0 to 1: the share of the stage that is over."""
        return min(1.0, max(self.step / self.steps, self.elapsed() / self.seconds))


def warm_stable_cool(part: float, cool: float) -> float:
    """Rises, stays at 1, falls to 0 over the last `cool` of the stage (Hu et al. 2024)."""
    return min(1.0, part / WARM + 1e-3, (1 - part) / cool)


def warm_cosine(part: float) -> float:
    """Rises, then falls to 0 along a cosine."""
    return min(part / WARM + 1e-3, 0.5 + 0.5 * math.cos(math.pi * part))
