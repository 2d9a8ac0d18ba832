"""What a study measured, as records: a run, its articles, and the runs that may be compared with one another."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

ORDER = {
    "corpus": ("wikitext2", "brown"),
    "size": ("six", "seed"),
    "positions": ("rotary", "learned", "alibi"),
    "recipe": (
        *("dense", "dense+permuted", "dense+tagloss", "dense+tag"),
        *("windows", "cut", "random-sentence", "sentence"),
        *("dense-windows", "dense-cut", "dense-sentence", "windows+sentence"),
        *("sentence+tag", "sentence+pos-permuted", "sentence+pos-other", "sentence+pos", "sentence+pos-pilot"),
        *("random-pos", "pos"),
    ),
    "family": ("dense", "near", "grammar"),
}
"""The order in which the page names things; what is not here comes after, by its name."""
MOVED = 1e-9
"""A logit that moves by more than this, relatively, has read the future; rounding moves it by 1e-15 or so."""
SCORED = ("grid", "short")
"""Stages whose runs are scored on the test split, with a row an article."""
CERTIFIED_FROM = 2
"""Format of lines that have certificates."""
NAMED_FROM = 3
"""Format of lines whose certificate names the recipe as `made_from` does; of 2, some name it by another digest."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One reading of the leak meter, in nats a piece: what an attribute tells, and what of it is the future."""

    gain: float
    leak: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One line of a study."""

    run: str
    """Corpus/size/positions/recipe/stage[-trial]/steps/seed."""
    study: str
    stage: str
    """horizon, tuning, grid or short."""
    corpus: str
    size: str
    recipe: str
    family: str
    """dense, near or grammar: recipes that were tuned together."""
    positions: str
    seed: int
    trial: int | None
    leak_free: bool | None
    """Measured so, and not made to leak; None where a run of no table was not tested."""
    max_change: float | None
    """Largest relative change of a logit when the future was changed."""
    leaky: bool
    """Made to leak, on purpose."""
    steps: int
    bits_per_byte: float
    """Validation, as is perplexity (a piece); infinite where a trial diverged."""
    perplexity: float
    test_bits_per_byte: float | None
    test_perplexity: float | None
    leak_nats: float | None
    """Of the recipe's worst attribute; None where the model is given none."""
    gain_nats: float | None
    attributes: Mapping[str, Attribute]
    curve: tuple[tuple[int, float], ...]
    """(step, validation bits per byte)."""
    settings: Mapping[str, Any]
    parameters: int
    pieces: int
    seconds: float
    packed: int
    command: str
    commit: str
    versions: Mapping[str, str]
    device: str
    made_from: Mapping[str, str]
    """Digests of the recipe and of the pieces that the run was made from."""
    format: int = 1
    """Of the line; from CERTIFIED_FROM on, what is scored and leak-free must have a certificate."""
    certificate: Mapping[str, Any] | None = None
    """What a replay piece by piece found (model.evaluate.certificate); None where there was none."""

    @property
    def moved(self) -> bool:
        """Whether a change of the future was measured to move a logit, whatever the run promises."""
        return self.max_change is not None and self.max_change > MOVED

    @property
    def broken(self) -> bool:
        """Whether the run promises to be leak-free and was measured not to be."""
        failed = self.certificate is not None and not self.certified
        return not self.leaky and (self.leak_free is False or self.moved or failed)

    @property
    def certified(self) -> bool:
        """Whether a process that received only the past said all that the whole documents gave. Its certificate's
        numbers count, not its word."""
        said = self.certificate or {}
        same = all(said.get(name) and said[name] == said.get(f"{name}_streamed") for name in ("attributes", "keys"))
        counted = all(isinstance(said.get(name), int) and said[name] > 0 for name in ("documents", "pieces"))
        difference = said.get("max_difference")
        small = isinstance(difference, float | int) and 0 <= difference <= MOVED
        return said.get("certified") is True and said.get("first_break") is None and same and counted and small

    @property
    def uncertified(self) -> bool:
        """Whether the run should have a certificate and has none: it was made before there were any."""
        return not self.leaky and self.stage in SCORED and self.certificate is None


@dataclass(frozen=True, slots=True)
class Articles:
    """The test articles of one run, in the order of their ids; arrays are float64 [A]."""

    documents: tuple[str, ...]
    nats: NDArray[np.float64]
    pieces: NDArray[np.float64]
    bytes: NDArray[np.float64]

    def bits_per_byte(self) -> float:
        return float(self.nats.sum() / math.log(2) / self.bytes.sum())


@dataclass(frozen=True, slots=True)
class Case:
    """Runs of one case may be compared: they differ in recipe and seed alone."""

    corpus: str
    size: str
    positions: str

    def __str__(self) -> str:
        return f"{self.corpus}, {self.size}, {self.positions}"


@dataclass(frozen=True, eq=False)
class Study:
    """All runs, in the order of their names, and the test articles of those that were scored on them."""

    name: str
    runs: tuple[Run, ...]
    articles: Mapping[str, Articles]

    @cached_property
    def cases(self) -> tuple[Case, ...]:
        """The cases that have rows in the grid."""
        found = {Case(run.corpus, run.size, run.positions) for run in self.runs if run.stage == "grid"}
        return tuple(sorted(found, key=case_rank))

    @cached_property
    def _by_case(self) -> dict[Case, list[Run]]:
        found: dict[Case, list[Run]] = {}
        for run in self.runs:
            found.setdefault(Case(run.corpus, run.size, run.positions), []).append(run)
        return found

    def full_steps(self, case: Case) -> int:
        """The length of the grid's runs: dense's longest, or the longest where there is no dense."""
        grid = [run for run in self._by_case[case] if run.stage == "grid"]
        return max((run.steps for run in grid if run.recipe == "dense"), default=max(run.steps for run in grid))

    def recipes(self, case: Case) -> list[str]:
        """Recipes with a row in the grid, in the order of the page."""
        steps = self.full_steps(case)
        found = {run.recipe for run in self._by_case[case] if run.stage == "grid" and run.steps == steps}
        return sorted(found, key=lambda recipe: rank("recipe", recipe))

    def grid(self, case: Case, recipe: str) -> dict[int, Run]:
        """The recipe's runs of full length in the grid, by seed."""
        return self.annealed(case, recipe, ("grid",)).get(self.full_steps(case), {})

    def annealed(self, case: Case, recipe: str, stages: Sequence[str] = ("grid", "short")) -> dict[int, dict[int, Run]]:
        """The recipe's whole runs (not points of a longer one's curve): by steps, then by seed."""
        found: dict[int, dict[int, Run]] = {}
        for run in self._by_case.get(case, []):
            if run.recipe == recipe and run.stage in stages:
                found.setdefault(run.steps, {})[run.seed] = run
        return {steps: dict(sorted(runs.items())) for steps, runs in sorted(found.items())}

    def leaky(self, recipe: str) -> bool:
        """Whether the recipe leaks on purpose."""
        return recipe in self._leaky

    @cached_property
    def _leaky(self) -> frozenset[str]:
        return frozenset(run.recipe for run in self.runs if run.leaky)


def lowest_of(study: Study, cases: Sequence[Case], recipe: str) -> Case | None:
    """The case in which the recipe's mean validation bits per byte is lowest; None where it has no row."""
    having = [case for case in cases if study.grid(case, recipe)]
    return min(having, key=lambda case: mean_validation(study.grid(case, recipe)), default=None)


def mean_validation(runs: Mapping[int, Run]) -> float:
    """Mean over seeds of validation bits per byte."""
    return float(np.mean([run.bits_per_byte for run in runs.values()]))


def rank(kind: str, name: str) -> tuple[int, str]:
    """A key to sort by: ORDER[kind] first, then the alphabet; a leaky recipe follows the one it is made of."""
    known = ORDER[kind]
    base = name.removesuffix("-leaky")
    return (known.index(base) if base in known else len(known), name)


def case_rank(case: Case) -> tuple[tuple[int, str], ...]:
    return rank("corpus", case.corpus), rank("size", case.size), rank("positions", case.positions)
