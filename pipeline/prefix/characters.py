"""Bytes to characters and characters to kinds, for the left-to-right annotator.

A character belongs to the piece that completes it. Bytes that are no UTF-8 read as U+FFFD, one for each maximal part
of a character (Unicode 15, section 3.9), as soon as a byte proves it: the text is that of Python's `errors="replace"`.
"""

import unicodedata
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BREAK, SPACE, NEWLINE, LOWER, UPPER, LETTER, DIGIT = range(7)
APOSTROPHE, QUOTE, OPEN, CLOSE, STOP, FINAL, PUNCTUATION, SYMBOL = range(7, 15)
"""Kinds of character; the order matters: up to NEWLINE no word, LOWER to LETTER letters, to DIGIT alphanumeric."""

BREAK_CODE = 0x110000
"""Stands for a begin or end piece among code points: closes all that is open."""

REPLACEMENT = 0xFFFD


_SPECIAL = (
    {"\n": NEWLINE, "\u2028": NEWLINE, "\u2029": NEWLINE, "'": APOSTROPHE, "’": APOSTROPHE, '"': QUOTE, ".": STOP}
    | dict.fromkeys("!?…‼⁇⁈⁉。！？।", FINAL)
    | dict.fromkeys("`‘“„‚¿¡«‹", OPEN)
)
# Marks and format characters (joiners, soft hyphens) belong to the letters that they stand among.
_CATEGORY = {"Ll": LOWER, "Lu": UPPER, "Lt": UPPER, "Cf": LETTER, "Ps": OPEN, "Pi": OPEN, "Pe": CLOSE, "Pf": CLOSE}
_CATEGORIES = {"L": LETTER, "M": LETTER, "N": DIGIT, "P": PUNCTUATION}


def kind_of(char: str) -> int:
    """Kind of a character by the Unicode data of this Python; `fit_prefix` keeps it in a table, so that machines with
    other versions agree."""
    if char in _SPECIAL:
        return _SPECIAL[char]
    if char.isspace():
        return SPACE
    category = unicodedata.category(char)
    return _CATEGORY.get(category, _CATEGORIES.get(category[0], SYMBOL))


def read_bytes(data: bytes) -> tuple[str, bytes]:
    """The characters that are complete or broken for certain, and the bytes that may yet become one."""
    text = ""
    while True:
        try:
            return text + data.decode(), b""
        except UnicodeDecodeError as error:
            text += data[: error.start].decode()
            if error.reason == "unexpected end of data":
                return text, data[error.start :]
            text, data = text + chr(REPLACEMENT), data[error.end :]


@dataclass(frozen=True, slots=True)
class Characters:
    """The characters that some bytes complete."""

    code: NDArray[np.int32]
    """[M] code points."""
    complete: NDArray[np.int64]
    """[M] position of the byte that completed (or disproved) each; never decreasing."""
    used: int
    """Bytes read into characters; those from here on are the beginning of the next one."""


def decode(data: NDArray[np.uint8], breaks: NDArray[np.int64]) -> Characters:
    """`read_bytes` for whole arrays, byte by byte. O(bytes).

    data: uint8 [B]. breaks: positions in it, sorted, that hold a zero for a begin or end piece.
    """
    if len(data) == 0 or (data.max() < 0x80 and len(breaks) == 0):
        return Characters(data.astype(np.int32), np.arange(len(data), dtype=np.int64), len(data))
    wanted = _WANTED[data]  # bytes of the character that begins here; 0: none can begin here
    have = _bytes_present(data, wanted)
    begins = np.ones(len(data), dtype=bool)
    for more in (1, 2, 3):
        begins[more:] &= have[: len(data) - more] <= more
    start = np.flatnonzero(begins)
    size, length = have[start], np.maximum(wanted[start], 1)
    pending = len(start) > 0 and size[-1] < length[-1] and start[-1] + size[-1] == len(data)
    used = int(start[-1]) if pending else len(data)
    if pending:
        start, size, length = start[:-1], size[:-1], length[:-1]
    code = np.where((size == length) & (wanted[start] > 0), _assembled(data, start, length), REPLACEMENT)
    code[np.searchsorted(start, breaks)] = BREAK_CODE
    # A complete character is known with its last byte, a broken one with the byte after its part.
    return Characters(code.astype(np.int32), start + size - (size == length), used)


def _bytes_present(data: NDArray[np.uint8], wanted: NDArray[np.uint8]) -> NDArray[np.int64]:
    """int64 [B]: how many bytes, from each on, are a valid beginning of the character that begins here; 1 at least."""
    after = np.zeros(len(data) + 3, dtype=np.uint8)
    after[: len(data)] = data
    second, third, fourth = after[1:-2], after[2:-1], after[3:]
    have = np.ones(len(data), dtype=np.int64)
    going = (wanted > 1) & (second >= _LOWEST_SECOND[data]) & (second <= _HIGHEST_SECOND[data])
    have += going
    for place, following in ((2, third), (3, fourth)):
        going = going & (wanted > place) & ((following & 0xC0) == 0x80)
        have += going
    return have


def _assembled(data: NDArray[np.uint8], start: NDArray[np.int64], length: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Code points of characters of 1 to 4 bytes; whatever, where the bytes are not all there."""
    code = data[start].astype(np.int64) & _LEAD_BITS[length]
    for place in (1, 2, 3):
        more = length > place
        follow = data[np.minimum(start[more] + place, len(data) - 1)]
        code[more] = (code[more] << 6) | (follow & 0x3F)
    return code


def _table(ranges: dict[range, int]) -> NDArray[np.uint8]:
    table = np.zeros(256, dtype=np.uint8)
    for span, value in ranges.items():
        table[span.start : span.stop] = value
    return table


# Unicode 15, table 3-7: well-formed sequences. C0, C1 and F5 to FF begin none; four leads narrow their second byte.
_WANTED = _table({range(0x80): 1, range(0xC2, 0xE0): 2, range(0xE0, 0xF0): 3, range(0xF0, 0xF5): 4})
_LOWEST_SECOND = _table({range(256): 0x80, range(0xE0, 0xE1): 0xA0, range(0xF0, 0xF1): 0x90})
_HIGHEST_SECOND = _table({range(256): 0xBF, range(0xED, 0xEE): 0x9F, range(0xF4, 0xF5): 0x8F})
_LEAD_BITS = np.array([0, 0x7F, 0x1F, 0x0F, 0x07], dtype=np.int64)
