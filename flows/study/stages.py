"""The stages of a study: which runs each consists of, given what the stages before it found.

Horizon, tuning and mix look at validation alone; what they choose is a function of their lines, so that a study that is
interrupted goes on with the same choices.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flows.study.plan import Plan, Settings
from model.config import Recipe

Line = Mapping[str, Any]
Lines = Mapping[str, Line]
"""Finished runs by their names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRun:
    """One run of a study."""

    name: str
    """corpus/size/positions/recipe/stage[-trial]/steps/seed"""
    stage: str
    corpus: str
    size: str
    positions: str
    family: str
    trial: int | None
    recipe: Recipe

    def scored(self) -> bool:
        """Whether the test split is looked at, and leaks are measured."""
        return self.stage in ("grid", "short")


Choice = tuple[str, str]
"""Corpus and size."""


def stages(plan: Plan, lines: Lines) -> Iterator[tuple[str, list[StudyRun]]]:
    """Stage by stage, all of its runs. `lines` must hold those of a stage before the next is asked for."""
    if plan.horizon:
        yield "horizon", horizon_runs(plan)
    steps = chosen_steps(plan, lines)
    if plan.tuning:
        yield "tuning", tuning_runs(plan, steps)
    settings = chosen_settings(plan, lines, steps)
    if plan.mix:
        yield "mix", mix_runs(plan, steps, settings)
    if plan.short:
        yield "short", short_runs(plan, steps, settings)
    yield "grid", grid_runs(plan, steps, settings, winners(plan, lines, steps, settings))


def horizon_runs(plan: Plan) -> list[StudyRun]:
    asked = plan.horizon
    if asked is None:
        return []
    return [
        _run(plan, "horizon", corpus, size, "rotary", asked.recipe, steps, asked.seed, settings, trial)
        for corpus, size in _choices(plan)
        for trial, (steps, settings) in enumerate(_horizon_trials(plan, corpus, size))
    ]


def chosen_steps(plan: Plan, lines: Lines) -> dict[Choice, int]:
    """The shortest length within the tolerance of the best, by validation bits per byte; or the plan's fixed one."""
    if plan.fixed:
        return {(corpus, size): plan.fixed.steps[corpus][size] for corpus, size in _choices(plan)}
    assert plan.horizon is not None  # the plan has checked it
    chosen = {}
    for corpus, size in _choices(plan):
        found: dict[int, float] = {}
        for run in horizon_runs(plan):
            if (run.corpus, run.size) == (corpus, size):
                steps = run.recipe.train.steps
                found[steps] = min(found.get(steps, math.inf), score(lines[run.name]))
        enough = min(found.values()) * (1 + plan.horizon.tolerance)
        chosen[corpus, size] = min(steps for steps, bits in found.items() if bits <= enough)
    return chosen


def tuning_runs(plan: Plan, steps: Mapping[Choice, int]) -> list[StudyRun]:
    if plan.tuning is None:
        return []
    return [
        _run(plan, "tuning", *choice, "rotary", recipe, steps[choice], plan.tuning.seed, settings, trial)
        for choice in _choices(plan)
        for recipe in plan.tuning.recipes.values()
        for trial, settings in enumerate(plan.tuning.trials)
    ]


def chosen_settings(plan: Plan, lines: Lines, steps: Mapping[Choice, int]) -> dict[tuple[str, str, str], Settings]:
    """The best settings by corpus, size and family; of equal ones the first. Or the plan's fixed ones."""
    if plan.fixed:
        return {(*choice, family): plan.fixed.of(family) for choice in _choices(plan) for family in plan.fixed.settings}
    assert plan.tuning is not None
    best: dict[tuple[str, str, str], tuple[float, Settings]] = {}
    for run in tuning_runs(plan, steps):
        key, bits = (run.corpus, run.size, run.family), score(lines[run.name])
        if key not in best or bits < best[key][0]:
            best[key] = bits, plan.tuning.trials[run.trial or 0]
    return {key: settings for key, (_, settings) in best.items()}


def mix_runs(
    plan: Plan, steps: Mapping[Choice, int], settings: Mapping[tuple[str, str, str], Settings]
) -> list[StudyRun]:
    runs: list[StudyRun] = []
    if plan.mix is None or plan.tuning is None:
        return runs
    for corpus, size in _choices(plan):
        if corpus in plan.mix.corpora and size in plan.mix.sizes:
            for names in plan.mix.recipes.values():
                for number, name in enumerate(names):
                    recipe, _, positions = name.partition("@")
                    trial = len(plan.tuning.trials) + number
                    its = settings[corpus, size, _settings_of(plan, recipe)]
                    length, seed = steps[corpus, size], plan.tuning.seed
                    where = (corpus, size, positions or "rotary")
                    runs.append(_run(plan, "tuning", *where, recipe, length, seed, its, trial))
    return runs


def winners(
    plan: Plan, lines: Lines, steps: Mapping[Choice, int], settings: Mapping[tuple[str, str, str], Settings]
) -> list[tuple[str, str, str, str]]:
    """(corpus, size, positions, recipe) of each family's best mix."""
    best: dict[tuple[str, str, str], tuple[float, StudyRun]] = {}
    for run in mix_runs(plan, steps, settings):
        key, bits = (run.corpus, run.size, run.family), score(lines[run.name])
        if key not in best or bits < best[key][0]:
            best[key] = bits, run
    return [(run.corpus, run.size, run.positions, run.recipe.name) for _, run in best.values()]


def grid_runs(
    plan: Plan,
    steps: Mapping[Choice, int],
    settings: Mapping[tuple[str, str, str], Settings],
    mixes: Sequence[tuple[str, str, str, str]],
) -> list[StudyRun]:
    """The rows: those of `more` and the best mixes, then the others with the first positions, then other positions."""
    grid = plan.grid
    first = next(iter(grid.recipes))
    decisive = {name for names in grid.more.values() for name in names}
    names = [(positions, name) for positions, some in grid.recipes.items() for name in some]
    names.sort(key=lambda each: each[0] != first or each[1] not in decisive)
    rows = [
        (corpus, size, positions, name, seed)
        for positions, name in names
        for corpus, size in _choices(plan)
        for seed in (*grid.seeds, *(grid.more_seeds if positions == first and name in grid.more.get(size, ()) else ()))
    ]
    mixed = [(*mix, seed) for mix in mixes for seed in (*grid.seeds, *grid.more_seeds)]
    count = sum(positions == first and name in decisive for _, _, positions, name, _ in rows)
    wanted = dict.fromkeys([*rows[:count], *mixed, *rows[count:]])
    return [
        _run(plan, "grid", corpus, size, positions, recipe, steps[corpus, size], seed, its, None)
        for corpus, size, positions, recipe, seed in wanted
        if size in plan.arms[recipe].views
        for its in [settings[corpus, size, _settings_of(plan, recipe)]]
    ]


def short_runs(
    plan: Plan, steps: Mapping[Choice, int], settings: Mapping[tuple[str, str, str], Settings]
) -> list[StudyRun]:
    short = plan.short
    if short is None:
        return []
    return [
        _run(plan, "short", corpus, size, positions, recipe, round(steps[corpus, size] * part), seed, its, None)
        for corpus, size in _choices(plan)
        if corpus in short.corpora
        for positions in short.positions
        for recipe in short.recipes.get(size, ())
        for its in [settings[corpus, size, _settings_of(plan, recipe)]]
        for part in short.fractions
        for seed in short.seeds
    ]


def score(line: Line) -> float:
    """Validation bits per byte; of a run that diverged, more than any other's."""
    bits = line["bits_per_byte"]
    return float(bits) if bits is not None and math.isfinite(bits) else math.inf


def _choices(plan: Plan) -> list[Choice]:
    return [(corpus, size) for corpus in plan.corpora for size in plan.sizes]


def _horizon_trials(plan: Plan, corpus: str, size: str) -> list[tuple[int, Settings]]:
    asked = plan.horizon
    assert asked is not None
    return [
        (steps, Settings(learning_rate=asked.learning_rate, weight_decay=asked.weight_decay, dropout=dropout))
        for steps in asked.steps[corpus][size]
        for dropout in asked.dropouts
    ]


def _settings_of(plan: Plan, recipe: str) -> str:
    return plan.arms[recipe].settings or plan.arms[recipe].family


def _run(
    plan: Plan,
    stage: str,
    corpus: str,
    size: str,
    positions: str,
    name: str,
    steps: int,
    seed: int,
    settings: Settings,
    trial: int | None,
) -> StudyRun:
    place = stage if trial is None else f"{stage}-{trial}"
    return StudyRun(
        name=f"{corpus}/{size}/{positions}/{name}/{place}/{steps}/{seed}",
        stage=stage,
        corpus=corpus,
        size=size,
        positions=positions,
        family=plan.arms[name].family,
        trial=trial,
        recipe=plan.recipe(name, size, positions, steps, seed, settings),
    )
