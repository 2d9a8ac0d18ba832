"""Drawing the next piece from its logits."""

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How pieces are drawn. Limits apply one after another, in the order in which they stand here."""

    temperature: float = 1.0
    """Logits are divided by it; 0: always the likeliest piece (of equals the one with the lowest id)."""
    top_k: int = 0
    """Only the so many likeliest, and what is as likely as the last of them; 0: all."""
    top_p: float = 1.0
    """Only the likeliest that together have this probability at least (Holtzman et al. 2020)."""
    min_p: float = 0.0
    """Only pieces that have at least this part of the likeliest one's probability (Nguyen et al. 2024)."""
    seed: int = 0
    """The same seed draws the same text on the same machine."""

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < inf:
            raise ValueError(f"temperature is {self.temperature}; give 0 for the likeliest piece, or a number above")
        if self.top_k < 0:
            raise ValueError(f"top_k is {self.top_k}; give how many pieces to choose from, or 0 for all")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; give a probability above 0, at most 1")
        if not 0 <= self.min_p <= 1:
            raise ValueError(f"min_p is {self.min_p}; give a part of the likeliest piece's probability, from 0 to 1")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}; give 0 or above")

    def generator(self) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64(self.seed))


def draw(
    logits: NDArray[np.floating], sampling: Sampling, forbidden: NDArray[np.bool_], random: np.random.Generator
) -> int:
    """The next piece. logits, forbidden: [vocabulary].

    Errors: ValueError if a logit is no number, or nothing is left to draw.
    """
    # Infinite where forbidden: whatever the weights of a piece that is never drawn, they must not break the rest.
    score = np.where(forbidden, -np.inf, logits.astype(np.float64))
    best = int(score.argmax())
    if not np.isfinite(score[best]):
        raise ValueError(
            "no piece is left to draw" if score[best] == -inf else "the model's logits are no numbers; train it anew"
        )
    if sampling.temperature == 0:
        return best
    score -= score[best]
    if sampling.temperature != 1:
        score /= sampling.temperature
    if 0 < sampling.top_k < len(score):
        score[score < np.partition(score, -sampling.top_k)[-sampling.top_k]] = -np.inf
    weight = np.exp(score)
    if sampling.top_p < 1:
        order = np.argsort(-weight, kind="stable")
        sofar = weight[order].cumsum()
        weight[order[1:][sofar[:-1] >= sampling.top_p * sofar[-1]]] = 0.0
    if sampling.min_p > 0:
        weight[weight < sampling.min_p] = 0.0  # the likeliest has weight 1
    sofar = weight.cumsum()
    return int(sofar.searchsorted(random.random() * sofar[-1], side="right"))
