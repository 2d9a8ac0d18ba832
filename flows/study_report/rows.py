"""Section 3: a table for each setting of the grid; what leaks on purpose stands in a table of its own (law 1)."""

from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np

from flows.study_report.markdown import NOTHING, folded, percent, plain, table
from flows.study_report.pairs import difference
from flows.study_report.records import Case, Run, Study

HEAD = (
    *("recipe", "family", "seeds", "validation bits per byte", "test bits per byte", "test perplexity"),
    *("to dense, test (95% CI)", "leak meter", "leak-free"),
)
Name = Literal["bits_per_byte", "test_bits_per_byte", "perplexity", "test_perplexity", "gain_nats", "leak_nats"]


def values_of(runs: Mapping[int, Run], name: Name) -> list[float]:
    """A number of each run that has it."""
    found: list[float | None] = [getattr(run, name) for run in runs.values()]
    return [value for value in found if value is not None]


def mean_of(runs: Mapping[int, Run], name: Name) -> float:
    """Mean over seeds."""
    return float(np.mean(values_of(runs, name)))


def leak_said(runs: Mapping[int, Run]) -> str:
    """`gain 0.10 nats, leak 0.00`: of the recipe's worst attribute, mean over seeds."""
    if not values_of(runs, "leak_nats") or not values_of(runs, "gain_nats"):
        return "no attribute"
    return f"gain {plain(mean_of(runs, 'gain_nats'))} nats, leak {plain(mean_of(runs, 'leak_nats'))}"


UNCERTIFIED = "†"
UNCERTIFIED_SAID = (
    f"{UNCERTIFIED} uncertified: tested by cuts, but made before runs were replayed piece by piece (section 8)."
)


def marked(recipe: str, runs: Iterable[Run]) -> str:
    """A recipe's name, with a mark if one of these runs of it is uncertified."""
    return f"{recipe} {UNCERTIFIED}" if any(run.uncertified for run in runs) else recipe


def grid_tables(study: Study, told: list[Case]) -> str:
    """Every setting; those that section 1 speaks of stand open, the others folded."""
    parts = [
        "## 3. Every recipe of the grid",
        "Mean over seeds (± standard deviation). The difference to dense is paired by article, and by the seeds that "
        "both have; bits per byte compare over any tokenizer, perplexity a piece over this one alone.",
        *([UNCERTIFIED_SAID] if any(run.uncertified for run in study.runs) else []),
    ]
    for case in study.cases:
        body = _case_tables(study, case)
        title = f"{case}: {study.full_steps(case):,} steps"
        parts += [f"### {title}", body] if case in told else [folded(title, body)]
    return "\n\n".join(parts)


def _case_tables(study: Study, case: Case) -> str:
    recipes = study.recipes(case)
    clean = [_row(study, case, recipe) for recipe in recipes if not study.leaky(recipe)]
    leaky = [_row(study, case, recipe) for recipe in recipes if study.leaky(recipe)]
    parts = [table(HEAD, clean, left=2)]
    if leaky:
        parts += [
            "**Leaky on purpose**: these read the future, and are no rivals of the rows above.",
            table(HEAD, leaky, 2),
        ]
    return "\n\n".join(parts)


def _row(study: Study, case: Case, recipe: str) -> list[str]:
    runs = study.grid(case, recipe)
    validation = values_of(runs, "bits_per_byte")
    spread = f" ± {np.std(validation, ddof=1):.4f}" if len(validation) > 1 else ""
    against = difference(study, case, recipe, "dense") if recipe != "dense" else None
    shared = f", {len(against.seeds)} seeds in common" if against and len(against.seeds) < len(runs) else ""
    free = not any(run.broken for run in runs.values())
    return [
        marked(recipe, runs.values()),
        several_families(runs),
        str(len(runs)),
        f"{np.mean(validation):.4f}{spread}",
        plain(mean_of(runs, "test_bits_per_byte"), 4),
        plain(mean_of(runs, "test_perplexity")),
        percent(against.relative) + shared if against else NOTHING,
        leak_said(runs),
        "leaky, on purpose" if study.leaky(recipe) else "yes" if free else "**NO**",
    ]


def several_families(runs: Mapping[int, Run]) -> str:
    return ", ".join(sorted({run.family for run in runs.values()}))
