"""What the left-to-right annotator says of each piece, and what it remembers between two pieces.

Everything here is a function of the pieces read so far (law 1: nothing leaks).
"""

import json
from dataclasses import asdict, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from lexicons.upos import UPOS

NO_TAG = len(UPOS)
"""17: there is no word, or its tag is not known yet."""

WORD_CHARACTERS, SENTENCE_WORDS = 256, 256
"""Longer words and sentences are cut, so that near views are bounded."""

CONTEXT = 40
"""Characters before the next one that the rules of segmentation look at: a run of 16, and whether it joins what stands
before it, which may be another one."""

NOTHING, SOFT, STRONG, SURE, HARD = range(5)
"""What the text since the last word says about the sentence: it goes on; it ends if a capital or an opening mark
follows (`...`, `etc.`); it ends unless a small letter follows (`!`, or `?"`: `"What?" said he`); it ends before small
letters, too (`.` and `?`); it has ended (a blank line, the document's begin)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """Columns over the pieces of a document or block [N]; positions and indices count from the document's begin."""

    first_word: NDArray[np.int32]
    """Index of the first word that goes on or is known to have begun in the piece; without one, as last_word."""
    last_word: NDArray[np.int32]
    """Index of the last word with a character in the piece; without one, of the last word begun (-1 before any). By
    what is known at t: where a later piece cuts the word (` don` + `'t` is `do` and `n't`; the period of `3.` is a word
    of its own once a space follows), this one keeps the index, and the later one has the second word."""
    closed_word: NDArray[np.int32]
    """Number of words closed by pieces <= t: word w is closed iff w < closed_word[t]. Never decreasing."""
    sentence_start: NDArray[np.int32]
    """Piece position where the sentence that piece t ends in begins, as known at t. Never decreasing."""
    input_tag: NDArray[np.uint8]
    """Tag of last_word by its characters so far, its full tag if it is closed at t already; NO_TAG: no word here."""
    key_tag: NDArray[np.uint8]
    """Full tag of last_word; NO_TAG if there is none or it is never closed. **Only for queries t with
    last_word < closed_word[t]**; for the others the key shows its input_tag."""

    def __len__(self) -> int:
        return len(self.first_word)

    def __getitem__(self, pieces: slice) -> "Attributes":
        """The same columns of some of the pieces."""
        return Attributes(**{field.name: getattr(self, field.name)[pieces] for field in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceAttributes:
    """The same of one piece, as far as it is known when the piece is read."""

    first_word: int
    last_word: int
    closed_word: int
    sentence_start: int
    input_tag: int
    closed_tags: tuple[int, ...] = ()
    """Full tags of the words that this piece closed: the last is that of word closed_word - 1. Keys of their pieces
    show them from here on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixState:
    """All that is remembered; at most 3.5 kB as JSON, usually 0.3, however long the document."""

    pieces: int = 0
    """Pieces read."""
    pending: str = ""
    """Bytes of a character that is not complete yet, in hexadecimal."""
    tail: str = ""
    """The last characters: those of the open word, and CONTEXT at least, unless the document began later."""
    word: int = 0
    """Characters of the open word so far; 0: no word is open."""
    words: int = 0
    """Words begun."""
    last_tag: int = NO_TAG
    """Full tag of the last word closed."""
    initial: bool = False
    """Whether the open word is the first of its sentence that holds a letter or digit."""
    fresh: bool = True
    """Whether the sentence holds no letter or digit yet."""
    ender: int = HARD
    newline: bool = False
    """Whether only spaces follow the last end of line."""
    quote: bool = False
    """Whether a straight double quotation mark is open in this paragraph."""
    sentence: int = 0
    """Piece position where the sentence begins."""
    sentence_words: int = 0

    @property
    def closed(self) -> int:
        """Words closed."""
        return self.words - (self.word > 0)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "PrefixState":
        return cls(**json.loads(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """What reading some pieces gave: their attributes, and what to go on with."""

    attributes: Attributes
    closed_tags: NDArray[np.uint8]
    """uint8 [words closed by these pieces]: full tags in the order of the words; the first may have begun earlier."""
    state: PrefixState
