"""What WordNet 3.0 (Fellbaum 1998) knows of a word: a mask of features for every single-word lemma.

A lemma has many senses. Its *possible* features are those of any sense; its *typical* ones those whose senses together
hold at least a fifth of the lemma's sense-tagged occurrences, smoothed (`lexicons/compile/wordnet.py` has the rule).
Which synsets stand behind a feature is written in `lexicons/tables/anchors.tsv`. Lemmas of several words are left out:
a word of a parser is one word. The tables are memory-mapped, so that many processes share one copy.
"""

from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lexicons.tables import table
from lexicons.upos import UPOS

PART: dict[str, str] = {"NOUN": "n", "VERB": "v", "ADJ": "a"}
"""WordNet's part of speech of a tag. Other tags, proper nouns among them, have no features here; see `named`."""

_PART_OF_TAG: tuple[str, ...] = tuple(PART.get(tag, "") for tag in UPOS)
_TYPICAL, _POSSIBLE = 0, 1
_REMEMBERED = 300_000
"""Keys whose row is kept, about 30 MB; a text has few words that are not among its first hundred thousand."""
_rows: dict[str, int] = {}
"""Row of each key met so far, -1 where the table has none. Nothing is ever taken out."""


def semantic(lemmas: Sequence[str], upos: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Typical features, uint64 [W], of each lemma [W] under its tag [W] (position in UPOS); 0 for the unknown.

    A pair that is met first is looked up by binary search, and remembered: O(W + new log table). Case does not matter.
    """
    return _of_tagged(lemmas, upos, _features()[_TYPICAL], np.uint64(0))


def possible(lemmas: Sequence[str], upos: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """As `semantic`, for the features of any sense."""
    return _of_tagged(lemmas, upos, _features()[_POSSIBLE], np.uint64(0))


def named(lemmas: Sequence[str]) -> NDArray[np.uint64]:
    """Typical features, uint64 [W], of the proper names that WordNet lists (London: location, Einstein: human), else 0.

    Only senses that WordNet writes with a capital count, so that May is the month.
    """
    return _of_keys([f"{lemma}/p" for lemma in lemmas], _features()[_TYPICAL], np.uint64(0))


def nodes(lemmas: Sequence[str], upos: NDArray[np.uint8]) -> NDArray[np.int32]:
    """The node in `lexicons.taxonomy`, int32 [W], of the most usual sense of each noun; -1 for all other words."""
    return _of_tagged(lemmas, upos, _columns()["nodes"], np.int32(-1))


def lemmas() -> tuple[str, ...]:
    """Every lemma of the table once, of any part of speech, in small letters; some 50 ms."""
    return tuple(dict.fromkeys(key.decode().rpartition("/")[0] for key in _columns()["lemmas"]))


def keys() -> NDArray[np.bytes_]:
    """Every lemma with each of its parts of speech, `lemma/part` in small letters, sorted; S [N], read-only.

    Parts are `n`, `v`, `a`, and `p` for a proper name."""
    return _columns()["lemmas"]


def _of_tagged(lemmas: Sequence[str], upos: NDArray[np.uint8], column: NDArray[Any], missing: Any) -> NDArray[Any]:
    """Look each (lemma, tag) up."""
    parts = map(_PART_OF_TAG.__getitem__, upos.tolist())
    return _of_keys([f"{lemma}/{part}" for lemma, part in zip(lemmas, parts, strict=True)], column, missing)


def _of_keys(keys: Sequence[str], column: NDArray[Any], missing: Any) -> NDArray[Any]:
    """The column's value at each key of the form `lemma/part`, `missing` where the table has no such key."""
    met: Mapping[str, int] = _rows
    if fresh := [*set(keys).difference(met)]:
        found = dict(zip(fresh, _find(fresh).tolist(), strict=True))
        if len(_rows) < _REMEMBERED:
            _rows.update(found)
        else:
            met = ChainMap(found, _rows)
    row = np.fromiter(map(met.__getitem__, keys), np.int64, len(keys))
    return np.where(row >= 0, column[row], missing)


def _find(keys: Iterable[str]) -> NDArray[np.int64]:
    """int64: the row of each key, in small letters, -1 for none."""
    table_keys: NDArray[np.bytes_] = _columns()["lemmas"]
    width = table_keys.dtype.itemsize
    # a key that is too long would be cut and might then equal another; no key of the table is empty
    spelt = [encoded if len(encoded := key.lower().encode()) <= width else b"" for key in keys]
    wanted = np.array(spelt, dtype=table_keys.dtype)
    row = np.minimum(np.searchsorted(table_keys, wanted), len(table_keys) - 1)
    return np.where(table_keys[row] == wanted, row, -1)


def _features() -> NDArray[np.uint64]:
    return _columns()["features"]


@cache
def _columns() -> dict[str, NDArray[Any]]:
    """lemmas: S [N], sorted; features: uint64 [2, N], typical and possible; nodes: int32 [N]."""
    names = ("lemmas", "features", "nodes")
    return {
        name: np.load(table(f"wordnet_{name}.npy"), mmap_mode="r", allow_pickle=False).view(np.ndarray)
        for name in names
    }
