"""Which characters go on with a word, and where one is cut late: the definition, over the text before each character.

A character *joins* the word before it, or not, by the CONTEXT before it (`joins`). Two things are known only later:
- a mark after a digit, or in an address, *waits* (`waits`): it goes on with its word if the next character does
  (`3.50`, `10:30`, `www.a.org.`), else it is a word of its own after all;
- some words are *cut* when a later character tells (`cut`): `don` + `'` is `do` and the beginning of `n't`, `cannot` is
  `can` and `not`, `5pm` is `5` and `pm`, and the mark of `'such` turns out to be a quotation mark.
"""

from itertools import pairwise

import numpy as np

from pipeline.prefix.characters import APOSTROPHE, BREAK, DIGIT, LETTER, LOWER, NEWLINE, UPPER
from pipeline.prefix.tables import ANY, MISSING, Tables, find, holds, key_of

RUN = 16
"""Longest run of letters that can be an abbreviation, a contraction or the inside of `<unk>`, and longest number that a
unit is cut from."""

PAIRS = ("?!", "!?", ".?", ".!", ":)", ":(", ";)", "=)", ":-", ";-", "->")
"""Marks that go on with one another, besides equal ones; after `:-` and `;-` also brackets."""

ENDINGS = ("nt", "ot", "na", "ta")
"""Last letters of words that are cut without an apostrophe (`dont`, `cannot`, `gonna`, `gotta`): few are looked up."""

UNIT = 4
"""Longest unit that is cut from its number."""

CLITICS = frozenset("s t m d l ll r re v ve e em n ti tis til tw twa twas".split())  # noqa: SIM905
"""What may follow an apostrophe that begins a word (WikiText's `'s`; `'em`, `'tis`), and beginnings of that."""

SCHEMES = ("http", "https", "ftp")
ADDRESS = "/-_=&%~#+@"
"""Marks that join an address, besides letters and digits; those of ADDRESS_WAITS only if one of these follows."""
NUMBER_WAITS, ADDRESS_WAITS = ".,:/", ".,:?"
WAITING = frozenset(f"{NUMBER_WAITS}{ADDRESS_WAITS}-")


class WordRules:
    """The rules over one set of tables."""

    def __init__(self, tables: Tables) -> None:
        self.tables, self.kinds, self.lower = tables, tables.kinds(), tables.lower()

    def kind(self, char: str) -> int:
        return int(self.kinds[ord(char)]) if char else BREAK

    def lowered(self, text: str) -> str:
        return "".join(chr(self.lower[ord(char)]) for char in text)

    def alphanumeric(self, char: str) -> bool:
        return LOWER <= self.kind(char) <= DIGIT

    def joins(self, before: str, char: str) -> bool:
        """Does the next character go on with the word that ends `before`? Any one rule suffices."""
        one, two, three = before[-1:], before[-2:-1], before[-3:-2]
        kind, kind_1, kind_2, kind_3 = (self.kind(each) for each in (char, one, two, three))
        letter, alphanumeric = LOWER <= kind <= LETTER, LOWER <= kind <= DIGIT
        return (
            (alphanumeric and LOWER <= kind_1 <= DIGIT)
            or (kind > NEWLINE and char == one)  # `...`, `--`, `!!!`
            or self._pairs(before, char)
            or (char == "." and self.takes_period(before))
            # The apostrophe begins a word; letters go on with it. But after a space it is a quotation mark if a capital
            # follows, and `cut` tells it from one if small letters do.
            or (kind_1 == APOSTROPHE and letter and LOWER <= kind_2 <= DIGIT)
            or (kind_1 == APOSTROPHE and kind == LOWER and kind_2 != APOSTROPHE)
            # `3.5`, `10:30`, `1,000`: the mark has waited for this
            or (kind == DIGIT and one != "" and self._waits_in_number(before[:-1], one))
            or (kind == DIGIT and one == "." and kind_2 <= NEWLINE)
            # `U.S`; a capital after more letters may begin a sentence
            or (letter and one == "." and self.takes_period(before[:-1]) and not LOWER <= kind_3 <= DIGIT)
            or (kind == LOWER and one == "." and kind_2 <= DIGIT)  # `.doc`, `org` `.uk`
            or (char == "-" and self._binds(before))
            or (alphanumeric and one == "-" and self._binds(before[:-1]))
            or (char == "&" and kind_1 == UPPER)
            or (kind == UPPER and one == "&" and kind_2 == UPPER)
            or (char == "@" and LOWER <= kind_1 <= DIGIT)
            # WikiText's `<unk>`, `@-@`, `@,@`, `@.@`, which stand alone
            or (letter and one == "<" and kind_2 <= NEWLINE and self.lowered(char) == "u")
            or (char == ">" and self._in_angles(before))
            or (one == "@" and char in "-,." and kind_2 <= NEWLINE)
            or (char == "@" and one != "" and one in "-,." and two == "@" and kind_3 <= NEWLINE)
        )

    def goes_on(self, before: str, word: str, char: str) -> bool:
        """Does the next character go on with the open word, for now at least? before: the text, which ends with it."""
        return self.joins(before, char) or self._in_address(word, char) or self.waits(before, word, char)

    def waits(self, before: str, word: str, char: str) -> bool:
        """Is the next character a mark that goes on with the open word only if the one after it does?"""
        if char not in WAITING or self.joins(before, char) or self._in_address(word, char):
            return False
        return self._waits_in_number(before, char) or self._waits_in_address(before, word, char)

    def stays(self, before: str, word: str, mark: str, char: str) -> bool:
        """Does a mark that waited stay in its word, now that the next character is known? before, word: up to it."""
        number = self._waits_in_number(before, mark) and self.kind(char) == DIGIT
        follows = self.alphanumeric(char) or (char != "" and char in ADDRESS)
        return number or (follows and self._waits_in_address(before, word, mark))

    def cut(self, before: str, word: str, char: str) -> tuple[int, int]:
        """How many of the last characters, the next one included, begin a new word now (0: none), and the full tag of
        the word before it, MISSING if its look tells.

        word: the open word, which ends `before`, without a mark that had waited in vain.
        """
        text = self._run(before) + char
        outside = before[: len(before) - len(text) + 1]
        if self.kind(char) == APOSTROPHE:
            return self._cut_by_list(outside, word, text) if self.alphanumeric(before[-1:]) else (0, MISSING)
        if not self.alphanumeric(char):
            return 0, MISSING
        if 0 < len(word) == len(text) <= RUN and self._may_quote(outside):
            quotes = self.lowered(text) not in CLITICS and self.joins(outside, text[0])
            return len(text) if quotes else 0, MISSING
        if self.lowered(text[-2:]) in ENDINGS:
            return self._cut_by_list(outside, word, text)
        return self._cut_unit(before, word, text), MISSING

    def _cut_by_list(self, outside: str, word: str, text: str) -> tuple[int, int]:
        """`don'` after 2, `cannot` after 3."""
        if len(text) > RUN or not self._begins_with(outside, word, text[:-1]):
            return 0, MISSING
        key = np.array([key_of(self.lowered(text), ANY)], dtype=np.int64)
        size, tag = (
            int(find(self.tables.cut_key, each, key)[0]) for each in (self.tables.cut_size, self.tables.cut_tag)
        )
        return (0, MISSING) if size == MISSING else (len(text) - size, tag)

    def _cut_unit(self, before: str, word: str, text: str) -> int:
        """`5pm`, `7:30pm`, `10k`: the letters that the open word ends with, after digits."""
        unit = text.lstrip("".join(char for char in text if self.kind(char) == DIGIT))
        digits = len(text) - len(unit)
        if not (0 < len(unit) <= UNIT and digits and len(unit) - 1 < len(word) <= RUN):
            return 0
        if self.kind(word[0]) != DIGIT or not all(LOWER <= self.kind(char) <= LETTER for char in unit):
            return 0
        if sum(LOWER <= self.kind(char) <= LETTER for char in word) != len(unit) - 1 or self._address(word):
            return 0
        key = np.array([key_of(self.lowered(unit), ANY)], dtype=np.int64)
        begun = not self.joins(before[: -len(word)], word[0])
        return len(unit) if begun and bool(holds(self.tables.unit_key, key)[0]) else 0

    def _begins_with(self, outside: str, word: str, run: str) -> bool:
        """Is the run of letters that ends the text all of the open word, by the rules (not as part of one too long)?"""
        if not run or len(word) != len(run):
            return False
        return not self.joins(outside, run[0]) or self._may_quote(outside)

    def _may_quote(self, outside: str) -> bool:
        """Does the text end with an apostrophe that begins a word, not directly after letters or digits?"""
        mark, two = outside[-1:], outside[-2:-1]
        if self.kind(mark) != APOSTROPHE or self.alphanumeric(two) or self.kind(two) == APOSTROPHE:
            return False
        return not self.joins(outside[:-1], mark)

    def _pairs(self, before: str, char: str) -> bool:
        one, two = before[-1:], before[-2:-1]
        if one + char not in PAIRS:
            return two in (":", ";") and one == "-" and char in "()"
        return one != "." or (two != "." and not self.takes_period(before[:-1]))

    def _binds(self, before: str) -> bool:
        """Does a hyphen after this stay in the word? `e-mail`, `non-profit`."""
        run = self._run(before)
        if not 0 < len(run) <= RUN:
            return False
        return bool(holds(self.tables.bound_key, np.array([key_of(self.lowered(run), ANY)], dtype=np.int64))[0])

    def _waits_in_number(self, before: str, mark: str) -> bool:
        """After a digit; a hyphen only after three (`713-853-3989`, but `5-10`)."""
        if self.kind(before[-1:]) != DIGIT:
            return False
        digits = [self.kind(char) == DIGIT for char in before[-4:]]
        return mark in NUMBER_WAITS or (mark == "-" and all(digits[-3:]) and len(digits) > 2 and digits != [True] * 4)

    def _waits_in_address(self, before: str, word: str, mark: str) -> bool:
        begins = (mark == ":" and self.lowered(word) in SCHEMES) or (mark == "." and self.lowered(word) == "www")
        if begins and self._begins_with(before[: -len(word)], word, word):
            return True
        return mark in ADDRESS_WAITS and self._address(word)

    def _in_address(self, word: str, char: str) -> bool:
        return (self.alphanumeric(char) or char in ADDRESS) and self._address(word)

    def _address(self, word: str) -> bool:
        """Does the open word read as an address so far? `http:/`, `www.a`, `name@`."""
        text = self.lowered(word)
        if text.startswith(("www.", *(f"{scheme}:" for scheme in SCHEMES))):
            return True
        return any(char == "@" and self.alphanumeric(one) for one, char in pairwise(text))

    def takes_period(self, before: str) -> bool:
        """Is the run of letters that ends `before` an initial (not `I`) or an abbreviation?"""
        run = self._run(before)
        if not run or len(run) > RUN or any(self.kind(char) == DIGIT for char in run):
            return False
        if self.kind(before[: -len(run)][-1:]) == APOSTROPHE:  # `don't.`
            return False
        if len(run) == 1:
            return run != "I"
        key = np.array([key_of(self.lowered(run), ANY)], dtype=np.int64)
        return bool(holds(self.tables.abbreviation_key, key)[0])

    def _run(self, before: str) -> str:
        """The letters and digits that end a text."""
        begin = len(before)
        while begin and LOWER <= self.kind(before[begin - 1]) <= DIGIT:
            begin -= 1
        return before[begin:]

    def _in_angles(self, before: str) -> bool:
        run = self._run(before)
        outside = before[: len(before) - len(run)]
        return 0 < len(run) <= RUN and outside[-1:] == "<" and self.kind(outside[-2:-1]) <= NEWLINE
