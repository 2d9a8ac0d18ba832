"""Section 1: each question of the study, answered by sentences made from the numbers, with the table they stand on."""

from collections.abc import Sequence

from flows.study_report.markdown import NOTHING, bullets, code, percent, plain, several, signed, table
from flows.study_report.pairs import GRAMMAR, REACH, SENTENCES, Pair, difference
from flows.study_report.records import Case, Study, lowest_of, mean_validation, rank
from flows.study_report.rows import UNCERTIFIED, UNCERTIFIED_SAID, marked, mean_of
from flows.study_report.sentences import difference_said, leakage_said, steps_said, tally_said
from flows.study_report.statistics import Difference, paired_difference
from flows.study_report.steps import Reach, reach

PAPER_STEPS, PAPER_POS, PAPER_DENSE = -0.21, 26.33, 26.56
"""What the seed paper reports of its mask on every head: steps, and perplexity with the mask and without."""
TALLY = "of all settings: fewer bits / 0 included / more bits"


SPOKEN = (
    "This section speaks of one setting for each corpus and size: the positions at which dense is best on validation, "
    "of those that most recipes were run with. The others are in sections 3, 4 and 6."
)


def answers(study: Study) -> str:
    parts = [
        "## 1. The answers in short",
        "Differences are on the test split, in percent; below 0 means fewer bits, or a lower perplexity."
        + ("" if _one_kind(study) else f" {SPOKEN}"),
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
        "### Bits per byte, perplexity, and steps to what dense reaches",
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
    broken = sorted({run.recipe for run in study.runs if run.broken})
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
    if _one_kind(study):
        names = dict.fromkeys(case.positions for case in study.cases)
        return f"The grid has one kind of positions for each corpus and size: {several(list(names))}."
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


def _one_kind(study: Study) -> bool:
    """Whether no corpus and size has rows with more than one kind of positions."""
    return all(len(_places(study, case)) == 1 for case in study.cases)


def _across(study: Study, one: tuple[Case, str], other: tuple[Case, str]) -> Difference | None:
    """One recipe less another that may have other positions; None where their lengths differ."""
    if study.full_steps(one[0]) != study.full_steps(other[0]):
        return None
    return paired_difference(study.grid(*one), study.grid(*other), study.articles)


def _seed_paper(study: Study) -> str:
    paper = signed(100 * (PAPER_POS / PAPER_DENSE - 1))
    intro = (
        f"The paper (2 layers, 2 heads, d=128) reports, for its pos mask on every head against dense, perplexity "
        f"{PAPER_POS} against {PAPER_DENSE} ({paper}%) and {signed(100 * PAPER_STEPS, 0)}% steps. The leaky arm here "
        "leaks only the rest of the word: its tags come from an annotator that reads from left to right. A tagger that "
        "reads the whole sentence, as the paper's does, was not measured."
    )
    lines, rows = {}, []
    # the paper's own size first
    for case in sorted(study.cases, key=lambda case: case.size != "seed"):
        leaky, clean, future = (
            difference(study, case, a, b) for a, b in (("pos-leaky", "dense"), ("pos", "dense"), ("pos-leaky", "pos"))
        )
        if leaky and clean and future:
            reached = [reach(study, case, recipe) for recipe in ("pos-leaky", "pos")]
            steps = [steps_said(each) if _several_lengths(each) else "only one length tried" for each in reached]
            lines[case] = f"**{case}**: {leakage_said(leaky, clean, future)}"
            if any(_several_lengths(each) for each in reached):
                lines[case] += (
                    " Shortest annealed run of which every seed reaches dense's mean at its full length: "
                    f"leaky, {steps[0]}; piece-causal, {steps[1]}."
                )
            rows.append([str(case), *(percent(each.perplexity) for each in (leaky, clean, future)), *steps])
    if not rows:
        return f"{intro}\n\nThis is not measured yet (it needs `dense`, `pos` and `pos-leaky`)."
    head = ["perplexity, and steps", "pos-leaky − dense", "pos − dense", "pos-leaky − pos (the leak)"]
    head += ["steps: pos-leaky (leaky)", "steps: pos"]
    spoken = [line for case, line in lines.items() if case in told(study)] or list(lines.values())
    return "\n\n".join([intro, bullets(spoken), table(head, rows)])


def _several_lengths(reached: Reach | None) -> bool:
    return reached is not None and len(reached.lengths) > 1


def _overview(study: Study) -> str:
    """The lowest on validation, and every leak-free recipe of the cases that sentences speak of."""
    spoken = told(study)
    recipes = {recipe for case in spoken for recipe in study.recipes(case) if not study.leaky(recipe)}
    rows = []
    for recipe in sorted(recipes, key=lambda name: rank("recipe", name)):
        runs = [run for case in spoken for run in study.grid(case, recipe).values()]
        rows.append([marked(recipe, runs), *(_numbers(study, case, recipe) for case in spoken)])
    legend = (
        "Test bits per byte · test perplexity a piece · steps of the shortest annealed run of which every seed "
        "reaches, on validation, dense's mean at its full length (×: none of those tried; some seeds: of a length "
        "tried, but not all of them, see section 6; –: only one length was tried):"
    )
    said = [UNCERTIFIED_SAID] if any(UNCERTIFIED in name for name, *_ in rows) else []
    lowest = bullets(_lowest(study, case) for case in spoken)
    return "\n\n".join([lowest, legend, table(["recipe", *(str(c) for c in spoken)], rows), *said])


def _places(study: Study, case: Case) -> list[Case]:
    """The cases of the same corpus and size."""
    return [place for place in study.cases if (place.corpus, place.size) == (case.corpus, case.size)]


def _lowest(study: Study, case: Case) -> str:
    """The two best of all leak-free rows of a corpus and size, whatever their positions, and what is between them."""
    places = _places(study, case)
    recipes = dict.fromkeys(recipe for place in places for recipe in study.recipes(place))
    rows = [(place, recipe) for recipe in recipes if (place := lowest_of(study, places, recipe))]
    clean = [
        row
        for row in rows
        if all(run.leak_free and not run.broken and not run.leaky for run in study.grid(*row).values())
    ]
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
    steps = NOTHING
    if found and _several_lengths(found):
        none = "some seeds" if any(length.reached for length in found.lengths) else "×"
        steps = none if found.steps is None else f"{found.steps:,}"
    bits, perplexity = mean_of(runs, "test_bits_per_byte"), mean_of(runs, "test_perplexity")
    return f"{plain(bits, 4)} · {plain(perplexity)} · {steps}"
