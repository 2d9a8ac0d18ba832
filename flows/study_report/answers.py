"""Section 1: each question of the study, answered by sentences made from the numbers, with the table they stand on."""

from collections.abc import Sequence

from flows.study_report.markdown import NOTHING, bullets, code, percent, plain, several, signed, table
from flows.study_report.pairs import GRAMMAR, REACH, SENTENCES, Pair, difference
from flows.study_report.records import Case, Study, lowest_of, mean_validation, rank
from flows.study_report.rows import mean_of
from flows.study_report.sentences import difference_said, leakage_said, steps_said, tally_said
from flows.study_report.statistics import Difference, paired_difference
from flows.study_report.steps import reach

PAPER_STEPS, PAPER_POS, PAPER_DENSE = -0.21, 26.33, 26.56
"""What the seed paper reports of its mask on every head: steps, and perplexity with the mask and without."""
TALLY = "of all settings: fewer bits / 0 included / more bits"


def answers(study: Study) -> str:
    parts = [
        "## 1. The answers in short",
        "Differences are on the test split, in percent; below 0 means fewer bits, or a lower perplexity. This section "
        "speaks of one setting for each corpus and size: the positions at which dense is best on validation, of those "
        "that most recipes were run with. The others are in sections 3, 4 and 6.",
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
    """The cases that sentences speak of: for each corpus and size, the positions at which dense is best.

    Positions with half of the recipes or less (dense's own trials of other positions) answer no question.
    """
    found = []
    for corpus, size in dict.fromkeys((case.corpus, case.size) for case in study.cases):
        cases = [case for case in study.cases if (case.corpus, case.size) == (corpus, size)]
        most = max(len(study.recipes(case)) for case in cases)
        full = [case for case in cases if 2 * len(study.recipes(case)) > most]
        found.append(lowest_of(study, full, "dense") or full[0])
    return found


def _warning(study: Study) -> list[str]:
    broken = sorted({run.recipe for run in study.runs if not run.leaky and run.leak_free is False})
    if not broken:
        return []
    names = several([code(name) for name in broken])
    return [f"> **Warning: not leak-free.** {names} should be and were measured not to be; their numbers are void."]


def _question(study: Study, pairs: Sequence[Pair]) -> str:
    """Sentences on the pairs that answer the question, and a table of all of them."""
    spoken, lines, rows = told(study), [], []
    for case in spoken:
        found = [each for pair in pairs if pair.said and (each := difference(study, case, pair.a, pair.b))]
        if found:
            lines.append(f"**{case}**: {'; '.join(difference_said(each) for each in found)}.")
    missing = []
    for pair in pairs:
        here = [difference(study, case, pair.a, pair.b) for case in spoken]
        every = [each for case in study.cases if (each := difference(study, case, pair.a, pair.b))]
        if every:
            cells = [percent(each.relative) if each else NOTHING for each in here]
            rows.append([str(pair), pair.question, *cells, tally_said(every)])
        else:
            missing.append(str(pair))
    note = [f"Not measured, for want of a recipe: {several(missing)}."] if missing else []
    head = ["bits per byte", "question", *(str(case) for case in spoken), TALLY]
    return "\n\n".join([bullets(lines), *([table(head, rows, left=2)] if rows else []), *note])


def _own_positions(study: Study) -> str:
    """Sentence heads at their best positions against dense at its own, where the two differ."""
    lines = []
    for case in told(study):
        places = _places(study, case)
        theirs = lowest_of(study, places, "dense")
        for recipe in ("sentence", "windows"):
            ours = lowest_of(study, places, recipe)
            if (
                ours
                and theirs
                and (ours, theirs) != (case, case)
                and (found := _across(study, (ours, recipe), (theirs, "dense")))
            ):
                where = f"{recipe} with {ours.positions}, dense with {theirs.positions}"
                lines.append(f"**{case.corpus}, {case.size}** ({where}): {difference_said(found)}.")
    if not lines:
        return "At each recipe's own best positions, chosen on validation, this comparison is the same."
    return f"Where recipes are best at other positions than these, each at its own:\n\n{bullets(lines)}"


def _across(study: Study, one: tuple[Case, str], other: tuple[Case, str]) -> Difference | None:
    """One recipe less another that may have other positions; None where their lengths differ."""
    if study.full_steps(one[0]) != study.full_steps(other[0]):
        return None
    return paired_difference(study.grid(*one), study.grid(*other), study.articles)


def _seed_paper(study: Study) -> str:
    paper = signed(100 * (PAPER_POS / PAPER_DENSE - 1))
    intro = (
        f"The paper (2 layers, 2 heads, d=128) reports, for its pos mask on every head against dense, perplexity "
        f"{PAPER_POS} against {PAPER_DENSE} ({paper}%) and {signed(100 * PAPER_STEPS, 0)}% steps. Here, at size seed:"
    )
    lines, rows = {}, []
    for case in (case for case in study.cases if case.size == "seed"):
        leaky, clean, future = (
            difference(study, case, a, b) for a, b in (("pos-leaky", "dense"), ("pos", "dense"), ("pos-leaky", "pos"))
        )
        if leaky and clean and future:
            steps = [steps_said(reach(study, case, recipe)) for recipe in ("pos-leaky", "pos")]
            lines[case] = f"**{case}**: {leakage_said(leaky, clean, future)} Shortest annealed run that reaches "
            lines[case] += f"dense's best: leaky, {steps[0]}; piece-causal, {steps[1]}."
            rows.append([str(case), *(percent(each.perplexity) for each in (leaky, clean, future)), *steps])
    if not rows:
        return f"{intro} not measured yet (this needs `dense`, `pos` and `pos-leaky`)."
    head = ["perplexity, and steps to dense's best", "pos-leaky − dense", "pos − dense", "pos-leaky − pos (the leak)"]
    head += ["steps: pos-leaky (leaky)", "steps: pos"]
    spoken = [line for case, line in lines.items() if case in told(study)] or list(lines.values())
    return "\n\n".join([intro, bullets(spoken), table(head, rows)])


def _overview(study: Study) -> str:
    """The lowest on validation, and every leak-free recipe of the cases that sentences speak of."""
    spoken = told(study)
    recipes = {recipe for case in spoken for recipe in study.recipes(case) if not study.leaky(recipe)}
    rows = []
    for recipe in sorted(recipes, key=lambda name: rank("recipe", name)):
        rows.append([recipe, *(_numbers(study, case, recipe) for case in spoken)])
    legend = (
        "Test bits per byte · test perplexity a piece · steps of the shortest annealed run that reaches dense's best "
        "on validation, of the lengths tried (×: none of them does; –: only one length was tried):"
    )
    return "\n\n".join(
        [bullets(_lowest(study, case) for case in spoken), legend, table(["recipe", *(str(c) for c in spoken)], rows)]
    )


def _places(study: Study, case: Case) -> list[Case]:
    """The cases of the same corpus and size."""
    return [place for place in study.cases if (place.corpus, place.size) == (case.corpus, case.size)]


def _lowest(study: Study, case: Case) -> str:
    """The two best of all leak-free rows of a corpus and size, whatever their positions, and what is between them."""
    places = _places(study, case)
    recipes = dict.fromkeys(recipe for place in places for recipe in study.recipes(place))
    rows = [(place, recipe) for recipe in recipes if (place := lowest_of(study, places, recipe))]
    clean = [row for row in rows if all(run.leak_free and not run.leaky for run in study.grid(*row).values())]
    order = sorted(clean, key=lambda row: mean_validation(study.grid(*row)))[:2]
    said = [
        f"{code(recipe)} with {at.positions} ({mean_validation(study.grid(at, recipe)):.4f})" for at, recipe in order
    ]
    name = f"**{case.corpus}, {case.size}**"
    line = f"{name}: lowest on validation of the leak-free recipes, each at its best positions: {', then '.join(said)}"
    found = _across(study, *order) if len(order) > 1 else None
    return f"{line}; on test, {difference_said(found)}." if found else f"{line}."


def _numbers(study: Study, case: Case, recipe: str) -> str:
    """`1.1888 · 27.02 · 800`."""
    runs = study.grid(case, recipe)
    if not runs:
        return NOTHING
    found = reach(study, case, recipe)
    tried = found if found and len(found.lengths) > 1 else None
    steps = NOTHING if tried is None else "×" if tried.steps is None else f"{tried.steps:,}"
    bits, perplexity = mean_of(runs, "test_bits_per_byte"), mean_of(runs, "test_perplexity")
    return f"{plain(bits, 4)} · {plain(perplexity)} · {steps}"
