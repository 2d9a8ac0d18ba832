"""The left-to-right annotator, one character at a time: the definition. `fast` must equal it.

**Words** are runs of letters and digits, and what `rules` adds: `'s`, `Mr.`, `U.S.`, `3.50`, `e-mail`, `<unk>`, `@-@`,
addresses. Whether the next character goes on with the open word is decided when it is read, from the CONTEXT and the
word before it. Two things are decided late: a mark that waits is settled by the character after it, and a word is cut
before its last characters when the next one tells (`don` + `'`: `do` and `n'`). Either way the open word closes without
its last characters, and these begin the next word. Pieces read before keep the index that they were given; the piece
that tells has the new word.
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
from pipeline.prefix.rules import WordRules
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
from pipeline.prefix.tables import ADDRESS_SIGNS, ANY, MISSING, SUFFIX, Tables, find, holds, key_of, shape_of

FINAL_SAYS = {"!": STRONG, "！": STRONG, "…": SOFT}
"""What final marks say, if not SURE. `Oh! how` is one sentence."""


class Stepper(WordRules):
    """The definition over one set of tables. piece_bytes: what each id adds; breaks: the ids of begin and end."""

    def __init__(self, tables: Tables, piece_bytes: Sequence[bytes], breaks: frozenset[int]) -> None:
        super().__init__(tables)
        self.piece_bytes, self.breaks = piece_bytes, breaks

    def step(self, state: PrefixState, piece: int) -> tuple[PrefixState, PieceAttributes]:
        """Read one piece."""
        before, touched = state, list[int]()
        text, pending = read_bytes(bytes.fromhex(state.pending) + self.piece_bytes[piece])
        if piece in self.breaks:
            text, pending = text + chr(REPLACEMENT) * bool(pending), b""
        closed_tags: list[int] = []
        for char in text:
            begun = state.words
            state = self._read(state, char, closed_tags)
            touched += range(begun if state.words > begun or not state.word else begun - 1, state.words)
        if piece in self.breaks:
            begun = state.words
            state = self._break(state, closed_tags)
            touched += range(begun, state.words)
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
        state = self._settle(state, char, closed_tags)
        ender = self._next_ender(state, char)
        open_word = before[len(before) - state.word :]
        size, first_tag = self.cut(before, open_word, char)
        if size:
            state = self._split(state, size - 1, kind, closed_tags, first_tag)
            state = replace(state, word=size)
        elif 0 < state.word < WORD_CHARACTERS and self.goes_on(before, open_word, char):
            state = replace(state, word=state.word + 1)
        else:
            if state.word:
                state = self._close(state, closed_tags)
            if kind > NEWLINE:
                state = self._begin(state, SYMBOL if char == "-" else kind, state.fresh)  # a dash begins a list's item
                state = replace(state, word=1)
        blank_line = kind == NEWLINE and state.newline
        return replace(
            state,
            tail=(before + char)[-max(CONTEXT, state.word) :],
            fresh=state.fresh and not LOWER <= kind <= DIGIT,
            ender=ender,
            newline=kind == NEWLINE or (kind == SPACE and state.newline),
            quote=(state.quote != (kind == QUOTE)) and not blank_line,
        )

    def _settle(self, state: PrefixState, char: str, closed_tags: list[int]) -> PrefixState:
        """A mark that has waited is a word of its own if the next character does not go on. char: "" for none."""
        word = state.tail[len(state.tail) - state.word :]
        if len(word) < 2 or not self.waits(state.tail[:-1], word[:-1], word[-1]):
            return state
        if self.stays(state.tail[:-1], word[:-1], word[-1], char):
            return state
        state = self._split(state, 1, self.kind(word[-1]), closed_tags)
        return replace(state, word=1)

    def _split(
        self, state: PrefixState, size: int, kind: int, closed_tags: list[int], tag: int = MISSING
    ) -> PrefixState:
        """Close the open word without its last characters, so many, and begin the next with them. tag: its full tag;
        MISSING if its look tells."""
        head = state.tail[len(state.tail) - state.word : len(state.tail) - size]
        rest = state.tail[len(state.tail) - size :] if size else ""
        initial = state.initial and not any(map(self.alphanumeric, head))
        state = self._begin(self._close(state, closed_tags, head, tag), kind, initial)
        return replace(state, fresh=state.fresh and not any(map(self.alphanumeric, rest)))

    def _begin(self, state: PrefixState, kind: int, initial: bool) -> PrefixState:
        """A word begins with a character of this kind, and perhaps a sentence."""
        if self.starts_sentence(state, kind) or state.sentence_words == SENTENCE_WORDS:
            state, initial = replace(state, sentence=state.pieces, sentence_words=0, fresh=True), True
        return replace(state, words=state.words + 1, sentence_words=state.sentence_words + 1, initial=initial)

    def _close(
        self, state: PrefixState, closed_tags: list[int], word: str | None = None, tag: int = MISSING
    ) -> PrefixState:
        if tag == MISSING:
            tag = self.full_tag(state.tail[-state.word :] if word is None else word, state.initial)
        closed_tags.append(tag)
        return replace(state, word=0, initial=False, last_tag=tag)

    def _break(self, state: PrefixState, closed_tags: list[int]) -> PrefixState:
        """A begin or end piece: all is closed, and what was before does not matter."""
        state = self._settle(state, "", closed_tags)
        if state.word:
            state = self._close(state, closed_tags)
        return replace(state, tail="", ender=HARD, newline=False, quote=False)

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

    def _next_ender(self, state: PrefixState, char: str) -> int:
        """What the text says about the sentence's end once this character is read."""
        kind, one = self.kind(char), state.tail[-1:]
        if kind == NEWLINE:
            return HARD if state.newline else state.ender
        if kind == SPACE:
            return state.ender
        if kind == STOP:
            return self._after_stop(state)
        if kind == FINAL:
            return FINAL_SAYS.get(char, SURE)
        glued = self.kind(one) > NEWLINE
        if self._may_end(state.tail, char, glued):
            return SOFT
        closes = kind == CLOSE or (kind == QUOTE and (state.quote or glued)) or (kind == APOSTROPHE and glued)
        if not closes or state.ender == HARD:
            return NOTHING
        return min(state.ender, STRONG)

    def _may_end(self, before: str, char: str, glued: bool) -> bool:
        """Does the character end what often ends a sentence without a period: `:)`, `10:30 PM`, `<a@b.org>`?"""
        one, two = before[-1:], before[-2:-1]
        if char in "()":
            return one in (":", ";", "=") or (one == "-" and two in (":", ";"))
        if char == ">":
            return glued and one not in "-=" and not self._in_angles(before)
        time = before[:-2] if two == " " else before[:-1]
        marks = time[-3:-2] == ":" and all(self.kind(each) == DIGIT for each in time[-2:])
        return char == "M" and one in ("A", "P") and marks

    def _numbers_item(self, before: str) -> bool:
        """Does the text end with a number of two digits at most, where a list's item may begin: `. 2`?"""
        run = self._run(before)
        space, mark = before[: len(before) - len(run)][-1:], before[: len(before) - len(run)][-2:-1]
        if not (0 < len(run) <= 2 and all(self.kind(char) == DIGIT for char in run) and self.kind(space) <= NEWLINE):
            return False
        at_line = self.kind(space) in (BREAK, NEWLINE) or self.kind(mark) in (BREAK, NEWLINE)
        return at_line or self.kind(mark) in (STOP, FINAL) or mark in (":", ";", ")")

    def _after_stop(self, state: PrefixState) -> int:
        if state.tail[-1:] == ".":
            return SOFT
        if not self.joins(state.tail, "."):
            return NOTHING if self._numbers_item(state.tail) else SURE
        goes_on = 0 < state.word < WORD_CHARACTERS
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
        signs = sum(char in ADDRESS_SIGNS for char in text)
        return shape_of(kinds.count(UPPER), letters, kinds.count(DIGIT), signs, initial)


def _tag(keys: NDArray[np.int64], tags: NDArray[np.uint8], text: str, shape: int) -> int:
    return int(find(keys, tags, np.array([key_of(text, shape)], dtype=np.int64))[0])
