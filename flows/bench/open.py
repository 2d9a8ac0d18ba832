"""How many of a treebank's arcs does the next word find among the words that are open, and how many are open?

valency bench bonds --kind open --conllu en_ewt-ud-dev.conllu --json data/results/open_dev.json

The raw text of the treebank is parsed again (`--parser conllu`: the gold trees themselves, of which open words see
nothing but the arcs behind them; `--parser prefix`: words and arcs strictly left to right). For each cap of CAPS:

    open_recall      share of the gold arcs, all but those to roots, whose earlier word is open at the later one, or
                     part of the same word of the parser's. A gold word is whatever words of the parser's share a
                     character with it
    open_words       open words at a position, on average
    near_recall      the same where the two words before the position, which every view sees, count as open as well
    window_recall    share that as many words right before the position find instead

`doubt`: the same for settings with `open_doubt`, which are those of the mode `causal`.
`by_rule`, at the shipped cap: open words a position that the rule gives, the share of all arcs that it finds
(`arc_recall`), and the share of its pairs that are arcs (`precision`). `added`: recall and bonds a word of every kind
that ships (as `valency bench bonds` counts them), without and with open bonds.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.bench.bonds import kept
from pipeline.bonds import BondConfig, bonds_of
from pipeline.bonds.chance import SEEN
from pipeline.fit.attachment import gold_and_parsed
from pipeline.overlap import GoldArcs, gold_arcs
from pipeline.parsers import Parser
from pipeline.records import Bonds, Words

CAPS = (1, 2, 3, 4, 6, 8, 12, 16)


def bench_open(treebank: Path, parser: Parser) -> dict[str, Any]:
    """Measure on one CoNLL-U file. ValueError if the file is no sound treebank."""
    gold, words = gold_and_parsed(treebank, parser)
    arcs, base = gold_arcs(gold, words), BondConfig(kinds=("open",))
    frontier, doubt = (
        [{"cap": cap, **_point(words, arcs, replace(base, open_cap=cap, open_doubt=doubt))} for cap in CAPS]
        for doubt in (False, True)
    )
    every = BondConfig()
    return {
        "treebank": treebank.name,
        "parser": parser.name,
        "words": len(words),
        "arcs": len(arcs),
        "shipped": {"cap": base.open_cap, **_point(words, arcs, base)},
        "frontier": frontier,
        "doubt": doubt,
        "by_rule": _by_rule(words, arcs, bonds_of(words, base)),
        "added": {
            "without": kept(words, arcs, every),
            "with": kept(words, arcs, replace(every, kinds=(*every.kinds, "open"))),
        },
    }


def _point(words: Words, arcs: GoldArcs, config: BondConfig) -> dict[str, float]:
    pairs = _numbers(words, bonds_of(words, config))
    before = _right_before(words, len(pairs))
    return {
        "open_words": round(len(pairs) / len(words), 3),
        "open_recall": round(float(arcs.found(0, pairs, len(words)).mean()), 4),
        "near_recall": round(float(arcs.found(SEEN, pairs, len(words)).mean()), 4),
        "window_recall": round(float(arcs.found(0, before, len(words)).mean()), 4),
    }


def _numbers(words: Words, bonds: Bonds) -> NDArray[np.int64]:
    """Every pair: lower row · W + higher row, sorted."""
    return np.sort(bonds.key.astype(np.int64) * len(words) + bonds.query)


def _right_before(words: Words, count: int) -> NDArray[np.int64]:
    """So many pairs of words of one sentence, the nearest; of those equally far the first."""
    first, rows, parts, apart = words.sentence_first(), np.arange(len(words)), [np.empty(0, np.int64)], 1
    while count > 0:
        later = rows[rows - apart >= first][:count]
        if not len(later):
            break
        parts.append((later - apart) * len(words) + later)
        count, apart = count - len(later), apart + 1
    return np.sort(np.concatenate(parts))


def _by_rule(words: Words, arcs: GoldArcs, bonds: Bonds) -> dict[str, dict[str, float]]:
    """By rule, roles that a verb lacks as one."""
    rules = ["lacks a role" if " lacks " in value else value for value in bonds.rule.values]
    rule = np.array(rules)[bonds.rule.code]
    true = np.unique(np.concatenate([np.minimum(d, h)[there] * len(words) + np.maximum(d, h)[there]
                                     for d, h, there in arcs.readings()]))  # fmt: skip
    found = {}
    for name in sorted(set(rules), key=lambda name: -int((rule == name).sum())):
        pairs = np.sort((bonds.key.astype(np.int64) * len(words) + bonds.query)[rule == name])
        found[name] = {
            "open_words": round(len(pairs) / len(words), 3),
            "arc_recall": round(float(arcs.found(-1, pairs, len(words)).mean()), 4),
            "precision": round(float(np.isin(pairs, true).mean()), 4),
        }
    return found
