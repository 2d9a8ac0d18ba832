"""A count model of the next piece: how much does an attribute of a piece tell of the piece that follows?

Transparent on purpose: all it knows are four tables of counts over pairs (context, next piece), where the context is
nothing, the piece x, its attribute a, or both. Each table is smoothed towards a wider one as Witten and Bell (1991) do,

    P(y | c) = (count(c, y) + s kinds(c) back(y)) / (count(c) + s kinds(c)),

with kinds(c) the number of distinct pieces seen after c; a context never seen says what `back` says. P(y) backs off to
the uniform distribution, P(y | x) and P(y | a) to P(y), and P(y | x, a) to w P(y | x) + (1 - w) P(y | a). Each strength
s, and w, are those of GRID and WEIGHTS that fit best on the last tenth of the places to fit, counted on the others;
then all are counted. Letters: M places.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import log

import numpy as np
from numpy.typing import NDArray

GRID = tuple(2.0**power for power in range(-3, 7))
"""Strengths tried: from trusting two sightings to trusting hundreds."""
WEIGHTS = tuple(tenth / 10 for tenth in range(11))
"""Weights tried, of what the piece says against what the attribute says."""

Numbers = NDArray[np.int64]
Odds = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Places of documents that have a next piece, each an entry of parallel int64 arrays [M]."""

    piece: Numbers
    attribute: Numbers
    """A class of a small number of classes, from 0."""
    target: Numbers
    """The next piece of the same document."""

    def __len__(self) -> int:
        return len(self.piece)

    def __getitem__(self, part: slice) -> "Places":
        return Places(piece=self.piece[part], attribute=self.attribute[part], target=self.target[part])

    def without(self) -> "Places":
        """The same places with nothing told: one class for all, so that the probe itself stays the same."""
        return replace(self, attribute=np.zeros_like(self.attribute))


def probe_nats(fit: Places, held: Places) -> float:
    """Mean nats a piece of the probe on held-out places. O(M log M).

    Errors: ValueError if there are too few places: 10 to fit, 1 to score.
    """
    cut = _cut(fit, held)
    vocabulary = 1 + int(max(each.max() for part in (fit, held) for each in (part.piece, part.target)))
    counted, tuned = fit[:cut], fit[cut:]

    def level(context: Callable[[Places], Numbers]) -> tuple["_Found", "_Found"]:
        """What the counts say of the places to tune on, and, counted on all, of those held out."""
        return (
            _look(context(counted), counted.target, context(tuned), tuned.target, vocabulary),
            _look(context(fit), fit.target, context(held), held.target, vocabulary),
        )

    nothing = level(lambda part: np.zeros_like(part.piece))
    uniform = (np.full(len(tuned), 1 / vocabulary), np.full(len(held), 1 / vocabulary))
    unigram = _smoothed(nothing, uniform)
    by_piece = _smoothed(level(lambda part: part.piece), unigram)
    by_attribute = _smoothed(level(lambda part: part.attribute), unigram)
    both = level(lambda part: part.attribute * vocabulary + part.piece)
    mixtures = (
        _smoothed(both, tuple(w * x + (1 - w) * a for x, a in zip(by_piece, by_attribute, strict=True)))
        for w in WEIGHTS
    )
    return _nats(min(mixtures, key=lambda odds: _nats(odds[0]))[1])


def _cut(fit: Places, held: Places) -> int:
    if len(fit) < 10 or not len(held):
        raise ValueError(f"{len(fit)} places to fit and {len(held)} to score a probe; give at least 10 and 1")
    return len(fit) * 9 // 10


@dataclass(frozen=True, slots=True)
class _Found:
    """Of each place [M]: how often its target followed its context, and of that context how often it was seen and how
    many kinds of pieces followed it."""

    count: Numbers
    total: Numbers
    kinds: Numbers

    def odds(self, strength: float, back: Odds) -> Odds:
        pull = strength * self.kinds
        return np.where(self.total > 0, (self.count + pull * back) / np.maximum(self.total + pull, 1), back)


def _look(context: Numbers, target: Numbers, asked: Numbers, asked_target: Numbers, vocabulary: int) -> _Found:
    """Count the pairs (context, target), and look the pairs asked for up."""
    pair, count = np.unique(context * vocabulary + target, return_counts=True)
    known, first = np.unique(pair // vocabulary, return_index=True)
    kinds, total = np.diff(np.append(first, len(pair))), np.add.reduceat(count, first)

    def of(keys: Numbers, values: Numbers, wanted: Numbers) -> Numbers:
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where(keys[place] == wanted, values[place], 0)

    return _Found(of(pair, count, asked * vocabulary + asked_target), of(known, total, asked), of(known, kinds, asked))


def _smoothed(found: tuple[_Found, _Found], back: tuple[Odds, ...]) -> tuple[Odds, Odds]:
    """Odds of the targets to tune on and of those held out, at the strength that suits the former best."""
    tuned, held = found
    strength = min(GRID, key=lambda strength: _nats(tuned.odds(strength, back[0])))
    return tuned.odds(strength, back[0]), held.odds(strength, back[1])


def _nats(odds: Odds) -> float:
    return float(-np.log(odds).mean())


Row = tuple[int, int, int]
"""Piece, attribute and next piece of a place."""

TABLES: dict[str, tuple[Callable[[int, int], tuple[int, ...]], str]] = {
    "nothing": (lambda _x, _a: (), "uniform"),
    "piece": (lambda x, _a: (x,), "nothing"),
    "attribute": (lambda _x, a: (a,), "nothing"),
    "both": (lambda x, a: (x, a), "mixture"),
}
"""Context of each table of counts, and what it backs off to."""


def probe_nats_slow(fit: Places, held: Places) -> float:
    """The slow twin of `probe_nats`: dictionaries and loops, straight from the formula."""
    cut = _cut(fit, held)
    rows, asked = rows_of(fit), rows_of(held)
    settings = {"vocabulary": float(1 + max(max(x, y) for x, _, y in [*rows, *asked]))}
    counted, tuned = count_slow(rows[:cut]), rows[cut:]

    def best(table: str, choices: list[dict[str, float]]) -> dict[str, float]:
        return min(choices, key=lambda choice: _nats_slow(table, tuned, counted, {**settings, **choice}))

    for table in ("nothing", "piece", "attribute"):
        settings |= best(table, [{table: strength} for strength in GRID])
    settings |= best("both", [{"weight": weight, "both": strength} for weight in WEIGHTS for strength in GRID])
    return _nats_slow("both", asked, count_slow(rows), settings)


def odds_slow(table: str, row: Row, counted: Mapping[Hashable, Counter[int]], settings: Mapping[str, float]) -> float:
    """What one table says of one place."""
    x, a, y = row
    if table == "uniform":
        return 1 / settings["vocabulary"]
    if table == "mixture":
        says_x, says_a = (odds_slow(part, row, counted, settings) for part in ("piece", "attribute"))
        return settings["weight"] * says_x + (1 - settings["weight"]) * says_a
    context, back = TABLES[table]
    followers, less = counted.get((table, context(x, a)), Counter()), odds_slow(back, row, counted, settings)
    pull = settings[table] * len(followers)
    return (followers[y] + pull * less) / (followers.total() + pull) if followers else less


def _nats_slow(
    table: str, rows: Sequence[Row], counted: Mapping[Hashable, Counter[int]], settings: Mapping[str, float]
) -> float:
    return -sum(log(odds_slow(table, row, counted, settings)) for row in rows) / len(rows)


def count_slow(rows: Sequence[Row]) -> dict[Hashable, Counter[int]]:
    """Followers by table and context."""
    counted: dict[Hashable, Counter[int]] = defaultdict(Counter)
    for x, a, y in rows:
        for table, (context, _) in TABLES.items():
            counted[table, context(x, a)][y] += 1
    return counted


def rows_of(places: Places) -> list[Row]:
    return list(zip(places.piece.tolist(), places.attribute.tolist(), places.target.tolist(), strict=True))
