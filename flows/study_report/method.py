"""Section 2: how the numbers were made, in lines that are themselves made from the data."""

from collections.abc import Iterable

from flows.study_report.horizon import horizon_said
from flows.study_report.load import STAGES
from flows.study_report.markdown import bullets, code, counted, several
from flows.study_report.records import SCORED, Case, Run, Study, case_rank, rank
from flows.study_report.statistics import REPLICATES, widening
from flows.study_report.tuning import budgets, budgets_said


def method(study: Study) -> str:
    lines = [
        f"**Runs**: {counted(len(study.runs), 'run')}: {several(_stages(study))}.",
        *_corpora(study),
        *_sizes(study),
        f"**Positions**: {several(_names(study, 'positions'))}. **Seeds**: {several(_seeds(study))}.",
        *horizon_said(study),
        f"**Tuning**: {budgets_said(study)}{'; section 7 has them all' if budgets(study) else ''}.",
        "**Leak-free** is measured, not declared: held-out documents are cut, what follows is replaced, and nothing "
        "that the model was given before the cut may move. The leak meter says how many nats of a gain are future.",
        _test_split(study),
        f"**Differences** are paired by seed and article: the sum of bits over the articles, by the sum of their "
        f"bytes. Their 95% intervals are percentiles of {REPLICATES:,} bootstrap replicates, which draw articles and, "
        "by themselves, seeds, with replacement, the same ones for both recipes. What drawing seeds moves is stretched "
        f"by √(S/(S−1)) · t/1.96{_widening(study)}, t being Student's with S−1 degrees of freedom: so few seeds would "
        "else give intervals that are too short. One seed gives an interval over articles alone.",
        "**Read them with care**: each interval stands alone, uncorrected for how many there are. The column “below "
        "0” counts the seeds that agree.",
        f"**Device**: {several(_distinct(run.device for run in study.runs))}. "
        f"**Commit**: {several([code(each) for each in _distinct(run.commit for run in study.runs)])}.",
        f"**Versions**: {'; '.join(_versions(study.runs))}.",
        f"**Command**: {several([code(each) for each in _distinct(run.command for run in study.runs)])}.",
    ]
    return f"## 2. Method\n\n{bullets(lines)}"


def _stages(study: Study) -> list[str]:
    counts = {stage: sum(run.stage == stage for run in study.runs) for stage in STAGES}
    return [f"{count} {stage}" for stage, count in counts.items() if count]


def _corpora(study: Study) -> list[str]:
    lines = []
    for corpus in _names(study, "corpus"):
        scored = next(run for run in study.runs if run.corpus == corpus and (run.run in study.articles))
        articles = study.articles[scored.run]
        lines.append(
            f"**{corpus}**: test split of {counted(len(articles.documents), 'article')}, {articles.bytes.sum():,.0f} "
            f"bytes, {articles.pieces.sum():,.0f} pieces."
        )
    return lines


def _sizes(study: Study) -> list[str]:
    lines = []
    for size in _names(study, "size"):
        runs = [run for run in study.runs if run.size == size and run.stage == "grid"]
        shape = several(_distinct(_shape(run) for run in runs))
        steps = _distinct(
            f"{study.full_steps(case):,} steps on {case.corpus}"
            for case in sorted({Case(run.corpus, run.size, run.positions) for run in runs}, key=case_rank)
        )
        low, high = min(run.parameters for run in runs), max(run.parameters for run in runs)
        many = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        lines.append(f"**Size {size}**: {shape}; {many} parameters; {several(steps)}.")
    return lines


def _shape(run: Run) -> str:
    said = run.settings
    parts = {"layers": "{} layers", "heads": "{} heads", "dim": "d={}", "length": "N={}", "rows": "{} rows a step"}
    named = [words.format(said[name]) for name, words in parts.items() if name in said]
    return ", ".join([*named, *([str(said["precision"])] if "precision" in said else [])])


def _seeds(study: Study) -> list[str]:
    """How many rows of the grid have how many seeds."""
    counts: dict[int, int] = {}
    for case in study.cases:
        for recipe in study.recipes(case):
            seeds = len(study.grid(case, recipe))
            counts[seeds] = counts.get(seeds, 0) + 1
    return [
        f"{counted(seeds, 'seed')} for {counted(rows, 'row')} of the grid" for seeds, rows in sorted(counts.items())
    ]


def _widening(study: Study) -> str:
    """` (2.69 with 3 seeds, 1.58 with 5 seeds)`."""
    seeds = sorted({len(study.grid(case, recipe)) for case in study.cases for recipe in study.recipes(case)} - {1})
    said = ", ".join(f"{widening(each):.2f} with {each} seeds" for each in seeds)
    return f" ({said})" if said else ""


def _test_split(study: Study) -> str:
    """The reader has refused a study that scored another stage on it, so this holds of every page."""
    unseen = [stage for stage in STAGES if stage not in SCORED and any(run.stage == stage for run in study.runs)]
    before = f" {several(unseen).capitalize()} runs carry no test score." if unseen else ""
    return f"**Test split**: scored only for {several(SCORED)} runs.{before} Whatever was chosen, validation chose it."


def _names(study: Study, kind: str) -> list[str]:
    grid = {str(getattr(run, kind)) for run in study.runs if run.stage == "grid"}
    return sorted(grid, key=lambda name: rank(kind, name))


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _versions(runs: Iterable[Run]) -> list[str]:
    return _distinct(", ".join(f"{name} {number}" for name, number in sorted(run.versions.items())) for run in runs)
