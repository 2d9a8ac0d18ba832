"""Steps of the shortest annealed run that is as good as dense at its full length.

An annealed run is one whose learning rate went down to its end; at a point inside a longer run the rate is still high,
and its score says too little. So every length is a training of its own, and only lengths that were trained count. Short
lengths have few seeds, and seeds differ by as much as lengths do: a length counts only if every seed of it is enough.
"""

from dataclasses import dataclass

import numpy as np

from flows.study_report.records import Case, Study


@dataclass(frozen=True, slots=True)
class Length:
    """The annealed runs of one length, against dense."""

    steps: int
    gaps: tuple[float, ...]
    """By seed: validation bits per byte, less dense's mean at full length over the same seeds."""

    @property
    def mean(self) -> float:
        return float(np.mean(self.gaps))

    @property
    def reached(self) -> int:
        """Seeds that are no worse than dense's mean."""
        return sum(gap <= 0 for gap in self.gaps)

    @property
    def enough(self) -> bool:
        return self.reached == len(self.gaps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How soon a recipe is as good as dense at dense's full length, on validation."""

    recipe: str
    full: int
    """Dense's steps."""
    lengths: tuple[Length, ...]
    """Those that were trained, the shortest first."""

    @property
    def steps(self) -> int | None:
        """Smallest length of which every seed is no worse; None if none of those tried."""
        return next((length.steps for length in self.lengths if length.enough), None)

    @property
    def fewer(self) -> float | None:
        """Steps less than dense's, as a fraction of dense's; below 0 where it needs fewer."""
        return None if self.steps is None else self.steps / self.full - 1


def reach(study: Study, case: Case, recipe: str) -> Reach | None:
    """Only seeds that dense has at full length too. None without such runs."""
    dense = study.grid(case, "dense")
    full = study.full_steps(case)
    lengths = []
    for steps, runs in study.annealed(case, recipe).items():
        if seeds := sorted(set(runs) & set(dense)):
            mean = float(np.mean([dense[seed].bits_per_byte for seed in seeds]))
            level = dict.fromkeys(seeds, mean)
            if recipe == "dense" and steps == full:
                # some seed is always above its mean: dense is as good as itself, each seed as good as that seed
                level = {seed: dense[seed].bits_per_byte for seed in seeds}
            lengths.append(Length(steps, tuple(runs[seed].bits_per_byte - level[seed] for seed in seeds)))
    return Reach(recipe=recipe, full=full, lengths=tuple(lengths)) if lengths else None
