"""What is known of words only later, over a block of characters: `rules.WordRules.waits` and `cut` for arrays.

Few characters are concerned, so each rule looks at the places that may meet it. `Begins` holds what has been found; the
rules are applied in an order in which none needs what a later one finds.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.prefix.characters import APOSTROPHE, DIGIT, LETTER, LOWER
from pipeline.prefix.rules import (
    ADDRESS,
    ADDRESS_WAITS,
    CLITICS,
    ENDINGS,
    NUMBER_WAITS,
    RUN,
    SCHEMES,
    UNIT,
)
from pipeline.prefix.state import WORD_CHARACTERS
from pipeline.prefix.tables import ANY, MISSING, find, holds, key_of
from pipeline.prefix.text import Flags, Places, Text, latest


def _codes(chars: str) -> NDArray[np.int32]:
    return np.array([ord(char) for char in chars], dtype=np.int32)


def _keys(texts: frozenset[str] | tuple[str, ...]) -> NDArray[np.int64]:
    return np.sort(np.array([key_of(text, ANY) for text in texts], dtype=np.int64))


NUMBER_MARKS, ADDRESS_MARKS, ADDRESS_CODES = _codes(NUMBER_WAITS), _codes(ADDRESS_WAITS), _codes(ADDRESS)
CLITIC_KEYS, SCHEME_KEYS, WWW_KEYS = _keys(CLITICS), _keys(SCHEMES), _keys(("www",))
ENDING_CODES = np.array(sorted({ord(ending[0]) << 8 | ord(ending[1]) for ending in ENDINGS}), dtype=np.int32)
HYPHEN, COLON, DOT, AT = (ord(char) for char in "-:.@")


@dataclass(slots=True)
class Begins:
    """Where words begin, while it is being found [n]."""

    text: Text
    joined: Flags
    """By `WordRules.joins`."""
    flags: Flags
    """Where words begin; in the tail only the open word and those that the block tells."""
    known: dict[int, int]
    """For words that are known late: the place of the character that tells, by where they begin."""
    first_tags: dict[int, int]
    """Full tags of words that the list cuts, by where the second begins."""
    open_begin: int
    """Where the open word begins that the state brought; the tail's end if there is none."""

    def at_run(self, run: Places) -> Flags:
        """Do the runs of letters that begin here begin words, by the rules (`WordRules._begins_with`)?"""
        found: Flags = self.flags[run] & (~self.joined[run] | self.quoted(run))
        return found

    def quoted(self, place: Places) -> Flags:
        """Stands an apostrophe before it that may be a quotation mark (`WordRules._may_quote`)?"""
        text, mark = self.text, np.maximum(place - 1, 0)
        two = text.at(text.kind, place - 2)
        alphanumeric = (two >= LOWER) & (two <= DIGIT)
        found: Flags = (text.kind[mark] == APOSTROPHE) & ~alphanumeric & (two != APOSTROPHE) & ~self.joined[mark]
        return found

    def add(self, begin: Places, told: Places) -> None:
        self.flags[begin] = True
        self.known.update(zip(begin.tolist(), told.tolist(), strict=True))


def find_late(begins: Begins) -> None:
    """Settle marks that wait, and cut words, from the places that the rules of `joins` leave. O(characters)."""
    _settle_numbers(begins)
    _cut_quotes(begins)
    cuts = np.concatenate([_contractions(begins), _units(begins)])
    at_mark = cuts[begins.flags[cuts[:, 2]] & (cuts[:, 1] < cuts[:, 2]), 2]  # the apostrophe of `don'` begins no word
    begins.flags[at_mark] = False
    begins.add(cuts[:, 1], cuts[:, 2])
    _join_addresses(begins, cuts, at_mark)


def waits_in_number(text: Text, place: Places) -> Flags:
    """Do these characters wait after a digit, a hyphen after exactly three (`WordRules._waits_in_number`)?"""
    one, two, three, four = (text.at(text.kind, place - steps) == DIGIT for steps in range(1, 5))
    mark = text.code[place]
    waits: Flags = one & (np.isin(mark, NUMBER_MARKS) | ((mark == HYPHEN) & two & three & ~four))
    return waits


def _settle_numbers(begins: Begins) -> None:
    text, code, kind = begins.text, begins.text.code, begins.text.kind
    digit = kind == DIGIT
    place = np.flatnonzero(digit[:-1] & (kind[1:] > DIGIT)) + 1
    waits = waits_in_number(text, place)
    place = place[waits & ~begins.joined[place] & (place >= max(text.tail - 1, begins.open_begin + 1))]
    last = place == len(code) - 1
    stays = last | digit[np.where(last, 0, place + 1)]
    begins.flags[place[stays]] = False
    begins.add(place[~stays], place[~stays] + 1)


def _cut_quotes(begins: Begins) -> None:
    """`'such`: a quotation mark before a word, once that reads like no `'s` or `'tis`."""
    text = begins.text
    first = np.flatnonzero((text.kind[:-1] == APOSTROPHE) & begins.flags[:-1] & (text.kind[1:] == LOWER)) + 1
    first = first[begins.quoted(first)]
    for length in range(1, max(map(len, CLITICS)) + 2):
        end = first + length
        inside = (end <= len(text.code)) & (text.run_begin[np.minimum(end, len(text.code)) - 1] == first)
        first, end = first[inside], end[inside]
        first, end = first[text.alphanumeric[end - 1]], end[text.alphanumeric[end - 1]]
        clitic = holds(CLITIC_KEYS, text.keys(first, end))
        told = ~clitic & (end > text.tail)  # one that the tail could tell of has been told, or was no quotation mark
        begins.add(first[told], end[told] - 1)
        first = first[clitic]


def _contractions(begins: Begins) -> Places:
    """int64 [k, 3]: run, begin of the second word and place that tells, of words that the list cuts."""
    text, code = begins.text, begins.text.code
    marks = np.flatnonzero((text.kind[1:] == APOSTROPHE) & text.alphanumeric[:-1]) + 1
    low = code | 0x20
    ending = np.zeros(len(code), dtype=bool)
    for pair in ENDING_CODES.tolist():
        ending[1:] |= (low[1:] == (pair & 0xFF)) & (low[:-1] == (pair >> 8))
    letters = np.flatnonzero(ending & text.alphanumeric)
    told = np.sort(np.concatenate([marks, letters]))
    told = told[(told >= text.tail) & text.alphanumeric[told - 1]]
    run = text.run_begin[told - 1]
    short = (told - run < RUN) & begins.flags[run]
    run, told = run[short], told[short]
    size = find(text.tables.cut_key, text.tables.cut_size, text.keys(run, told + 1))
    found = (size != MISSING) & begins.at_run(run)
    run, told, size = run[found], told[found], size[found]
    late = np.array([begins.known.get(place, -1) for place in run.tolist()], dtype=np.int64)
    run, told, size = run[late < told], told[late < told], size[late < told]
    run, first = np.unique(run, return_index=True)
    tag = find(text.tables.cut_key, text.tables.cut_tag, text.keys(run, told[first] + 1))
    begins.first_tags.update(zip((run + size[first]).tolist(), tag.tolist(), strict=True))
    return np.stack([run, run + size[first], told[first]], axis=1)


def _units(begins: Begins) -> Places:
    """int64 [k, 3]: the same of numbers that a unit follows."""
    text, kind = begins.text, begins.text.kind
    letter = (kind >= LOWER) & (kind <= LETTER)
    unit = np.flatnonzero(letter[1:] & (kind[:-1] == DIGIT)) + 1
    word = latest(begins.flags)[unit - 1]
    number = begins.flags[word] & (kind[word] == DIGIT) & ~begins.joined[word] & (text.count("letter", word, unit) == 0)
    unit, word = unit[number], word[number]
    found = [np.empty((0, 3), dtype=np.int64)]
    for told in range(UNIT):  # so many letters on
        inside = unit + told < len(kind)
        unit, word = unit[inside], word[inside]
        inside = letter[unit + told] & (unit + told - word <= RUN)
        unit, word = unit[inside], word[inside]
        known = holds(text.tables.unit_key, text.keys(unit, unit + told + 1))
        hit = known & (unit + told >= text.tail)
        found.append(np.stack([word[hit], unit[hit], unit[hit] + told], axis=1))
        unit, word = unit[~known], word[~known]
    return np.concatenate(found)


def _join_addresses(begins: Begins, cuts: Places, at_mark: Places) -> None:
    """Addresses, from the mark that tells one to the first character that does not go on with it."""
    text, code = begins.text, begins.text.code
    start = _address_starts(begins)
    if len(start) == 0:
        return
    goes_on = begins.joined | text.alphanumeric | np.isin(code, ADDRESS_CODES)
    mark = np.isin(code, ADDRESS_MARKS) & ~goes_on
    follows = text.alphanumeric | np.isin(code, ADDRESS_CODES)
    goes_on[:-1] |= mark[:-1] & follows[1:]
    goes_on[-1] |= mark[-1]
    ends = np.append(np.flatnonzero(~goes_on), len(code))
    begin_of = latest(begins.flags)
    inside, limit = np.zeros(len(code), dtype=bool), 0
    for place, end in zip(start.tolist(), ends[np.searchsorted(ends, start)].tolist(), strict=True):
        begin = max(limit, int(begin_of[place - 1]))
        begin += (place - begin) // WORD_CHARACTERS * WORD_CHARACTERS
        if place < limit or place == begin:  # part of the one before; or a long word has been cut here
            continue
        limit = min(end, begin + WORD_CHARACTERS)
        inside[place:limit] = True
        if limit == end < len(code) and mark[end] and end - begin < WORD_CHARACTERS and end >= text.tail - 1:
            begins.add(np.array([end]), np.array([end + 1]))
    dropped = cuts[inside[cuts[:, 0]] | inside[cuts[:, 2]]]
    begins.flags[dropped[:, 1]] = False
    begins.flags[at_mark[np.isin(at_mark, dropped[:, 2])]] = True
    inside[: text.tail - 1] = False
    begins.flags[inside] = False


def _address_starts(begins: Begins) -> Places:
    text, code = begins.text, begins.text.code
    place = np.flatnonzero((code == AT) | (code == COLON) | (code == DOT))
    place = place[text.alphanumeric[place - 1] & (place > begins.open_begin)]
    run = text.run_begin[place - 1]
    key = text.keys(run, place)
    scheme = (code[place] == COLON) & holds(SCHEME_KEYS, key)
    site = (code[place] == DOT) & holds(WWW_KEYS, key)
    first = (scheme | site) & begins.at_run(run) & ~begins.joined[place]
    late = np.array([begins.known.get(place, -1) for place in run[first].tolist()], dtype=np.int64)
    first[first] = late < place[first]
    starts: Places = place[first | (code[place] == AT)]
    return starts
