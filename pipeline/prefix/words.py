"""Where words begin and end, over a block of characters: `prefix_step.Stepper.joins` for arrays."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.prefix.characters import APOSTROPHE, DIGIT, LETTER, LOWER, NEWLINE
from pipeline.prefix.state import WORD_CHARACTERS, PrefixState
from pipeline.prefix.step import RUN
from pipeline.prefix.tables import holds
from pipeline.prefix.text import Flags, Places, Text, before, latest

AT, LESS, MORE, DOT = (ord(char) for char in "@<>.")
AT_MARKS, NUMBER_MARKS = (np.array([ord(char) for char in chars], dtype=np.int32) for chars in ("-,.", ".,:"))


@dataclass(frozen=True, slots=True)
class WordPlaces:
    """Words of a block, by places in its Text [n]."""

    inside: Flags
    """[n] whether the character belongs to a word."""
    begins: Flags
    """[n] whether it is the first of one."""
    joined: Flags
    """[n] whether the rules let it go on with the word before (cuts of long words aside)."""
    begin: Places
    """[k] where words begin; the first lies in the tail if the state brought an open word."""
    end: Places
    """[k, or k - 1 if the last word is open] the character that closed each."""
    begun: NDArray[np.int64]
    """[n] words begun up to each character, counted from the document's begin."""


def find_words(text: Text, state: PrefixState) -> WordPlaces:
    """The words of a block. O(characters)."""
    inside = text.kind > NEWLINE
    joined = _joined(text)
    begins = inside & ~joined
    begins[: text.tail] = False  # in the tail, only the open word counts
    if state.word:
        begins[text.tail - state.word] = True
    length = np.arange(len(begins)) - latest(begins)
    cut = inside & (length > 0) & (length % WORD_CHARACTERS == 0)
    cut[: text.tail] = False
    begins |= cut
    closes = before(inside, 1) & (~inside | begins)
    closes[: text.tail] = False
    begun = np.cumsum(begins) + (state.words - (state.word > 0))
    return WordPlaces(inside, begins, joined, np.flatnonzero(begins), np.flatnonzero(closes), begun)


def _joined(text: Text) -> Flags:
    """bool [n]: the rules in the order of the definition; `_1`, `_2`: so many characters before."""
    code, kind, alphanumeric = text.code, text.kind, text.alphanumeric
    code_1, kind_1 = before(code, 1), before(kind, 1)
    letter = (kind >= LOWER) & (kind <= LETTER)
    period = _takes_period(text)
    joined = alphanumeric & before(alphanumeric, 1)
    joined |= (code == code_1) & (kind > NEWLINE)
    joined |= period
    joined |= letter & (kind_1 == APOSTROPHE) & (before(alphanumeric, 2) | (kind == LOWER))
    # The other rules concern few characters: only those are looked at.
    for concerned, rule in (
        ((kind == DIGIT) & (kind_1 > DIGIT), _after_number),
        (letter & before(period, 1), _after_initial),
        (letter & (code_1 == LESS), _in_angle),
        (code == MORE, _closes_angle),
        ((code_1 == AT) | (code == AT), _at_sign),
    ):
        place = np.flatnonzero(concerned)
        joined[place[rule(text, place)]] = True
    return joined


def _takes_period(text: Text) -> Flags:
    """bool [n]: periods that belong to the initial or abbreviation before them."""
    place = np.flatnonzero(text.code == DOT)  # never 0, which is a break
    place = place[text.alphanumeric[place - 1]]
    run = text.run_begin[place - 1]
    length = place - run
    may = (length <= RUN) & (text.count("digit", run, place) == 0) & (text.kind[run - 1] != APOSTROPHE)
    known = holds(text.tables.abbreviation_key, text.keys(run, place))
    taken = np.zeros(len(text.code), dtype=bool)
    taken[place[may & np.where(length == 1, text.code[run] != ord("I"), known)]] = True
    return taken


def _after_number(text: Text, place: Places) -> Flags:
    mark, kind_2 = text.code[place - 1], text.at(text.kind, place - 2)
    joined: Flags = (np.isin(mark, NUMBER_MARKS) & (kind_2 == DIGIT)) | ((mark == DOT) & (kind_2 <= NEWLINE))
    return joined


def _after_initial(text: Text, place: Places) -> Flags:
    return ~text.at(text.alphanumeric, place - 3)


def _in_angle(text: Text, place: Places) -> Flags:
    return text.at(text.kind, place - 2) <= NEWLINE


def _closes_angle(text: Text, place: Places) -> Flags:
    run = text.run_begin[place - 1]
    inside = text.alphanumeric[place - 1] & (place - run <= RUN)
    joined: Flags = inside & (text.at(text.code, run - 1) == LESS) & (text.at(text.kind, run - 2) <= NEWLINE)
    return joined


def _at_sign(text: Text, place: Places) -> Flags:
    code, code_1, code_2 = text.code[place], text.code[place - 1], text.at(text.code, place - 2)
    kind_2, kind_3 = text.at(text.kind, place - 2), text.at(text.kind, place - 3)
    opens = (code_1 == AT) & np.isin(code, AT_MARKS) & (kind_2 <= NEWLINE)
    joined: Flags = opens | ((code == AT) & np.isin(code_1, AT_MARKS) & (code_2 == AT) & (kind_3 <= NEWLINE))
    return joined
