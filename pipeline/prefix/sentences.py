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
from pipeline.prefix.state import HARD, NOTHING, SENTENCE_WORDS, SOFT, STRONG, SURE, PrefixState
from pipeline.prefix.step import FINAL_SAYS
from pipeline.prefix.tables import holds
from pipeline.prefix.text import Flags, Places, Text, Value, before, latest
from pipeline.prefix.words import DOT, WordPlaces


@dataclass(frozen=True, slots=True)
class SentencePlaces:
    """Sentences of a block, by places in its Text [n]."""

    begin: Places
    """Where sentences begin; always the first character of a word of the block."""
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
    begin = _begins(text, words.begin[words.begin >= text.tail], ender, quote, state)
    return SentencePlaces(begin, _initial(text, words.begin, begin, state), ender, quote, newline)


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
    repeated = text.code[place - 1] == DOT
    return np.where(repeated, SOFT, np.where(words.joined[place], joined, SURE)).astype(np.uint8)


def _last(value: NDArray[Value], speaks: Flags, tail: int) -> NDArray[Value]:
    """The value at the last place up to each that speaks; the place before the block always does."""
    speaks = speaks.copy()
    speaks[:tail], speaks[tail - 1] = False, True
    return value[latest(speaks)]


def _begins(text: Text, word: Places, ender: NDArray[np.uint8], quote: Flags, state: PrefixState) -> Places:
    """Which of the block's words begin a sentence. word: their places."""
    kind, said = text.kind[word], ender[word - 1]
    opens = (kind == OPEN) | ((kind == QUOTE) & ~quote[word - 1])
    soft = (said == SOFT) & ((kind == UPPER) | opens)
    strong = (said >= STRONG) & (np.isin(kind, (UPPER, LETTER, DIGIT, SYMBOL, APOSTROPHE)) | opens)
    sure = (said == SURE) & (kind == LOWER)
    begins = (said == HARD) | ((text.kind[word - 1] <= NEWLINE) & (soft | strong | sure))
    index = np.arange(len(word))
    # Words of the sentence before this one: the first sentence has begun state.sentence_words earlier.
    length = index - np.maximum.accumulate(np.where(begins, index, -state.sentence_words))
    first: Places = word[begins | ((length > 0) & (length % SENTENCE_WORDS == 0))]
    return first


def _initial(text: Text, word: Places, sentence: Places, state: PrefixState) -> Flags:
    """bool [k]: has the word's sentence no letter or digit before it?"""
    if len(word) == 0:
        return np.zeros(0, dtype=bool)
    place = np.where(text.alphanumeric, np.arange(len(text.code)), -2)
    place[: text.tail] = -2 if state.fresh else -1
    last = np.maximum.accumulate(place)[word - 1]
    initial = last < np.append(-1, sentence)[np.searchsorted(sentence, word, side="right")]
    if word[0] < text.tail:
        initial[0] = state.initial
    return initial
