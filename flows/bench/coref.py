"""How many pronouns have their true antecedent among their binding bonds, and among how many candidates?

valency bench coref --gap gap-development.tsv --json data/results/coref.json

The snippets of GAP (Webster et al. 2018) are parsed and annotated as any text, and binding bonds made with the shipped
settings. `pronouns`: those for which GAP names a true antecedent. `antecedent_recall`: the share of these that have a
bond to the head of a true antecedent as GAP marks it, that is to a word of the marked name which hangs on a word
outside of it; another mention of the same person does not count. `candidates_per_pronoun`: mean bonds of all pronouns
that GAP asks about (`asked`), with or without antecedent. `without`: the same with one rule left out at a time, and
with none of them. `by_sentences`: recall by how many sentences lie between. `by_pronoun`: by form.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.annotate import annotate
from pipeline.bonds import BondConfig, bonds_of
from pipeline.bonds.config import BINDING_RULES
from pipeline.gap import read_gap, rows_of
from pipeline.parsers import Parser
from pipeline.records import Words

Rows = Sequence[tuple[list[int], list[int]]]


def bench_coref(gap: Path, parser: Parser, config: BondConfig | None = None) -> dict[str, Any]:
    """Measure; some 30 s of parsing for the 2,000 snippets of the development file.

    Raises ValueError for what is no file of GAP, or if a snippet cannot be parsed.
    """
    cases = read_gap(gap)
    parsed, failed = parser.parse([case.document for case in cases])
    if failed:
        raise ValueError(f"{len(failed)} snippets of {gap} cannot be parsed, the first: {next(iter(failed.items()))}")
    words = annotate(parsed)
    rows = rows_of(words, cases)
    binding = replace(config or BondConfig(), kinds=("binding",))
    left_out = [(rule,) for rule in BINDING_RULES]
    found = _bonded(words, rows, binding)
    true = [place for place, case in enumerate(cases) if case.antecedents]
    return {
        "gap": gap.name,
        "parser": parser.name,
        "pronouns": len(true),
        "asked": len(cases),
        **_measured(words, rows, true, binding),
        "without": {
            " and ".join(rules) if len(rules) == 1 else "any rule": _measured(
                words, rows, true, replace(binding, binding_without=rules)
            )
            for rules in (*left_out, BINDING_RULES)
        },
        "by_sentences": _by((_apart(words, rows[place]) for place in true), (found[place] for place in true)),
        "by_pronoun": _by((_form(words, rows[place]) for place in true), (found[place] for place in true)),
    }


def _measured(words: Words, rows: Rows, true: Sequence[int], config: BondConfig) -> dict[str, float]:
    """Recall over the pronouns that have an antecedent, and candidates over all."""
    bonds = bonds_of(words, config)
    degree = np.bincount(bonds.query, minlength=len(words))
    found = _bonded(words, rows, config)
    return {
        "antecedent_recall": round(float(np.mean([found[place] for place in true])), 4),
        "candidates_per_pronoun": round(sum(int(degree[pronoun].sum()) for pronoun, _ in rows) / len(rows), 3),
    }


def _bonded(words: Words, rows: Rows, config: BondConfig) -> list[bool]:
    """Of each case, whether a bond joins its pronoun and the head of an antecedent."""
    bonds = bonds_of(words, config)
    pairs = set(zip(bonds.query.tolist(), bonds.key.tolist(), strict=True))
    return [any((row, head) in pairs for row in pronoun for head in heads) for pronoun, heads in rows]


def _apart(words: Words, case: tuple[list[int], list[int]]) -> str:
    """Sentences from the nearest marked antecedent to the pronoun; negative: it comes later."""
    pronoun, heads = case
    if not pronoun or not heads:
        return "not found"
    return str(min((int(words.sentence[pronoun[0]]) - int(words.sentence[head]) for head in heads), key=abs))


def _form(words: Words, case: tuple[list[int], list[int]]) -> str:
    return words.text[case[0][0]].lower() if case[0] else "not found"


def _by(groups: Iterable[str], found: Iterable[bool]) -> dict[str, dict[str, float]]:
    counted: dict[str, list[bool]] = defaultdict(list)
    for group, hit in zip(groups, found, strict=True):
        counted[group].append(hit)
    return {
        group: {"pronouns": len(hits), "antecedent_recall": round(float(np.mean(hits)), 4)}
        for group, hits in sorted(counted.items())
    }
