"""Words and sentences of many texts at once: what `read_text` says of each alone, without tags."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.prefix.characters import BREAK_CODE
from pipeline.prefix.sentences import find_sentences
from pipeline.prefix.state import PrefixState
from pipeline.prefix.text import Alphabet, Places, Text, codes_of
from pipeline.prefix.words import find_words

CHARACTERS_AT_ONCE = 100_000
"""Characters of texts that are read together, if there are several: one call has some 0.5 ms of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextsWords:
    """The words of texts [k], text after text."""

    text: Places
    """Position of its text."""
    begin: Places
    """Character offset in its text."""
    end: Places
    sentence: Places
    """Index of its sentence in its text, from 0."""


def read_texts(alphabet: Alphabet, strings: Sequence[str]) -> TextsWords:
    """The words of texts that are known to their ends. O(characters)."""
    parts, first, size = [], 0, 0
    for place, string in enumerate(strings):
        size += len(string)
        if size >= CHARACTERS_AT_ONCE or place == len(strings) - 1:
            parts.append(_read(alphabet, strings[first : place + 1], first))
            first, size = place + 1, 0
    columns = ("text", "begin", "end", "sentence")
    none = [np.empty(0, np.int64)]
    return TextsWords(**{name: np.concatenate(none + [getattr(part, name) for part in parts]) for name in columns})


def _read(alphabet: Alphabet, strings: Sequence[str], number: int) -> TextsWords:
    """A break stands after each text: it closes all that is open and lets nothing through. number: of the first."""
    size = np.array([len(string) + 1 for string in strings], dtype=np.int64)
    ends = np.cumsum(size)
    block = codes_of("\0".join(strings) + "\0")
    block[ends - 1] = BREAK_CODE
    text = Text.of(alphabet, "", block)
    words = find_words(text, PrefixState())
    sentences = find_sentences(text, words, PrefixState())
    begin, end = words.begin - text.tail, words.end - text.tail
    sentence = np.searchsorted(sentences.begin, words.begin, side="right") - 1
    owner = np.searchsorted(ends, begin, side="right")
    before: NDArray[np.int64] = (ends - size)[owner]
    return TextsWords(
        text=owner + number,
        begin=begin - before,
        end=end - before,
        sentence=sentence - sentence[np.searchsorted(owner, owner)],
    )
