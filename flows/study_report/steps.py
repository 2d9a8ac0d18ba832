"""Steps of the shortest annealed run that reaches dense's best.

An annealed run is one whose learning rate went down to its end; at a point inside a longer run the rate is still high,
and its score says too little. So every length is a training of its own, and only lengths that were trained count; the
crossing between two of them is interpolated, and said to be.
"""

from dataclasses import dataclass

import numpy as np

from flows.study_report.records import Case, Study


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How soon a recipe is as good as dense at dense's full length, on validation."""

    recipe: str
    full: int
    """Dense's steps."""
    lengths: tuple[tuple[int, float, int], ...]
    """(steps, mean over seeds of the recipe's bits per byte less dense's at full length, seeds)."""
    steps: int | None
    """Smallest length whose mean is no worse; None if none of those tried."""
    crossing: float | None
    """Between that length and the one before, by a straight line; None where nothing lies between."""

    @property
    def fewer(self) -> float | None:
        """Steps less than dense's, as a fraction of dense's; below 0 where it needs fewer."""
        return None if self.steps is None else self.steps / self.full - 1


def reach(study: Study, case: Case, recipe: str) -> Reach | None:
    """Seeds are paired: a length's mean is taken against dense's mean over the same seeds. None without such runs."""
    dense = study.grid(case, "dense")
    full = study.full_steps(case)
    lengths = []
    for steps, runs in study.annealed(case, recipe).items():
        if seeds := sorted(set(runs) & set(dense)):
            gap = np.mean([runs[seed].bits_per_byte - dense[seed].bits_per_byte for seed in seeds])
            lengths.append((steps, float(gap), len(seeds)))
    if not lengths:
        return None
    place = next((place for place, (_, gap, _) in enumerate(lengths) if gap <= 0), None)
    return Reach(
        recipe=recipe,
        full=full,
        lengths=tuple(lengths),
        steps=None if place is None else lengths[place][0],
        # a gap of exactly 0 is dense itself, and needs no line
        crossing=_crossing(lengths[place - 1], lengths[place]) if place and lengths[place][1] < 0 else None,
    )


def _crossing(above: tuple[int, float, int], below: tuple[int, float, int]) -> float:
    """Steps where a straight line from a gap above 0 to one not above it meets 0."""
    (steps, gap, _), (more, less, _) = above, below
    return steps + (more - steps) * gap / (gap - less)
