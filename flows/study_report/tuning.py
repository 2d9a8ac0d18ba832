"""Section 7: dense's lengths, and each family's trials: as many for one as for another, or the page says so."""

import math
from collections.abc import Sequence

import numpy as np

from flows.study_report.horizon import RULE, horizons
from flows.study_report.markdown import NOTHING, bullets, code, folded, plain, several, table
from flows.study_report.records import Run, Study, rank

KNOBS = ("learning_rate", "weight_decay", "dropout")


def tuning(study: Study) -> str:
    parts = ["## 7. Tuning", _equal(study), _families(study)]
    horizon = [run for run in study.runs if run.stage == "horizon"]
    if horizon:
        rows = [_trial_row(run) for run in _by_place(horizon)]
        parts += [
            f"How long to train: {RULE}.",
            bullets(str(each) for each in horizons(study)),
            folded("Dense by steps and dropout", _table(rows)),
        ]
    if trials := _by_place([run for run in study.runs if run.stage == "tuning"]):
        parts.append(folded("Every trial", _table([_trial_row(run) for run in trials])))
    return "\n\n".join(parts)


def budgets(study: Study) -> dict[tuple[str, str], dict[str, int]]:
    """Trials of each family, by corpus and size: distinct settings that were tried, however many seeds each took."""
    found: dict[tuple[str, str], dict[str, set[tuple[object, ...]]]] = {}
    for run in study.runs:
        if run.stage == "tuning":
            families = found.setdefault((run.corpus, run.size), {})
            families.setdefault(run.family, set()).add(_trial(run))
    ordered = sorted(found.items(), key=lambda item: (rank("corpus", item[0][0]), rank("size", item[0][1])))
    return {
        place: {family: len(families[family]) for family in sorted(families, key=lambda name: rank("family", name))}
        for place, families in ordered
    }


def budgets_said(study: Study) -> str:
    """`dense 12, near 12, grammar 12 trials on wikitext2, six`."""
    found = budgets(study)
    if not found:
        return "no trials in this file"
    return "; ".join(
        f"{several([f'{family} {count}' for family, count in counts.items()])} trials on {corpus}, {size}"
        for (corpus, size), counts in found.items()
    )


def _equal(study: Study) -> str:
    found = budgets(study)
    in_grid = {run.family for run in study.runs if run.stage == "grid"}
    wrong = []
    for (corpus, size), counts in found.items():
        absent = sorted(in_grid - set(counts))
        if len(set(counts.values())) > 1 or absent:
            each = [f"{family} {count}" for family, count in counts.items()] + [f"{family} 0" for family in absent]
            wrong.append(f"{corpus}, {size}: {several(each)}")
    if not found:
        chosen_by = sorted({str(run.settings["chosen_by"]) for run in study.runs if "chosen_by" in run.settings})
        if chosen_by:
            return (
                f"Steps and settings are those that {several([code(name) for name in chosen_by])} chose, on validation."
            )
        return "> **Warning:** this file holds no trials, so no gain here has been tuned for."
    if wrong:
        return f"> **Warning: the families did not get the same number of trials.** {'; '.join(wrong)}."
    return f"Every family had the same number of trials: {budgets_said(study)}."


def _families(study: Study) -> str:
    """Best trial and spread of each family, and what the grid then used."""
    rows = []
    for (corpus, size), counts in budgets(study).items():
        for family in counts:
            runs = [r for r in study.runs if (r.corpus, r.size, r.family) == (corpus, size, family)]
            trials = _means([run for run in runs if run.stage == "tuning"])
            finite = sorted(bits for _, bits in trials if math.isfinite(bits))
            best, bits = min(trials, key=lambda trial: trial[1] if math.isfinite(trial[1]) else math.inf)
            spread = f"{finite[0]:.4f} to {finite[-1]:.4f}" if finite else NOTHING
            failed = len(trials) - len(finite)
            used = dict.fromkeys(_knobs(run) for run in runs if run.stage == "grid" and not run.leaky)
            where = (f"{corpus}, {size}", family, f"{best.recipe}, {best.positions}")
            knobs = (_knobs(best), " / ".join(used) or NOTHING)
            diverged = f", {failed} diverged" if failed else ""
            rows.append([*where, *knobs, str(len(trials)), _bits(bits), f"{spread}{diverged}"])
    head = [
        "setting",
        "family",
        "best trial",
        "its " + _knob_names(),
        "the grid's",
        "trials",
        "best",
        "lowest to highest",
    ]
    return table(head, rows, left=5) if rows else ""


def _means(trials: Sequence[Run]) -> list[tuple[Run, float]]:
    """A run of each trial with the mean of its validation bits per byte over seeds."""
    found: dict[tuple[object, ...], list[Run]] = {}
    for run in trials:
        found.setdefault(_trial(run), []).append(run)
    return [(runs[0], float(np.mean([run.bits_per_byte for run in runs]))) for runs in found.values()]


def _trial(run: Run) -> tuple[object, ...]:
    return run.recipe, run.positions, run.trial, run.steps, *(run.settings.get(knob) for knob in KNOBS)


def _knobs(run: Run) -> str:
    return ", ".join(f"{run.settings[knob]:g}" if knob in run.settings else NOTHING for knob in KNOBS)


def _knob_names() -> str:
    return ", ".join(knob.replace("_", " ") for knob in KNOBS)


def _by_place(runs: Sequence[Run]) -> list[Run]:
    kinds = ("corpus", "size", "family")
    places = {run.run: tuple(rank(kind, getattr(run, kind)) for kind in kinds) for run in runs}
    return sorted(
        runs, key=lambda run: (places[run.run], run.bits_per_byte if math.isfinite(run.bits_per_byte) else 99)
    )


def _table(rows: Sequence[Sequence[str]]) -> str:
    head = ["setting", "family", "recipe", "positions", "trial", "seed", "steps", *KNOBS, "validation bits per byte"]
    return table([name.replace("_", " ") for name in head], rows, left=4)


def _trial_row(run: Run) -> list[str]:
    number = NOTHING if run.trial is None else str(run.trial)
    knobs = [f"{run.settings[knob]:g}" if knob in run.settings else NOTHING for knob in KNOBS]
    place = f"{run.corpus}, {run.size}"
    named = (place, run.family, code(run.recipe), run.positions, number, str(run.seed), f"{run.steps:,}")
    return [*named, *knobs, _bits(run.bits_per_byte)]


def _bits(bits: float) -> str:
    return plain(bits, 4) if math.isfinite(bits) else "diverged"
