"""Law 1 for the annotator: what a causal model may read at piece t is a function of the pieces up to t.

Plain numpy, no model: the law's test over models cuts and compares in the same way.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline.prefix.state import Attributes

EXACT = ("first_word", "last_word", "closed_word", "sentence_start", "input_tag")
"""Columns that a model reads at piece t itself."""


def prefix_violations(
    annotate: Callable[[NDArray[np.int32]], Attributes],
    ids: NDArray[np.int32],
    cut: int,
    replacement: NDArray[np.int32],
) -> list[str]:
    """What changes up to piece `cut` when the pieces after it are replaced; nothing, if the law holds.

    annotate: the attributes of a document. ids: int32 [N]. replacement: int32 [M], may be empty (the rest is dropped).
    Compares what a model may read at pieces <= cut: the columns of EXACT; of key_tag, keys that a query there may see
    as closed. Says also where the whole document's closed_word or sentence_start decrease.
    """
    whole, other = annotate(ids), annotate(np.concatenate([ids[: cut + 1], replacement]).astype(np.int32))
    found = [f"{name}[{t}] decreases" for name, t in _decreases(whole)]
    for name in EXACT:
        ours, theirs = getattr(whole, name)[: cut + 1], getattr(other, name)[: cut + 1]
        found += [_said(name, int(t), ours[t], theirs[t]) for t in np.flatnonzero(ours != theirs)]
    # The query at the cut sees the most; what it may not see, no earlier one may.
    seen = (whole.last_word < whole.closed_word[cut])[: cut + 1]
    ours, theirs = whole.key_tag[: cut + 1], other.key_tag[: cut + 1]
    found += [_said("key_tag", int(t), ours[t], theirs[t]) for t in np.flatnonzero(seen & (ours != theirs))]
    return found


def _decreases(attributes: Attributes) -> list[tuple[str, int]]:
    columns = ("closed_word", "sentence_start")
    return [(name, int(t) + 1) for name in columns for t in np.flatnonzero(np.diff(getattr(attributes, name)) < 0)]


def _said(name: str, piece: int, ours: object, theirs: object) -> str:
    return f"{name}[{piece}] is {ours}, but {theirs} when later pieces differ"
