"""How long dense was trained, by which rule, and what a longer training would have given."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from flows.study_report.markdown import several
from flows.study_report.records import Run, Study, rank

RULE = (
    "of the lengths tried with dense alone, the shortest whose validation bits per byte, at its best dropout, were "
    "within a tolerance of the lowest; every recipe is then trained for as long"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Horizon:
    """The length of the grid's runs, beside the lengths that were tried with dense."""

    place: str
    """Corpus and size."""
    chosen: int | None
    """Steps of the grid; None where it has no row."""
    tried: Mapping[int, Run]
    """By steps, the shortest first: the best run of each length."""

    @property
    def longest(self) -> bool:
        """Whether no length was tried that is longer than the chosen one."""
        return self.chosen is not None and self.chosen >= max(self.tried)

    def __str__(self) -> str:
        """`brown, seed: chosen: 3,000 steps; lowest: 6,000 steps, 0.23% lower`."""
        lowest = min(self.tried.values(), key=lambda run: run.bits_per_byte)
        if self.chosen is None:
            return f"{self.place}: chosen: none yet; lowest: {lowest.steps:,} steps"
        said = f"{self.place}: chosen: {self.chosen:,} steps"
        if self.chosen not in self.tried:
            said += f", which were not tried; lowest: {lowest.steps:,} steps"
        elif lowest.steps == self.chosen:
            said += ", the lowest"
        else:
            less = 100 * (1 - lowest.bits_per_byte / self.tried[self.chosen].bits_per_byte)
            said += f"; lowest: {lowest.steps:,} steps, {less:.2f}% lower"
        return f"{said}; **the longest tried: dense may gain from more**" if self.longest else said


def horizons(study: Study) -> list[Horizon]:
    """For each corpus and size in which lengths were tried and not every trial diverged."""
    found: dict[tuple[str, str], dict[int, Run]] = {}
    # the lowest first, so that the first of a length is its best
    for run in sorted(study.runs, key=lambda run: run.bits_per_byte):
        if run.stage == "horizon":
            found.setdefault((run.corpus, run.size), {}).setdefault(run.steps, run)
    grid = {(case.corpus, case.size): study.full_steps(case) for case in study.cases}
    return [
        Horizon(place=", ".join(place), chosen=grid.get(place), tried=dict(sorted(found[place].items())))
        for place in sorted(found, key=lambda place: (rank("corpus", place[0]), rank("size", place[1])))
        if any(math.isfinite(run.bits_per_byte) for run in found[place].values())
    ]


def horizon_said(study: Study) -> list[str]:
    """A line for the method: the rule, and where it took the longest length that was tried."""
    found = horizons(study)
    if not found:
        return []
    longest = [f"{each.place} ({each.chosen:,} steps)" for each in found if each.longest]
    more = f" For {several(longest)} that is the longest tried: dense may gain from more." if longest else ""
    return [f"**Length**: {RULE}. Section 7 has the lengths.{more}"]
