"""The left-to-right annotator, one character at a time: the definition. `prefix_fast` must equal it.

**Words** are runs of letters and digits, and what the rules of `joins` add: `'s`, `Mr.`, `U.S.`, `.5` after a number,
`<unk>`, `@-@`. A word never needs to see beyond the next character: whether that character goes on with the word is
decided when it is read, from the CONTEXT before it, and that closes the word or not.
**Sentences** end before the first character of a word, by what stands between (`starts_sentence`).
"""

from collections.abc import Sequence
from dataclasses import replace

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
    REPLACEMENT,
    SPACE,
    STOP,
    SYMBOL,
    UPPER,
    read_bytes,
)
from pipeline.prefix.state import (
    CONTEXT,
    HARD,
    NO_TAG,
    NOTHING,
    SENTENCE_WORDS,
    SOFT,
    STRONG,
    SURE,
    WORD_CHARACTERS,
    PieceAttributes,
    PrefixState,
)
from pipeline.prefix.tables import ANY, MISSING, SUFFIX, Tables, find, holds, key_of, shape_of

FINAL_SAYS = {"!": STRONG, "！": STRONG, "…": SOFT}
"""What final marks say, if not SURE. `Oh! how` is one sentence."""

RUN = 16
"""Longest run of letters that can be an abbreviation or the inside of `<unk>`."""


class Stepper:
    """The definition over one set of tables. piece_bytes: what each id adds; breaks: the ids of begin and end."""

    def __init__(self, tables: Tables, piece_bytes: Sequence[bytes], breaks: frozenset[int]) -> None:
        self.tables, self.piece_bytes, self.breaks = tables, piece_bytes, breaks
        self.kinds, self.lower = tables.kinds(), tables.lower()

    def step(self, state: PrefixState, piece: int) -> tuple[PrefixState, PieceAttributes]:
        """Read one piece."""
        before, touched = state, []
        text, pending = read_bytes(bytes.fromhex(state.pending) + self.piece_bytes[piece])
        if piece in self.breaks:
            text, pending = text + chr(REPLACEMENT) * bool(pending), b""
        closed_tags: list[int] = []
        for char in text:
            state = self._read(state, char, closed_tags)
            if state.word:
                touched.append(state.words - 1)
        if piece in self.breaks:
            state = self._break(state, closed_tags)
        state = replace(state, pieces=before.pieces + 1, pending=pending.hex())
        last = state.words - 1
        return state, PieceAttributes(
            first_word=touched[0] if touched else last,
            last_word=last,
            closed_word=state.closed,
            sentence_start=state.sentence,
            input_tag=self._input_tag(state) if touched else NO_TAG,
            closed_tags=tuple(closed_tags),
        )

    def _input_tag(self, state: PrefixState) -> int:
        if not state.word:
            return state.last_tag
        return self.open_tag(state.tail[-state.word :], state.initial)

    def _read(self, state: PrefixState, char: str, closed_tags: list[int]) -> PrefixState:
        """The next character of a text."""
        kind, before = self.kind(char), state.tail
        goes_on = 0 < state.word < WORD_CHARACTERS and self.joins(before, char)
        ender = self._next_ender(state, char, goes_on)
        if state.word and not goes_on:
            state = self._close(state, closed_tags)
        if goes_on:
            state = replace(state, word=state.word + 1)
        elif kind > NEWLINE:
            if self.starts_sentence(state, kind) or state.sentence_words == SENTENCE_WORDS:
                state = replace(state, sentence=state.pieces, sentence_words=0, fresh=True)
            state = replace(
                state,
                word=1, words=state.words + 1, sentence_words=state.sentence_words + 1, initial=state.fresh,
            )  # fmt: skip
        blank_line = kind == NEWLINE and state.newline
        return replace(
            state,
            tail=(before + char)[-max(CONTEXT, state.word) :],
            fresh=state.fresh and not LOWER <= kind <= DIGIT,
            ender=ender,
            newline=kind == NEWLINE or (kind == SPACE and state.newline),
            quote=(state.quote != (kind == QUOTE)) and not blank_line,
        )

    def _close(self, state: PrefixState, closed_tags: list[int]) -> PrefixState:
        tag = self.full_tag(state.tail[-state.word :], state.initial)
        closed_tags.append(tag)
        return replace(state, word=0, initial=False, last_tag=tag)

    def _break(self, state: PrefixState, closed_tags: list[int]) -> PrefixState:
        """A begin or end piece: all is closed, and what was before does not matter."""
        if state.word:
            state = self._close(state, closed_tags)
        return replace(state, tail="", ender=HARD, newline=False, quote=False)

    # Words

    def kind(self, char: str) -> int:
        return int(self.kinds[ord(char)]) if char else BREAK

    def lowered(self, text: str) -> str:
        return "".join(chr(self.lower[ord(char)]) for char in text)

    def joins(self, before: str, char: str) -> bool:
        """Does the next character go on with the word that ends `before`? Any one rule suffices."""
        one, two, three = before[-1:], before[-2:-1], before[-3:-2]
        kind, kind_1, kind_2, kind_3 = (self.kind(each) for each in (char, one, two, three))
        letter, alphanumeric = LOWER <= kind <= LETTER, LOWER <= kind <= DIGIT
        return (
            (alphanumeric and LOWER <= kind_1 <= DIGIT)
            or (kind > NEWLINE and char == one)  # `...`, `--`, `!!!`
            or (char == "." and self.takes_period(before))
            # The apostrophe begins a word (`do` `n't` would need foresight: `don` `'t`); letters go on with it. But
            # after a space it is a quotation mark if a capital follows.
            or (kind_1 == APOSTROPHE and letter and (LOWER <= kind_2 <= DIGIT or kind == LOWER))
            # `3` `.5`, `10` `:30`, `1` `,000`: the mark may be the sentence's, so it cannot join the number before.
            or (kind == DIGIT and one != "" and one in ".,:" and kind_2 == DIGIT)
            or (kind == DIGIT and one == "." and kind_2 <= NEWLINE)
            # `U.S`; not `www.example`: only single letters before the period
            or (letter and one == "." and self.takes_period(before[:-1]) and not LOWER <= kind_3 <= DIGIT)
            # WikiText's `<unk>`, `@-@`, `@,@`, `@.@`, which stand alone
            or (letter and one == "<" and kind_2 <= NEWLINE)
            or (char == ">" and self._in_angles(before))
            or (one == "@" and char in "-,." and kind_2 <= NEWLINE)
            or (char == "@" and one != "" and one in "-,." and two == "@" and kind_3 <= NEWLINE)
        )

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

    # Sentences

    def starts_sentence(self, state: PrefixState, kind: int) -> bool:
        """Does a word that begins with a character of this kind begin a sentence?"""
        if state.ender == HARD:
            return True
        if self.kind(state.tail[-1:]) > NEWLINE:  # no space between
            return False
        opens = kind == OPEN or (kind == QUOTE and not state.quote)
        if state.ender == SOFT:
            return kind == UPPER or opens
        begins = opens or kind in (UPPER, LETTER, DIGIT, SYMBOL, APOSTROPHE)
        return (state.ender in (STRONG, SURE) and begins) or (state.ender == SURE and kind == LOWER)

    def _next_ender(self, state: PrefixState, char: str, goes_on: bool) -> int:
        """What the text says about the sentence's end once this character is read."""
        kind, one = self.kind(char), state.tail[-1:]
        if kind == NEWLINE:
            return HARD if state.newline else state.ender
        if kind == SPACE:
            return state.ender
        if kind == STOP:
            return self._after_stop(state, goes_on)
        if kind == FINAL:
            return FINAL_SAYS.get(char, SURE)
        glued = self.kind(one) > NEWLINE
        closes = kind == CLOSE or (kind == QUOTE and (state.quote or glued)) or (kind == APOSTROPHE and glued)
        if not closes or state.ender == HARD:
            return NOTHING
        return min(state.ender, STRONG)

    def _after_stop(self, state: PrefixState, goes_on: bool) -> int:
        if state.tail[-1:] == ".":
            return SOFT
        if not self.joins(state.tail, "."):
            return SURE
        word = self.lowered(state.tail[len(state.tail) - state.word :] + "." if goes_on else ".")
        key = np.array([key_of(word, ANY)], dtype=np.int64)
        return SOFT if holds(self.tables.ender_key, key)[0] else NOTHING

    # Tags

    def full_tag(self, word: str, initial: bool) -> int:
        """Tag of a whole word: by the list, else by its longest known suffix, else by its shape."""
        tables, shape, text = self.tables, self.shape(word, initial), self.lowered(word)
        for each in (shape, ANY):
            if (tag := _tag(tables.word_key, tables.word_tag, text, each)) != MISSING:
                return tag
        for length in range(min(SUFFIX, len(text)), 0, -1):
            if (tag := _tag(tables.suffix_key, tables.suffix_tag, text[-length:], shape)) != MISSING:
                return tag
        return int(tables.shape_tag[shape])

    def open_tag(self, begun: str, initial: bool) -> int:
        """Tag of a word of which this much is read: by the list of beginnings, else as if it ended here."""
        shape, text = self.shape(begun, initial), self.lowered(begun)
        for each in (shape, ANY):
            if (tag := _tag(self.tables.prefix_key, self.tables.prefix_tag, text, each)) != MISSING:
                return tag
        return self.full_tag(begun, initial)

    def shape(self, text: str, initial: bool) -> int:
        kinds = [self.kind(char) for char in text]
        letters = sum(LOWER <= kind <= LETTER for kind in kinds)
        return shape_of(kinds.count(UPPER), letters, kinds.count(DIGIT), initial)


def _tag(keys: NDArray[np.int64], tags: NDArray[np.uint8], text: str, shape: int) -> int:
    return int(find(keys, tags, np.array([key_of(text, shape)], dtype=np.int64))[0])
