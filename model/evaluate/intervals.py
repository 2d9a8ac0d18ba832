"""Intervals of 95%: of a share, and of a ratio of sums over documents."""

import math

import numpy as np
from numpy.typing import NDArray

NORMAL = 1.959964
REPLICATES = 1_000

Floats = NDArray[np.float64]


def wilson(right: int, cases: int) -> tuple[float, float]:
    """The score interval of a share (Wilson 1927), which stays within 0 … 1 and is right for few cases, too.

    (0, 1) for no cases: nothing is known then.
    """
    if not cases:
        return 0.0, 1.0
    share, less = right / cases, NORMAL**2 / cases
    middle = (share + less / 2) / (1 + less)
    half = NORMAL / (1 + less) * math.sqrt(share * (1 - share) / cases + less / (4 * cases))
    return max(0.0, middle - half), min(1.0, middle + half)


def share(right: int, cases: int) -> dict[str, float | int]:
    """A share as results files say it."""
    low, high = wilson(right, cases)
    return {"accuracy": right / max(cases, 1), "low": low, "high": high, "right": right, "cases": cases}


def draws(documents: int, replicates: int = REPLICATES, seed: int = 0) -> Floats:
    """[R,D]: how often each document is drawn in each replicate, D of D with replacement (Efron 1979)."""
    random = np.random.default_rng(seed)
    return random.multinomial(documents, np.full(documents, 1 / documents), size=replicates).astype(np.float64)


def ratio_interval(above_DX: Floats, below_DX: Floats, seed: int = 0) -> tuple[Floats, Floats]:
    """Lower and upper end [X] of sum(above) / sum(below) over documents, by the percentile bootstrap over documents.

    NaN where there is nothing below. With few documents such intervals are too short: read them as a spread.
    """
    counts_RD = draws(len(above_DX), seed=seed)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios_RX = (counts_RD @ above_DX) / (counts_RD @ below_DX)
    return ends(ratios_RX)


def ends(replicates_RX: Floats) -> tuple[Floats, Floats]:
    """The middle 95% of replicates; those that are NaN (nothing was drawn) are left out; NaN where all are."""
    known_X = ~np.isnan(replicates_RX).all(axis=0)
    filled_RX = np.where(known_X, replicates_RX, 0.0)
    low_X, high_X = np.nanquantile(filled_RX, [0.025, 0.975], axis=0)
    return np.where(known_X, low_X, np.nan), np.where(known_X, high_X, np.nan)
