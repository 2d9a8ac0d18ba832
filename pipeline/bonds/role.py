"""Role bonds: a verb and the head word of each thematic role that VerbNet grants it (Kipper Schuler 2005).

Query = the verb, key = the head of the filler. A verb's arguments are read off the dependency tree and put back into
the places of the active sentence: a passive subject is the object, or the receiver if an object is there too ("he was
given a book"), and its `obl:agent` is the subject. Understood subjects (pipeline.bonds.clauses), every conjunct of a
filler, and the antecedent of a relative pronoun are fillers as well.

The frames of all classes of the verb compete. A frame claims the arguments whose place and preposition it has a slot
for; an argument counts if the slot's selectional restriction allows what is known of its word (nothing known, nothing
forbidden; VerbNet restricts no clause). The frame with the most counted arguments wins; among equals those of the
class that is named after the verb (want-32.1 is what "want" usually means), then the one that leaves the fewest of its
slots empty, then the first in VerbNet's table. Only the winner makes bonds, and only with arguments that count. The
rule: `give-13.1 Recipient [+animate | +organization]`.
"""

from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from lexicons.restriction import Restriction
from pipeline.bonds.arguments import Arguments, arguments_of
from pipeline.bonds.config import BondConfig
from pipeline.bonds.pairs import make_bonds, nearest, ranges, run_start
from pipeline.bonds.readings import NO_RULE, Reading, Rule, numbered_rules, readings_of
from pipeline.records import Bonds, Strings, Words, distinct


def role_bonds(words: Words, config: BondConfig) -> Bonds:
    """At most `config.role_cap` bonds a verb, the nearest fillers first. Needs annotated words.

    O(A log A) in the shard's arguments, times the few readings of each; Python once per distinct (verb, places).
    """
    arguments = arguments_of(words)
    if not len(arguments.verb):
        return make_bonds("role", arguments.verb, arguments.filler, Strings.of([]))
    grid = _grid(words, arguments)
    owner, rule = _best(grid, arguments)
    verb, filler = arguments.verb[owner], arguments.filler[owner]
    kept = nearest(verb, filler, config.role_cap)
    texts = tuple(text for text, _ in grid.rules)
    return make_bonds("role", verb[kept], filler[kept], Strings(rule[kept].astype(np.int32), texts))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grid:
    """The competing readings of every argument's verb. Letters: A arguments, V verbs, R readings, S places."""

    verb: NDArray[np.int64]
    """[A] number of the argument's verb among the verbs that have arguments."""
    place: NDArray[np.int64]
    """[A] number of the argument's place among the distinct places of its verb."""
    first: NDArray[np.int64]
    """[V] the verb's readings are first, first + 1, …"""
    stop: NDArray[np.int64]
    rule: NDArray[np.int64]
    """[R, S] position in `rules`, -1 where the reading claims nothing."""
    rules: tuple[Rule, ...]


def _grid(words: Words, arguments: Arguments) -> _Grid:
    begins = run_start(arguments.verb)
    heads = np.unique(begins)
    verb = np.searchsorted(heads, begins)
    place, signature = _signatures(verb, arguments.slot)
    row = arguments.verb[heads]
    code = words.lemma.code[row].astype(np.int64) * len(words.verb_class.values) + words.verb_class.code[row]
    _, entry = np.unique(code, return_inverse=True)  # a lemma has other classes when a particle is with it
    pattern = entry * (int(signature.max()) + 1) + signature
    _, sample, which = np.unique(pattern, return_index=True, return_inverse=True)
    ends = np.append(heads[1:], len(verb))
    place_of = {slot: arguments.place(slot) for slot in np.unique(arguments.slot).tolist()}
    slots = arguments.slot.tolist()
    found: list[tuple[Reading, ...]] = []
    for lemma, verb_class, start, end in zip(
        words.lemma.take(row[sample]).to_list(), words.verb_class.take(row[sample]).to_list(),
        heads[sample].tolist(), ends[sample].tolist(), strict=True,
    ):  # fmt: skip
        places = tuple(place_of[slot] for slot in dict.fromkeys(slots[start:end]))  # they are sorted
        found.append(readings_of(lemma, verb_class, places))
    stop = np.cumsum([len(readings) for readings in found])
    first = np.append(0, stop[:-1])
    rule, rules = _table([reading for readings in found for reading in readings], int(place.max()) + 1)
    return _Grid(verb=verb, place=place, first=first[which], stop=stop[which], rule=rule, rules=rules)


def _signatures(verb: NDArray[np.int64], slot: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """place [A]: rank of the argument's slot among its verb's distinct slots; signature [V]: equal for equal sets.

    Arguments are sorted by verb, then slot. The loop folds one slot after another into a number; it runs as often as
    the busiest verb has distinct slots.
    """
    fresh = np.ones(len(verb), dtype=bool)
    fresh[1:] = (verb[1:] != verb[:-1]) | (slot[1:] != slot[:-1])
    count = np.cumsum(fresh) - 1
    place = count - count[run_start(verb)]
    signature = np.zeros(int(verb[-1]) + 1, dtype=np.int64)
    width = int(slot.max()) + 2
    for rank in range(int(place.max()) + 1):
        at = fresh & (place == rank)
        longer = np.zeros(len(signature), dtype=np.int64)
        longer[verb[at]] = slot[at] + 1
        signature = np.unique(signature * width + longer, return_inverse=True)[1]
    return place, signature


def _table(readings: list[Reading], width: int) -> tuple[NDArray[np.int64], tuple[Rule, ...]]:
    """The readings [R, width] over the rules that they use, NO_RULE where one claims nothing or has no place."""
    table = np.full((len(readings), width), NO_RULE, dtype=np.int64)
    size = np.array([len(reading) for reading in readings], dtype=np.int64)
    row, column = ranges(np.zeros_like(size), size)
    table[row, column] = np.fromiter(chain.from_iterable(readings), np.int64, len(row))
    every = numbered_rules()
    used, number = distinct(table[table != NO_RULE], len(every))
    table[table != NO_RULE] = number
    return table, tuple(every[one] for one in used.tolist())


def _best(grid: _Grid, arguments: Arguments) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(argument, rule), int64 [E]: what the best reading of each verb allows."""
    owner, reading = ranges(grid.first[grid.verb], grid.stop[grid.verb])
    rule = grid.rule[reading, grid.place[owner]]
    bits, code = np.unique(arguments.features, return_inverse=True)
    allowed = np.ones((max(len(grid.rules), 1), len(bits)), dtype=bool)
    verdicts: dict[Restriction, NDArray[np.bool_]] = {}  # a thousand rules have some sixty restrictions
    for number, (_, restriction) in enumerate(grid.rules):
        if restriction:
            if restriction not in verdicts:
                verdicts[restriction] = restriction.allows(bits)
            allowed[number] = verdicts[restriction]
    counts = (rule >= 0) & allowed[rule, code[owner]]
    # One cell for each verb and reading; `cell` says where a verb's cells begin.
    size = grid.stop - grid.first
    cell = np.cumsum(size) - size
    at = cell[grid.verb[owner]] + reading - grid.first[grid.verb[owner]]
    score = np.bincount(at[counts], minlength=int(size.sum()))
    rank = np.arange(len(score)) - np.repeat(cell, size)
    worth = score * (int(size.max(initial=0)) + 1) - rank  # most counted first, then the order of the readings
    best = np.full(len(size), -1, dtype=np.int64)
    some = size > 0
    if some.any():
        best[some] = np.maximum.reduceat(worth, cell[some])
    won = counts & (worth[at] == best[grid.verb[owner]])
    return owner[won], rule[won]
