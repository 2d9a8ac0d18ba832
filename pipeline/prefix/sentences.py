"""Where sentences begin, over a block of characters: `prefix_step.Stepper.starts_sentence` for arrays."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.prefix.characters import (
    APOSTROPHE,
    BREAK,
    CLOSE,
    DIGIT,
    FINAL,
    LETTER,
    LOWER,
    NEWLINE,
    OPEN,
    QUOTE,
    SPACE,
    STOP,
    SYMBOL,
    UPPER,
)
from pipeline.prefix.late import DOT, HYPHEN
from pipeline.prefix.state import HARD, NOTHING, SENTENCE_WORDS, SOFT, STRONG, SURE, PrefixState
from pipeline.prefix.step import FINAL_SAYS
from pipeline.prefix.tables import holds
from pipeline.prefix.text import Flags, Places, Text, Value, before, latest
from pipeline.prefix.words import MORE, WordPlaces, closes_angle

EYES, ARROWS, AM_PM, ITEM_MARKS = (
    np.array([ord(char) for char in chars], dtype=np.int32) for chars in (":;=", "-=", "AP", ":;)")
)


@dataclass(frozen=True, slots=True)
class SentencePlaces:
    """Sentences of a block, by places in its Text [n]."""

    begin: Places
    """Where sentences begin; always the first character of a word that the block tells of."""
    known: Places
    """The characters that tell of those words."""
    initial: Flags
    """[k, as WordPlaces.begin] is the word the first of its sentence that holds a letter or digit?"""
    ender: NDArray[np.uint8]
    """[n] what the text says about the sentence's end after each character (from the place before the block on)."""
    quote: Flags
    """[n] whether a straight quotation mark is open after each character."""
    newline: Flags
    """[n] whether only spaces follow the last end of line."""


def find_sentences(text: Text, words: WordPlaces, state: PrefixState) -> SentencePlaces:
    """The sentences of a block. O(characters)."""
    newline = _after_newline(text, state)
    hard = (text.kind == BREAK) | ((text.kind == NEWLINE) & before(newline, 1))
    quote = _open_quote(text, hard, state)
    ender = _enders(text, words, hard, quote, state)
    new = slice(int(state.word > 0), None)
    first = _begins(text, words.begin[new], ender, quote, state)
    begin, known = words.begin[new][first], words.known[new][first]
    return SentencePlaces(begin, known, _initial(text, words.begin, begin, state), ender, quote, newline)


def _after_newline(text: Text, state: PrefixState) -> Flags:
    """bool [n]: is the last character that is no space an end of line?"""
    visible, is_newline = text.kind != SPACE, text.kind == NEWLINE
    visible[0], is_newline[0] = True, state.newline  # speaks for what the tail does not hold any more
    after: Flags = is_newline[latest(visible)]
    return after


def _open_quote(text: Text, hard: Flags, state: PrefixState) -> Flags:
    """bool [n]: an odd number of straight quotation marks since the paragraph began?"""
    mark, hard = text.kind == QUOTE, hard.copy()
    mark[: text.tail] = hard[: text.tail] = False
    count, paragraph = np.cumsum(mark) + state.quote, latest(hard)
    odd: Flags = (count - np.where(paragraph > 0, count[paragraph], 0)) % 2 == 1
    return odd


def _enders(text: Text, words: WordPlaces, hard: Flags, quote: Flags, state: PrefixState) -> NDArray[np.uint8]:
    """uint8 [n]: NOTHING to HARD after each character: what the last one that speaks has said."""
    kind, glued = text.kind, before(text.kind, 1) > NEWLINE
    closes = (kind == CLOSE) | ((kind == QUOTE) & (before(quote, 1) | glued)) | ((kind == APOSTROPHE) & glued)
    value = np.where(hard, HARD, NOTHING).astype(np.uint8)
    value[kind == FINAL] = SURE
    for char, says in FINAL_SAYS.items():
        value[text.code == ord(char)] = says
    stop = np.flatnonzero(kind == STOP)
    value[stop] = _after_stop(text, words, stop)
    may_end = _may_end(text, words)
    value[may_end], closes[may_end] = SOFT, False
    # A closing mark says nothing, but directly after a hard end (only spaces between) it begins the next sentence.
    value[text.tail - 1] = state.ender
    after_hard = value == HARD
    after_hard = _last(after_hard, hard | (kind > NEWLINE), text.tail)
    speaks = hard | ((kind > NEWLINE) & (~closes | before(after_hard, 1)))
    said, speaker = _last(value, speaks, text.tail), _last(np.arange(len(kind)), speaks, text.tail)
    said[(said == SURE) & (latest(closes) > speaker)] = STRONG
    return said


def _after_stop(text: Text, words: WordPlaces, place: Places) -> NDArray[np.uint8]:
    """uint8 [places of periods]: what each says."""
    begin = np.minimum(latest(words.begins)[place], place)  # of the word so far; any place will do in the tail
    may_end = holds(text.tables.ender_key, text.keys(begin, place + 1))
    joined = np.where(may_end, SOFT, NOTHING)
    repeated, alone = text.code[place - 1] == DOT, np.where(_numbers_item(text, place), NOTHING, SURE)
    return np.where(repeated, SOFT, np.where(words.joined[place], joined, alone)).astype(np.uint8)


def _numbers_item(text: Text, place: Places) -> Flags:
    """Do these periods end the number of a list's item (`Stepper._numbers_item`)?"""
    run = np.where(text.kind[place - 1] == DIGIT, text.run_begin[place - 1], 0)
    short = (run > 0) & (place - run <= 2) & (text.count("digit", run, place) == place - run)
    space, mark = text.at(text.kind, run - 1), text.at(text.kind, run - 2)
    code = text.at(text.code, run - 2)
    at_line = np.isin(space, (BREAK, NEWLINE)) | np.isin(mark, (BREAK, NEWLINE))
    found: Flags = short & (space <= NEWLINE) & (at_line | np.isin(mark, (STOP, FINAL)) | np.isin(code, ITEM_MARKS))
    return found


def _may_end(text: Text, words: WordPlaces) -> Places:
    """Where what often ends a sentence without a period ends (`Stepper._may_end`)."""
    code, kind = text.code, text.kind
    found = []
    place = np.flatnonzero((code == ord("(")) | (code == ord(")")))
    one, two = code[place - 1], text.at(code, place - 2)
    found.append(place[np.isin(one, EYES) | ((one == HYPHEN) & np.isin(two, EYES[:2]))])
    place = np.flatnonzero(code == MORE)
    place = place[(kind[place - 1] > NEWLINE) & ~np.isin(code[place - 1], ARROWS)]
    found.append(place[~closes_angle(text, place)])
    place = np.flatnonzero(code == ord("M"))
    place = place[np.isin(code[place - 1], AM_PM)]
    time = place - 1 - (text.at(code, place - 2) == ord(" "))
    digits = (text.at(kind, time - 1) == DIGIT) & (text.at(kind, time - 2) == DIGIT)
    found.append(place[digits & (text.at(code, time - 3) == ord(":"))])
    places: Places = np.concatenate(found)
    return places


def _last(value: NDArray[Value], speaks: Flags, tail: int) -> NDArray[Value]:
    """The value at the last place up to each that speaks; the place before the block always does."""
    speaks = speaks.copy()
    speaks[:tail], speaks[tail - 1] = False, True
    return value[latest(speaks)]


def _begins(text: Text, word: Places, ender: NDArray[np.uint8], quote: Flags, state: PrefixState) -> Flags:
    """Which of the block's words begin a sentence. word: their places. Those in the tail are parts of one word."""
    kind, said = text.kind[word], ender[word - 1]
    opens = (kind == OPEN) | ((kind == QUOTE) & ~quote[word - 1])
    soft = (said == SOFT) & ((kind == UPPER) | opens)
    item = text.code[word] == HYPHEN
    strong = (said >= STRONG) & (np.isin(kind, (UPPER, LETTER, DIGIT, SYMBOL, APOSTROPHE)) | opens | item)
    sure = (said == SURE) & (kind == LOWER)
    begins: Flags = (said == HARD) | ((text.kind[word - 1] <= NEWLINE) & (soft | strong | sure))
    begins &= word >= text.tail
    index = np.arange(len(word))
    # Words of the sentence before this one: the first sentence has begun state.sentence_words earlier.
    length = index - np.maximum.accumulate(np.where(begins, index, -state.sentence_words))
    begins |= (length > 0) & (length % SENTENCE_WORDS == 0)
    return begins


def _initial(text: Text, word: Places, sentence: Places, state: PrefixState) -> Flags:
    """bool [k]: has the word's sentence no letter or digit before it?"""
    if len(word) == 0:
        return np.zeros(0, dtype=bool)
    place = np.where(text.alphanumeric, np.arange(len(text.code)), -2)
    place[: text.tail] = -2 if state.fresh else -1
    last = np.maximum.accumulate(place)[word - 1]
    initial = last < np.append(-1, sentence)[np.searchsorted(sentence, word, side="right")]
    if state.word:
        initial[0] = state.initial
        if len(word) > 1 and word[1] < text.tail:  # its second part, by what the first has
            initial[1] |= state.initial and not text.alphanumeric[word[0] : word[1]].any()
    return initial
