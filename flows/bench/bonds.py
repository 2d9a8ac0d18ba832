"""How many of a treebank's arcs do the bonds of a parsed text keep, and how many bonds does a word have?

valency bench bonds --conllu en_ewt-ud-test.conllu --json data/results/bonds.json

The raw text of the treebank is parsed again; the gold parse is only what is asked for. Bonds are those of a cache:
`bonds_of` with the shipped settings but for `dependency_cap`, of the kinds `dependency` and `escape`, which are there
to keep arcs. For every cap of 1 … 24, `frontier` has

    arc_recall       share of the gold arcs, all but those to roots, whose two words are joined: by a bond of any
                     direction, by standing at most two words apart, or by being parts of one word of the parser's.
                     A gold word is whatever words of the parser's share a character with it
    bonds_per_word   pairs that are seen, each counted at both of its ends, by the parser's words. The two words before
                     and the two after are seen in every view and count: some 4 a word

`recall_at_9` and `recall_at_6`: the best recall on the frontier within that many bonds a word. Controls at the same
number of bonds a word, for each cap: `window_recall`, the nearest words instead (a window that is one wider for some
positions meets the number exactly), and `random_recall`, pairs drawn from within the window that has twelve times as
many, the two nearest words given. `all_kinds`: the same with every kind of the shipped settings. `parse_only`: the
parser's own arcs. `oracle`: the parser's arcs and just those of the gold arcs that it misses. `by_relation`,
`by_distance`: recall at the cap of `recall_at_9`. `shipped`: at the cap that ships.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bonds import BondConfig, bonds_of
from pipeline.bonds.chance import SEEN
from pipeline.fit.attachment import gold_and_parsed
from pipeline.overlap import GoldArcs, gold_arcs
from pipeline.parsers import Parser
from pipeline.records import Words

CAPS = range(1, 25)
ARC_KINDS = ("dependency", "escape")
SPREAD = 12
"""Random pairs are drawn from so many times as many near ones."""
DISTANCES = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30)
Pairs = NDArray[np.int64]


def bench_bonds(treebank: Path, parser: Parser, seed: int = 0) -> dict[str, Any]:
    """Measure on one CoNLL-U file; seed: of the random pairs. ValueError if the file is no sound treebank."""
    gold, words = gold_and_parsed(treebank, parser)
    arcs, base = gold_arcs(gold, words), BondConfig()
    chance = np.random.default_rng(seed)
    frontier, found_at = [], {}
    for cap in CAPS:
        config = replace(base, kinds=ARC_KINDS, dependency_cap=cap)
        row, found_at[cap] = _point(words, arcs, _pairs(words, config))
        frontier.append({"cap": cap, **row, **_controls(words, arcs, row["bonds_per_word"], chance)})
    every = [{"cap": cap, **kept(words, arcs, replace(base, dependency_cap=cap))} for cap in CAPS]
    at_9, at_6 = (_best(frontier, most) for most in (9.0, 6.0))
    cap = at_9["cap"] if at_9 else CAPS[-1]
    relations = [gold.relation[row].partition(":")[0] for row in arcs.gold.tolist()]
    return {
        "treebank": treebank.name,
        "parser": parser.name,
        "words": len(words),
        "gold_words": len(gold),
        "arcs": len(arcs),
        "recall_at_9": at_9["arc_recall"] if at_9 else None,
        "recall_at_6": at_6["arc_recall"] if at_6 else None,
        "frontier": frontier,
        "shipped": {"cap": base.dependency_cap, **kept(words, arcs, base)},
        "parse_only": kept(words, arcs, replace(base, kinds=("dependency",), dependency_cap=1)),
        "two_words_only": _point(words, arcs, np.empty(0, np.int64))[0],
        "oracle": _oracle(words, arcs),
        "all_kinds": every,
        "by_relation": _by(relations, found_at[cap]),
        "by_distance": _by([_bucket(one) for one in arcs.distance.tolist()], found_at[cap]),
        "at_cap": cap,
    }


def kept(words: Words, arcs: GoldArcs, config: BondConfig) -> dict[str, float]:
    """Bonds a word and recall of arcs with these settings."""
    return _point(words, arcs, _pairs(words, config))[0]


def _pairs(words: Words, config: BondConfig) -> Pairs:
    """Every bonded pair once: lower row · W + higher row, sorted."""
    bonds = bonds_of(words, config)
    query, key = bonds.query.astype(np.int64), bonds.key.astype(np.int64)
    return np.unique(np.minimum(query, key) * len(words) + np.maximum(query, key))


def _point(words: Words, arcs: GoldArcs, pairs: Pairs) -> tuple[dict[str, float], NDArray[np.bool_]]:
    """One point of the frontier, and which arcs are found."""
    size = len(words)
    far = int((pairs % size - pairs // size > SEEN).sum())
    found = arcs.found(SEEN, pairs, size)
    seen = sum(_near(words, distance) for distance in range(1, SEEN + 1))
    row = {"bonds_per_word": round(2 * (seen + far) / size, 3), "arc_recall": round(float(found.mean()), 4)}
    return row, found


def _near(words: Words, distance: int) -> int:
    """Pairs of words of one document that stand so far apart."""
    sizes = np.bincount(words.document)
    return int(np.maximum(sizes - distance, 0).sum())


def _controls(words: Words, arcs: GoldArcs, budget: float, chance: np.random.Generator) -> dict[str, float]:
    """Recall of a window and of random pairs with the same number of bonds a word."""
    size = len(words)
    wanted = round(budget * size / 2) - sum(_near(words, distance) for distance in range(1, SEEN + 1))
    window, many = _nearest_pairs(words, wanted), _nearest_pairs(words, wanted * SPREAD)
    drawn = np.sort(chance.choice(many, min(wanted, len(many)), replace=False))
    return {
        "window_recall": round(float(arcs.found(SEEN, window, size).mean()), 4),
        "random_recall": round(float(arcs.found(SEEN, drawn, size).mean()), 4),
    }


def _nearest_pairs(words: Words, count: int) -> Pairs:
    """So many pairs of words of one document, the nearest of those that are not seen anyway; evenly over the text."""
    size, parts, distance = len(words), [np.empty(0, np.int64)], SEEN + 1
    rows = np.arange(size, dtype=np.int64)
    while count > 0 and distance < size:
        lower = rows[:-distance][words.document[:-distance] == words.document[distance:]]
        if not len(lower):
            break
        chosen = lower if len(lower) <= count else lower[np.linspace(0, len(lower) - 1, count).astype(np.int64)]
        parts.append(chosen * size + chosen + distance)
        count -= len(chosen)
        distance += 1
    return np.unique(np.concatenate(parts))


def _oracle(words: Words, arcs: GoldArcs) -> dict[str, float]:
    """The parser's arcs and one pair for every gold arc that they miss: the fewest bonds for a recall of 1."""
    own = _pairs(words, BondConfig(kinds=("dependency",), dependency_cap=1))
    missed = ~arcs.found(SEEN, own, len(words))
    one, other = arcs.dependent[0][missed], arcs.head[0][missed]
    wanted = np.minimum(one, other) * len(words) + np.maximum(one, other)
    return _point(words, arcs, np.unique(np.append(own, wanted)))[0]


def _best(frontier: list[dict[str, Any]], most: float) -> dict[str, Any] | None:
    """The point of the highest recall within so many bonds a word."""
    within = [row for row in frontier if row["bonds_per_word"] <= most]
    return max(within, key=lambda row: (row["arc_recall"], -row["cap"])) if within else None


def _bucket(distance: int) -> str:
    """`3` or `6-7` or `30+`."""
    first = max(one for one in DISTANCES if one <= distance)
    after = next((one for one in DISTANCES if one > first), None)
    if after is None:
        return f"{first}+"
    return str(first) if after == first + 1 else f"{first}-{after - 1}"


def _by(groups: Iterable[str], found: NDArray[np.bool_]) -> dict[str, dict[str, float]]:
    counted: dict[str, list[bool]] = defaultdict(list)
    for group, hit in zip(groups, found.tolist(), strict=True):
        counted[group].append(hit)
    ordered = sorted(counted.items(), key=lambda item: (-len(item[1]), item[0]))
    return {group: {"arcs": len(hits), "arc_recall": round(float(np.mean(hits)), 4)} for group, hits in ordered}
