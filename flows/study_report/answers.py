"""Section 1: each question of the study, answered by sentences made from the numbers, with the table they stand on."""

from collections.abc import Sequence

from flows.study_report.markdown import NOTHING, bullets, code, percent, plain, several, signed, table
from flows.study_report.pairs import GRAMMAR, REACH, SENTENCES, Pair, difference
from flows.study_report.records import Case, Study, mean_validation, rank
from flows.study_report.rows import mean_of
from flows.study_report.sentences import difference_said, differences_said, leakage_said, steps_said, tally_said
from flows.study_report.statistics import paired_difference
from flows.study_report.steps import reach

PAPER_STEPS, PAPER_POS, PAPER_DENSE = -0.21, 26.33, 26.56
"""What the seed paper reports of its mask on every head: steps, and perplexity with the mask and without."""


def answers(study: Study) -> str:
    parts = [
        "## 1. The answers in short",
        "Differences are on the test split, in percent; below 0 means fewer bits, or a lower perplexity. Sentences speak "
        "of one setting for each corpus and size: the positions at which dense is best on validation. "
        "The tables hold all settings.",
        *_warning(study),
        "### How much do heads of different reach gain over a tuned dense model?",
        _question(study, REACH),
        _own_positions(study),
        "### Does the true sentence beat the random cut and the ladder of windows?",
        _question(study, SENTENCES),
        "### Do tags or pos masks add anything without a leak?",
        _question(study, GRAMMAR),
        "### How much of the seed paper's gain is leakage?",
        _seed_paper(study),
        "### Bits per byte, perplexity, and steps to dense's best",
        _overview(study),
    ]
    return "\n\n".join(part for part in parts if part)


def told(study: Study) -> list[Case]:
    """The cases that sentences speak of: for each corpus and size, the positions at which dense is best."""
    found: dict[tuple[str, str], Case] = {}
    for case in study.cases:
        best = study.best_positions(case.corpus, case.size, "dense") or case
        found.setdefault((case.corpus, case.size), best)
    return list(found.values())


def _warning(study: Study) -> list[str]:
    broken = sorted({run.recipe for run in study.runs if not run.leaky and run.leak_free is False})
    if not broken:
        return []
    names = several([code(name) for name in broken])
    return [f"> **Warning: not leak-free.** {names} should be and were measured not to be; their numbers are void."]


def _question(study: Study, pairs: Sequence[Pair]) -> str:
    lines = []
    for case in told(study):
        found = [each for pair in pairs if (each := difference(study, case, pair.a, pair.b))]
        if found:
            lines.append(f"**{case}**: {differences_said(found)}.")
    every = {pair: [difference(study, case, pair.a, pair.b) for case in study.cases] for pair in pairs}
    kept = {pair: cells for pair, cells in every.items() if any(cells)}
    if not kept:
        return "Not measured yet."
    tallies = [tally_said(str(pair), [each for each in cells if each]) + "." for pair, cells in kept.items()]
    rows = [
        [str(case), *(percent(cells[place].relative) if cells[place] else NOTHING for cells in kept.values())]  # type: ignore[union-attr]
        for place, case in enumerate(study.cases)
    ]
    missing = [str(pair) for pair in pairs if pair not in kept]
    note = [f"Not measured: {several(missing)}."] if missing else []
    head = ["bits per byte", *(str(pair) for pair in kept)]
    return "\n\n".join([bullets(lines), "Over all settings:", bullets(tallies), table(head, rows), *note])


def _own_positions(study: Study) -> str:
    """Sentence heads at their best positions against dense at its own, both chosen on validation."""
    lines = []
    for case in told(study):
        for recipe in ("sentence", "windows"):
            ours = study.best_positions(case.corpus, case.size, recipe)
            theirs = study.best_positions(case.corpus, case.size, "dense")
            if not ours or not theirs or study.full_steps(ours) != study.full_steps(theirs):
                continue
            found = paired_difference(study.grid(ours, recipe), study.grid(theirs, "dense"), study.articles)
            if found:
                where = f"{recipe} with {ours.positions}, dense with {theirs.positions}"
                lines.append(f"**{case.corpus}, {case.size}** ({where}): {difference_said(found)}.")
    return f"Each recipe at its own best positions, chosen on validation:\n\n{bullets(lines)}" if lines else ""


def _seed_paper(study: Study) -> str:
    paper = signed(100 * (PAPER_POS / PAPER_DENSE - 1))
    intro = (
        f"The paper (2 layers, 2 heads, d=128) reports, for its pos mask on every head against dense, perplexity "
        f"{PAPER_POS} against {PAPER_DENSE} ({paper}%) and {signed(100 * PAPER_STEPS, 0)}% steps. Here, at size seed:"
    )
    lines, rows = [], []
    for case in (case for case in study.cases if case.size == "seed"):
        pairs = [difference(study, case, a, b) for a, b in (("pos-leaky", "dense"), ("pos", "dense"), ("pos-leaky", "pos"))]
        leaky, clean, future = pairs
        if not (leaky and clean and future):
            continue
        told_steps = [steps_said(reach(study, case, recipe)) for recipe in ("pos-leaky", "pos", "dense")]
        lines.append(f"**{case}**: {leakage_said(leaky, clean, future)}")
        rows.append([str(case), *(percent(each.perplexity) for each in (leaky, clean, future)), *told_steps])
    if not rows:
        return f"{intro} not measured yet (this needs `dense`, `pos` and `pos-leaky`)."
    head = ["perplexity, and steps to dense's best", "pos-leaky − dense", "pos − dense", "pos-leaky − pos (the leak)"]
    head += ["steps: pos-leaky (leaky)", "steps: pos", "steps: dense"]
    return "\n\n".join([intro, bullets(lines), table(head, rows)])


def _overview(study: Study) -> str:
    """The lowest on validation, and every leak-free recipe of the cases that sentences speak of."""
    parts = []
    for case in told(study):
        recipes = [recipe for recipe in study.recipes(case) if not study.leaky(recipe)]
        means = {recipe: mean_validation(study.grid(case, recipe)) for recipe in recipes}
        order = sorted(recipes, key=lambda recipe: (means[recipe], rank("recipe", recipe)))
        line = f"**{case}**, {study.full_steps(case):,} steps. "
        if len(order) > 1:
            line += f"Lowest on validation: {code(order[0])} ({plain(means[order[0]], 4)}), then {code(order[1])} "
            line += f"({plain(means[order[1]], 4)})"
            between = difference(study, case, order[0], order[1])
            line += f"; on test, {difference_said(between)}." if between else "."
        rows = []
        for recipe in recipes:
            runs = study.grid(case, recipe)
            bits, perplexity = mean_of(runs, "test_bits_per_byte"), mean_of(runs, "test_perplexity")
            rows.append([recipe, plain(bits, 4), plain(perplexity), steps_said(reach(study, case, recipe))])
        parts += [line, table(["recipe", "test bits per byte", "test perplexity a piece", "steps to dense's best"], rows)]
    return "\n\n".join(parts)
