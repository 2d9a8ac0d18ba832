"""What all parsers share: tags as numbers, trees made whole, and the digest of model and code."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lexicons.upos import UPOS_INDEX
from pipeline.readers import File
from pipeline.records import Strings

UNKNOWN_TAG = UPOS_INDEX["X"]


def tag_numbers(upos: Strings) -> NDArray[np.uint8]:
    """uint8 [W]: positions in UPOS; what is no tag of Universal Dependencies counts as X."""
    numbers = [UPOS_INDEX.get(tag, UNKNOWN_TAG) for tag in upos.values]
    return np.asarray(numbers, dtype=np.uint8)[upos.code]


def single_rooted(head: NDArray[np.int64], sentence: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Heads (rows, -1 for a root) such that every sentence has one root and no head leaves its sentence.

    head: int64 [W], acyclic; sentence: int64 [W], never decreasing. A head in another sentence makes a root; of
    several roots the first stays and the others hang on it. Returns int32 [W], and bool [W]: the roots.
    """
    head = np.where((head >= 0) & (sentence[head] != sentence), -1, head)
    root = np.flatnonzero(head < 0)
    of_sentence, first = np.unique(sentence[root], return_index=True)
    place = np.searchsorted(of_sentence, sentence[root])
    head[root] = root[first][place]
    head[root[first]] = -1
    return head.astype(np.int32), head < 0


def model_digest(files: Iterable[tuple[str, File]], code: Sequence[Path], versions: Sequence[str]) -> str:
    """Twelve hex digits of the model's files (by name and content), of the code that reads them, and of versions."""
    said = blake2b(digest_size=6)
    named: list[tuple[str, File]] = [*sorted(files, key=lambda each: (each[0], str(each[1])))]
    named += [(path.name, path) for path in code]
    for name, content in [*((name, path.read_bytes()) for name, path in named), *((v, b"") for v in versions)]:
        said.update(f"{name}\0{len(content)}\0".encode())
        said.update(content)
    return said.hexdigest()
