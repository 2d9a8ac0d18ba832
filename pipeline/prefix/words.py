"""Where words begin and end, over a block of characters: `rules.WordRules` for arrays."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.prefix.characters import APOSTROPHE, DIGIT, LETTER, LOWER, NEWLINE, UPPER
from pipeline.prefix.late import DOT, HYPHEN, Begins, find_late, waits_in_number
from pipeline.prefix.rules import PAIRS, RUN
from pipeline.prefix.state import WORD_CHARACTERS, PrefixState
from pipeline.prefix.tables import holds
from pipeline.prefix.text import Flags, Places, Text, before, latest

AT, LESS, MORE, AND = (ord(char) for char in "@<>&")
AT_MARKS, EYES, MOUTHS = (np.array([ord(char) for char in chars], dtype=np.int32) for chars in ("-,.", ":;", "()"))
PAIR_CODES = np.array([ord(pair[0]) << 32 | ord(pair[1]) for pair in PAIRS], dtype=np.int64)
AFTER_DOT = np.array([ord(pair[1]) for pair in PAIRS if pair[0] == "."], dtype=np.int32)


@dataclass(frozen=True, slots=True)
class WordPlaces:
    """Words of a block, by places in its Text [n]."""

    inside: Flags
    """[n] whether the character belongs to a word."""
    begins: Flags
    """[n] whether it is the first of one."""
    joined: Flags
    """[n] whether `WordRules.joins` lets it go on with the word before (marks that wait, and cuts, aside)."""
    begin: Places
    """[k] where words begin; the first lies in the tail if the state brought an open word, and so may the second if the
    block's first character tells of it."""
    known: Places
    """[k] the character that tells that the word begins: its first, or one a little later."""
    end: Places
    """[k, or k - 1 if the last word is open] the place after the last character of each."""
    begun: NDArray[np.int64]
    """[n] words known to have begun when each character is read, counted from the document's begin."""
    first_tags: dict[int, int]
    """Full tags of words that are cut by a list, by where the next one begins."""
    told: Flags
    """[n] whether the character tells of a word that begins."""


def find_words(text: Text, state: PrefixState) -> WordPlaces:
    """The words of a block. O(characters)."""
    inside, joined = text.kind > NEWLINE, _joined(text)
    flags = inside & ~joined
    flags[: text.tail] = False  # in the tail, only the open word counts
    if state.word:
        flags[text.tail - state.word] = True
    begins = Begins(text, joined, flags, {}, {}, text.tail - state.word)
    find_late(begins)
    late = np.array(sorted(place for place in begins.known if flags[place]), dtype=np.int64)
    told = np.array([begins.known[place] for place in late.tolist()], dtype=np.int64)
    last = latest(flags)
    length = np.arange(len(flags)) - last
    # A mark that waits where a long word is cut begins one in any case.
    told = np.where((late >= text.tail) & ((late - last[late - 1]) % WORD_CHARACTERS == 0), late, told)
    cut = inside & (length > 0) & (length % WORD_CHARACTERS == 0)
    cut[: text.tail] = False
    before_cut = flags.copy()
    flags |= cut
    closes = before(inside, 1) & (~inside | flags)
    closes[: text.tail] = False
    closes[late[late < text.tail]] = True
    count = flags.astype(np.int64)
    np.subtract.at(count, late, 1)
    np.add.at(count, told, 1)
    begin = np.flatnonzero(flags)
    known = begin.copy()
    known[np.searchsorted(begin, late)] = told
    begun = np.cumsum(count) + (state.words - (state.word > 0))
    first_tags = {place: tag for place, tag in begins.first_tags.items() if before_cut[place]}
    return WordPlaces(inside, flags, joined, begin, known, np.flatnonzero(closes), begun, first_tags, count > 0)


def _joined(text: Text) -> Flags:
    """bool [n]: the rules in the order of the definition; `_1`, `_2`: so many characters before."""
    code, kind, alphanumeric = text.code, text.kind, text.alphanumeric
    code_1, kind_1 = before(code, 1), before(kind, 1)
    letter = (kind >= LOWER) & (kind <= LETTER)
    period, bound = _takes_period(text), _binds(text)
    joined = alphanumeric & before(alphanumeric, 1)
    joined |= (code == code_1) & (kind > NEWLINE)
    joined |= period | bound
    joined |= alphanumeric & before(bound, 1)
    # The other rules concern few characters: only those are looked at.
    for concerned, rule in (
        ((kind > DIGIT) & (kind_1 > DIGIT), _pairs),
        (letter & (kind_1 == APOSTROPHE), _after_apostrophe),
        ((kind == DIGIT) & (kind_1 > DIGIT), _after_number),
        (letter & (code_1 == DOT), _after_period),
        (letter & (code_1 == LESS), _in_angle),
        (code == MORE, closes_angle),
        ((code_1 == AT) | (code == AT), _at_sign),
        ((code_1 == AND) | (code == AND), _and_sign),
    ):
        place = np.flatnonzero(concerned)
        joined[place[rule(text, place)]] = True
    # These two ask of the period before whether it belongs to an abbreviation.
    place = np.flatnonzero(letter & before(period, 1))
    joined[place[~text.at(alphanumeric, place - 3)]] = True
    place = np.flatnonzero((code_1 == DOT) & before(period, 1) & np.isin(code, AFTER_DOT))
    joined[place] = False
    return joined


def _binds(text: Text) -> Flags:
    """bool [n]: hyphens that stay in the word before them."""
    place = np.flatnonzero(text.code == HYPHEN)
    place = place[text.alphanumeric[place - 1]]
    run = text.run_begin[place - 1]
    bound = np.zeros(len(text.code), dtype=bool)
    bound[place[(place - run <= RUN) & holds(text.tables.bound_key, text.keys(run, place))]] = True
    return bound


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


def _pairs(text: Text, place: Places) -> Flags:
    one, two, code = text.code[place - 1], text.at(text.code, place - 2), text.code[place]
    pair = np.isin((one.astype(np.int64) << 32) | code, PAIR_CODES) & ((one != DOT) | (two != DOT))
    face: Flags = np.isin(two, EYES) & (one == HYPHEN) & np.isin(code, MOUTHS)
    joined: Flags = pair | face
    return joined


def _after_apostrophe(text: Text, place: Places) -> Flags:
    kind_2 = text.at(text.kind, place - 2)
    small = (text.kind[place] == LOWER) & (kind_2 != APOSTROPHE)
    joined: Flags = ((kind_2 >= LOWER) & (kind_2 <= DIGIT)) | small
    return joined


def _after_number(text: Text, place: Places) -> Flags:
    mark, kind_2 = text.code[place - 1], text.at(text.kind, place - 2)
    joined: Flags = waits_in_number(text, place - 1) | ((mark == DOT) & (kind_2 <= NEWLINE))
    return joined


def _after_period(text: Text, place: Places) -> Flags:
    joined: Flags = (text.kind[place] == LOWER) & (text.at(text.kind, place - 2) <= DIGIT)
    return joined


def _in_angle(text: Text, place: Places) -> Flags:
    joined: Flags = (text.at(text.kind, place - 2) <= NEWLINE) & ((text.code[place] | 0x20) == ord("u"))
    return joined


def closes_angle(text: Text, place: Places) -> Flags:
    run = text.run_begin[place - 1]
    inside = text.alphanumeric[place - 1] & (place - run <= RUN)
    joined: Flags = inside & (text.at(text.code, run - 1) == LESS) & (text.at(text.kind, run - 2) <= NEWLINE)
    return joined


def _at_sign(text: Text, place: Places) -> Flags:
    code, code_1, code_2 = text.code[place], text.code[place - 1], text.at(text.code, place - 2)
    kind_2, kind_3 = text.at(text.kind, place - 2), text.at(text.kind, place - 3)
    opens = (code_1 == AT) & np.isin(code, AT_MARKS) & (kind_2 <= NEWLINE)
    closes = (code == AT) & np.isin(code_1, AT_MARKS) & (code_2 == AT) & (kind_3 <= NEWLINE)
    joined: Flags = opens | closes | ((code == AT) & text.alphanumeric[place - 1])
    return joined


def _and_sign(text: Text, place: Places) -> Flags:
    one, two = text.kind[place - 1], text.at(text.kind, place - 2)
    after = (text.code[place - 1] == AND) & (text.kind[place] == UPPER) & (two == UPPER)
    joined: Flags = after | ((text.code[place] == AND) & (one == UPPER))
    return joined
