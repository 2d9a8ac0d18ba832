"""Random numbers by counter: the k-th draw of a seed is a function of the two, whatever was drawn before it.

So a document that is cut keeps its draws, and none depends on how long the document is. SplitMix64's finaliser
(Steele, Lea, Flood 2014) does the mixing: plain arithmetic, equal on every machine and in every version of numpy.
"""

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2**64 over the golden ratio: steps of it spread evenly."""


def document_seed(name: str) -> int:
    """64 bits of a document's id."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")


def mix(number: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """uint64 to uint64, one to one, every bit of the result depending on every bit given."""
    number = (number ^ (number >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    number = (number ^ (number >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return number ^ (number >> np.uint64(31))


def draws(seed: int | NDArray[np.uint64], *counters: NDArray[np.int64]) -> NDArray[np.uint64]:
    """uint64 numbers, one for each tuple of counters (arrays of one shape); seed: one for all, or one for each."""
    state = np.full(counters[0].shape, seed, np.uint64)
    for counter in counters:
        state = mix(state + GOLDEN * (counter.astype(np.uint64) + np.uint64(1)))
    return state
