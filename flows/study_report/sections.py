"""Sections 4, 5, 6 and 8: differences, curves, steps and leaks, each with its picture or table."""

from collections.abc import Mapping, Sequence

import numpy as np

from flows.study_report.certificates import certificates_said
from flows.study_report.markdown import NOTHING, bullets, code, counted, folded, percent, plain, several, signed, table
from flows.study_report.pairs import LEAKY, PAIRS, Pair, difference
from flows.study_report.records import MOVED, Case, Run, Study, rank
from flows.study_report.sentences import seeds_said
from flows.study_report.steps import Length, Reach, reach

LEAK_FREE_WITHIN, LEAK_SEEN_FROM = 0.01, 0.07
"""Nats: what the leak meter must read on piece-causal attributes (0 ± this), and on whole-word tags (at least)."""


def differences(study: Study, pictures: Mapping[str, str], told: Sequence[Case]) -> str:
    """pictures: path on the page by title."""
    missing = [str(pair) for pair in PAIRS if not any(difference(study, case, pair.a, pair.b) for case in study.cases)]
    parts = [
        "## 4. Paired differences",
        "Test bits per byte of the first recipe less the second's; intervals over seeds × articles. Filled marks: "
        "0 is outside. “Below 0” counts the seeds in which the first is better. “Without” leaves out the one article "
        "whose absence moves the relative difference most, and names it.",
        _pictures(pictures),
    ]
    for case in study.cases:
        body = _pair_table(study, case, PAIRS)
        parts += [f"### {case}", body] if case in told else [folded(str(case), body)]
    if missing:
        parts.append(f"Not measured anywhere, for want of a recipe: {several(missing)}.")
    rows = [row for case in study.cases for row in _pair_rows(study, case, LEAKY, [str(case)])]
    if rows:
        parts += [
            "### What leaks on purpose",
            "Here one of the two reads the future; none of this is a result about grammar.",
            folded("Differences with a leaky arm", table(("setting", *PAIR_HEAD), rows, left=3)),
        ]
    return "\n\n".join(parts)


PAIR_HEAD = (
    *("pair", "question", "bits per byte", "relative (95% CI)", "perplexity (95% CI)", "below 0", "without"),
    "verdict",
)
VERDICTS = {"gain": "fewer bits", "loss": "more bits", "none": "includes 0"}


def _pair_table(study: Study, case: Case, pairs: Sequence[Pair]) -> str:
    return table(PAIR_HEAD, _pair_rows(study, case, pairs, []), left=2)


def _pair_rows(study: Study, case: Case, pairs: Sequence[Pair], before: list[str]) -> list[list[str]]:
    rows = []
    for pair in pairs:
        found = difference(study, case, pair.a, pair.b)
        if found is None:
            continue
        bits = [signed(part, 4) for part in (found.bits.mean, found.bits.low, found.bits.high)]
        agree = f"{found.below} of {seeds_said(found)}"
        numbers = (f"{bits[0]} ({bits[1]} to {bits[2]})", percent(found.relative), percent(found.perplexity))
        without = f"{signed(100 * found.without.relative)}% ({found.without.document})" if found.without else NOTHING
        rows.append([*before, str(pair), pair.question, *numbers, agree, without, VERDICTS[found.verdict]])
    return rows


def curves(pictures: Mapping[str, str]) -> str:
    said = (
        "Validation bits per byte while training: mean over seeds, with a band from the lowest to the highest. The "
        "first quarter of each run may stand above the picture. Only the end of a curve is an annealed model."
    )
    return "\n\n".join(["## 5. Curves", said, _pictures(pictures)])


DENSE_ROW = "Dense has its own row: what it saves by stopping earlier is no merit of the others."


def steps(study: Study, pictures: Mapping[str, str], told: Sequence[Case]) -> str:
    """The shortest annealed run of each recipe that is as good as dense at full length."""
    found = {case: _reached(study, case) for case in study.cases}
    parts = [
        "## 6. Steps of the shortest annealed run that reaches dense",
        "Each length is a training of its own, annealed to its end. A length counts if every seed of it has no more "
        "validation bits per byte than dense at its full length, in the mean over the same seeds. The table gives "
        "what each seed is above that mean, or below it, and in how many seeds it is reached where not in all.",
        DENSE_ROW if any("dense" in reached for reached in found.values()) else "",
        _pictures(pictures),
    ]
    for case, reached in found.items():
        if not reached:
            parts.append(f"**{case}**: only one length was trained.")
            continue
        body = _steps_table(study, reached)
        parts += [f"### {case}", body] if case in told else [folded(str(case), body)]
    return "\n\n".join(part for part in parts if part)


def _reached(study: Study, case: Case) -> dict[str, Reach]:
    """Of the recipes that have runs of several lengths."""
    found = {recipe: reach(study, case, recipe) for recipe in study.recipes(case)}
    return {recipe: each for recipe, each in found.items() if each and len(each.lengths) > 1}


def _steps_table(study: Study, reached: Mapping[str, Reach]) -> str:
    rows = []
    for recipe, each in sorted(reached.items(), key=lambda item: (study.leaky(item[0]), rank("recipe", item[0]))):
        tried = "; ".join(_length_said(length) for length in each.lengths)
        name = f"{recipe} (**leaky**)" if study.leaky(recipe) and "leaky" not in recipe else recipe
        shortest = "none of those tried" if each.steps is None else f"{each.steps:,}"
        share = NOTHING if each.steps is None else f"{100 * each.steps / each.full:.0f}%"
        rows.append([name, shortest, share, tried])
    return table(["recipe", "shortest", "of dense's steps", "lengths tried: each seed, less dense's mean"], rows)


def _length_said(length: Length) -> str:
    """`800: +0.0020, −0.0010 (1 of 2)`."""
    part = f" ({length.reached} of {len(length.gaps)})" if 0 < length.reached < len(length.gaps) else ""
    return f"{length.steps:,}: {', '.join(signed(gap, 4) for gap in length.gaps)}{part}"


def leaks(study: Study) -> str:
    """Whether what promises to be leak-free was measured to be, and the meter's reading of each attribute."""
    scored = [run for run in study.runs if run.leak_free is not None]
    clean = [run for run in scored if not run.leaky]
    broken = [run for run in clean if run.broken]
    largest = max((run.max_change or 0.0 for run in clean), default=0.0)
    if broken:
        names = several([code(run.run) for run in broken[:10]])
        first = (
            f"> **Warning:** {len(broken)} of {counted(len(clean), 'run')} that promise it are not leak-free: {names}."
        )
    else:
        first = (
            f"Every recipe that promises it was measured leak-free: {counted(len(clean), 'run')}, largest relative "
            f"change of a logit {largest:.1e}."
        )
    seen = [run for run in scored if run.leaky]
    caught = sum(run.moved for run in seen)
    second = (
        f"Of {counted(len(seen), 'run')} that leak on purpose the test caught {caught}: a logit moved by more than "
        f"{MOVED:.0e} of the largest."
        if seen
        else ""
    )
    rows, readings = _attribute_rows(scored)
    head = ["recipe", "attribute", "runs", "gain (nats a piece)", "leak, mean", "leak, lowest to highest", "by purpose"]
    certificates = certificates_said(clean, seen)
    parts = [
        "## 8. Leaks",
        first,
        second,
        certificates,
        bullets(_meter_said(readings)),
        table(head, rows, left=2) if rows else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _attribute_rows(runs: Sequence[Run]) -> tuple[list[list[str]], dict[bool, list[float]]]:
    """Rows of the table, and the readings of leaky and leak-free recipes."""
    found: dict[tuple[bool, str, str], list[tuple[float, float]]] = {}
    readings: dict[bool, list[float]] = {True: [], False: []}
    for run in runs:
        for name, reading in sorted(run.attributes.items()):
            found.setdefault((run.leaky, run.recipe, name), []).append((reading.gain, reading.leak))
        if run.leak_nats is not None:
            readings[run.leaky].append(run.leak_nats)
    rows = []
    for (leaky, recipe, name), pairs in sorted(
        found.items(), key=lambda item: (item[0][0], rank("recipe", item[0][1]))
    ):
        gain, leak = np.array(pairs).T
        spread = f"{plain(float(leak.min()), 3)} to {plain(float(leak.max()), 3)}"
        rows.append(
            [recipe, code(name), str(len(pairs)), plain(float(gain.mean()), 3), plain(float(leak.mean()), 3), spread]
        )
        rows[-1].append("leaky" if leaky else "leak-free")
    return rows, readings


def _meter_said(readings: Mapping[bool, Sequence[float]]) -> list[str]:
    lines = []
    if clean := readings[False]:
        worst = max(clean, key=abs)
        holds = "within" if abs(worst) <= LEAK_FREE_WITHIN else "**not within**"
        lines.append(
            f"Leak-free recipes: furthest reading from 0 is {plain(worst, 3)} nats, {holds} ± {LEAK_FREE_WITHIN}."
        )
    if leaky := readings[True]:
        least = min(leaky)
        holds = "at least" if least >= LEAK_SEEN_FROM else "**less than**"
        lines.append(f"Leaky arms: lowest reading is {plain(least, 3)} nats, {holds} {LEAK_SEEN_FROM}.")
    return lines


def _pictures(pictures: Mapping[str, str]) -> str:
    return "\n\n".join(f"![{title}]({path})" for title, path in pictures.items())
