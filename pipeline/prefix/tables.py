"""What the left-to-right annotator has learnt: kinds of characters, abbreviations, and tags by the look of a word.

Strings are kept as 64-bit hashes of their lower-case characters, in sorted arrays. The hash is polynomial,
sum of (code + 1) * BASE**place modulo 2**64, so that one running sum over a text gives that of any stretch of it.
"""

import hashlib
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

BASE = 0x9E3779B97F4A7C15  # odd, hence invertible modulo 2**64; bits of the golden ratio
BASE_INVERSE = pow(BASE, -1, 1 << 64)
MASK = (1 << 64) - 1

SYMBOLIC, NUMERIC, MIXED, LOWERCASE, CAPITAL, INITIAL, UPPERCASE, ADDRESS, ANY = range(9)
"""Shapes of a word: no letter or digit; digits only; both; then by its capitals: none, some, some while it is the first
of its sentence, all of two or more. ADDRESS: letters and one of ADDRESS_SIGNS. ANY: whatever the shape."""

ADDRESS_SIGNS = "@/:"

SHAPE_SALT = [(0xD1B54A32D192ED03 * (2 * shape + 1)) & MASK for shape in range(ANY + 1)]
"""Added to a string's hash, so that one array holds the strings of all shapes."""

SUFFIX = 6
"""Longest suffix looked up, in characters."""

MISSING = 255
"""No tag: the table does not hold the string."""

RULES = 2
"""To be raised whenever the same tables and pieces would give other attributes: it is part of the digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """Arrays as they are stored; keys are sorted, as int64."""

    kind_begin: NDArray[np.int32]
    """First code point of each stretch of characters of one kind."""
    kind_value: NDArray[np.uint8]
    lower_from: NDArray[np.int32]
    """Code points whose lower case is one other character, and which; the curly apostrophe counts as the straight."""
    lower_to: NDArray[np.int32]
    word_key: NDArray[np.int64]
    """Hashes of whole words (with their shape, or ANY), and their tags."""
    word_tag: NDArray[np.uint8]
    prefix_key: NDArray[np.int64]
    """Hashes of beginnings of words, for words that are still open."""
    prefix_tag: NDArray[np.uint8]
    suffix_key: NDArray[np.int64]
    """Hashes of ends of words, for words that the list does not hold."""
    suffix_tag: NDArray[np.uint8]
    shape_tag: NDArray[np.uint8]
    """[8] tag of a word of which only the shape is known."""
    abbreviation_key: NDArray[np.int64]
    """Hashes of letters that take a following period into their word: `mr`, `etc`."""
    cut_key: NDArray[np.int64]
    """Hashes of what is read of a word when it must be cut, `don'` or `cannot`, and how many characters the first part
    has."""
    cut_size: NDArray[np.uint8]
    cut_tag: NDArray[np.uint8]
    """Full tags of those first parts: `do` is AUX before `n't`, whatever it is else."""
    unit_key: NDArray[np.int64]
    """Hashes of letters that are cut from the number before them: `pm`, `k`; none begins with another."""
    bound_key: NDArray[np.int64]
    """Hashes of letters that take a following hyphen into their word: `non`, `e`."""
    ender_key: NDArray[np.int64]
    """Hashes of words with such a period that may yet end a sentence, if a capital follows: `etc.`, `p.m.`."""

    def digest(self) -> str:
        """Twelve hex digits of the tables and of the rules that read them."""
        said = hashlib.sha256(f"prefix rules {RULES}\n".encode())
        for name, array in self.arrays().items():
            said.update(f"{name} {array.dtype} {array.shape}\n".encode() + np.ascontiguousarray(array).tobytes())
        return said.hexdigest()[:12]

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def save(self, path: Path) -> None:
        """Write as safetensors; the same tables give the same bytes."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(save({name: np.ascontiguousarray(array) for name, array in self.arrays().items()}))

    @classmethod
    def load(cls, path: Path) -> "Tables":
        found, names = load_file(path), {field.name for field in fields(cls)}
        if set(found) != names:
            raise ValueError(f"{path} holds the tables {sorted(found)}; an annotator has {sorted(names)}")
        return cls(**found)

    def kinds(self) -> NDArray[np.uint8]:
        """uint8 [0x110001]: kind of every code point, BREAK_CODE included."""
        ends = np.append(self.kind_begin[1:], 0x110001)
        return np.repeat(self.kind_value, ends - self.kind_begin)

    def lower(self) -> NDArray[np.int32]:
        """int32 [0x110001]: lower case of every code point."""
        lower = np.arange(0x110001, dtype=np.int32)
        lower[self.lower_from] = self.lower_to
        return lower


def hash_of(text: str) -> int:
    """Hash of a string that is in lower case already; an unsigned 64-bit number."""
    value = 0
    for char in reversed(text):
        value = (value * BASE + ord(char) + 1) & MASK
    return value


def signed(value: int) -> int:
    """The same 64 bits as int64, as the tables hold them."""
    return value - (1 << 64) if value >> 63 else value


def key_of(text: str, shape: int) -> int:
    """Where the tables hold a lower-case string of some shape."""
    return signed((hash_of(text) + SHAPE_SALT[shape]) & MASK)


def shape_of(uppers: int, letters: int, digits: int, signs: int, initial: bool) -> int:
    """Shape of a string from how many capitals, letters, digits and ADDRESS_SIGNS it has."""
    if letters == 0:
        return NUMERIC if digits else SYMBOLIC
    if signs:
        return ADDRESS
    if digits:
        return MIXED
    if uppers == 0:
        return LOWERCASE
    if uppers == letters and letters > 1:
        return UPPERCASE
    return INITIAL if initial else CAPITAL


def find(keys: NDArray[np.int64], tags: NDArray[np.uint8], wanted: NDArray[np.int64]) -> NDArray[np.uint8]:
    """uint8, as `wanted`: the tag of each key, MISSING where there is none. keys: sorted."""
    if len(keys) == 0:
        return np.full(len(wanted), MISSING, dtype=np.uint8)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, tags[place], np.uint8(MISSING)).astype(np.uint8)


def holds(keys: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.bool_]:
    """bool, as `wanted`: which are among the sorted keys."""
    among: NDArray[np.bool_] = find(keys, np.zeros(len(keys), dtype=np.uint8), wanted) != MISSING
    return among
