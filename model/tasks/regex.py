"""Fuzzy regular expression: does a word match the pattern that the sequence began with, one mistake allowed?

A pattern has five elements, letters or `.` (any letter), and one of the letters has a `?` behind it: it may be missing.
A mistake is a letter too many, one too few, or another one (as agrep counts them, Wu and Manber 1992). The pattern
stands at the beginning alone, so every word is compared with something ever further back.
"""

import numpy as np

from model.batches import NO_TARGET
from model.tasks.base import Ints, Sequence, Task, blank

LETTERS, ELEMENTS, MISTAKES = 12, 5, 1
ANY, MAYBE, BEGIN, ASK, NO, YES, NOISE = range(LETTERS, LETTERS + 7)
PATTERN = ELEMENTS + 2
"""Pieces of a pattern with its `?` and what begins the words."""

Pattern = list[tuple[int, bool]]
"""Letter or ANY, and whether it may be missing."""


def make(length: int, random: np.random.Generator) -> Sequence:
    ids, targets = blank(length)
    elements = random.integers(LETTERS, size=ELEMENTS)
    maybe, anything = random.permutation(ELEMENTS)[:2]
    elements[anything] = ANY
    pattern = [(int(element), place == maybe) for place, element in enumerate(elements)]
    said = [piece for element, may in pattern for piece in ([element, MAYBE] if may else [element])] + [BEGIN]
    ids[:] = NOISE
    ids[:PATTERN], place = said, PATTERN
    while True:
        word, right = _word(pattern, random)
        if place + len(word) + 1 > length:
            break
        ids[place : place + len(word)] = word
        place += len(word) + 1
        ids[place - 1], targets[place - 1] = ASK, YES if right else NO
    return Sequence(ids, targets)


def _word(pattern: Pattern, random: np.random.Generator) -> tuple[list[int], bool]:
    """A word with its answer; as many match as do not."""
    wanted = bool(random.integers(2))
    while True:
        word = [
            int(random.integers(LETTERS)) if letter == ANY else letter
            for letter, may in pattern
            if not may or random.integers(2)
        ]
        for _ in range(random.integers(MISTAKES + 1) if wanted else random.integers(MISTAKES + 1, MISTAKES + 4)):
            at, kind = int(random.integers(len(word))), random.integers(3)
            if kind == 0 and len(word) > 1:
                del word[at]
            else:
                word[at : at + int(kind == 1)] = [int(random.integers(LETTERS))]
        if (mistakes(pattern, word) <= MISTAKES) == wanted:
            return word, wanted


def mistakes(pattern: Pattern, word: list[int]) -> int:
    """The fewest that turn some text of the pattern into the word, by the table of Wagner and Fischer 1974."""
    row = list(range(len(word) + 1))
    for letter, may in pattern:
        before, row = row, [row[0] + (not may)]
        for at, read in enumerate(word):
            other = before[at] + (letter not in (ANY, read))
            row.append(min(other, before[at + 1] + (not may), row[at] + 1))
    return row[-1]


def answer(ids: Ints) -> Ints:
    """Runs each word through the pattern as an automaton, whose states are (elements done, mistakes made)."""
    targets = blank(len(ids)).targets
    pattern = Pattern()
    for piece in ids[: PATTERN - 1].tolist():
        pattern = [*pattern[:-1], (pattern[-1][0], True)] if piece == MAYBE else [*pattern, (piece, False)]
    states = _without_reading(pattern, {(0, 0)})
    for place, piece in enumerate(ids.tolist()):
        if piece == ASK:
            targets[place] = YES if any(done == len(pattern) for done, _ in states) else NO
        if piece == ASK or place < PATTERN:
            states = _without_reading(pattern, {(0, 0)})
        elif piece != NOISE:
            read = {(done, made + 1) for done, made in states}  # a letter too many
            for done, made in states:
                if done < len(pattern):
                    read.add((done + 1, made + (pattern[done][0] not in (ANY, piece))))
            states = _without_reading(pattern, {state for state in read if state[1] <= MISTAKES})
    assert (targets[ids != ASK] == NO_TARGET).all()
    return targets


def _without_reading(pattern: Pattern, states: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """All states that skipping elements leads to: those with `?` for nothing, the others for a mistake."""
    found, fresh = set(states), set(states)
    while fresh:
        skipped = {(done + 1, made + (not pattern[done][1])) for done, made in fresh if done < len(pattern)}
        fresh = {state for state in skipped if state[1] <= MISTAKES} - found
        found |= fresh
    return found


FUZZY_REGEX = Task(
    says="whether the word matches the pattern at the beginning with at most one mistake",
    vocabulary=LETTERS + 7,
    shortest=PATTERN + ELEMENTS + MISTAKES + 6,  # so that any word fits
    chance=0.5,
    make=make,
    answer=answer,
)
