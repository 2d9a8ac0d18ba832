"""Controls: the structure that a recipe gives its model, replaced by something of the same shape that says nothing.

    splits = with_control(layer.splits, "random-sentences")

What a recipe gains must be gone under its control; what stays is the gain of the shape alone (reach, sparseness, more
parameters). A control changes columns of one document at a time, from the pieces <= t (law 1 holds as for the honest
ones) and from a seed that is the document's own, made of its id: never of its content, and the same in every split and
every run. The tables it draws from are rebuilt from the training split, so held-out documents change nothing; a
training document is among those that made them, as it is among those that made the model.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from model.columns import ATTRIBUTES, Split
from model.controls.other import other_tags
from model.controls.permuted import permuted_tags
from model.controls.sentences import random_sentences
from model.controls.words import Change, Columns, document_columns
from pipeline.chance import document_seed as document_seed

if TYPE_CHECKING:
    from model.evaluate.leak import Annotator
    from pipeline.prefix import Attributes


def no_change(_train: Split) -> Change:
    """The honest structure."""
    return honest


def honest(_seed: int, _columns: Columns) -> dict[str, NDArray[Any]]:
    """The change that changes nothing."""
    return {}


CONTROLS: dict[str, Callable[[Split], Change]] = {
    "none": no_change,
    "random-sentences": random_sentences,
    "permuted-tags": permuted_tags,
    "other-tags": other_tags,
}
"""All controls by name: from the honest training split to the change of one document's columns, which can be sent to
another process."""


def with_control(splits: Mapping[str, Split], name: str) -> dict[str, Split]:
    """The splits of a cache under a control; cost: some seconds for three million pieces."""
    change = CONTROLS[name](splits["train"])
    return {each: _changed(split, change) for each, split in splits.items()}


def _changed(split: Split, change: Change) -> Split:
    parts = [change(document_seed(name), document_columns(split, at)) for at, name in enumerate(split.documents)]
    made = {name: np.concatenate([part[name] for part in parts]) for name in (parts[0] if parts else {})}
    return replace(split, columns={**split.columns, **made})


@dataclass(frozen=True, slots=True)
class Controlled:
    """An annotator under a control, for one document: what `with_control` stores, rebuilt from ids alone."""

    annotator: "Annotator"
    change: Change
    seed: int
    """`document_seed` of the document's id."""

    def annotate(self, ids: NDArray[np.int32]) -> "Attributes":
        honest = self.annotator.annotate(ids)
        columns: Columns = {"pieces": ids, **{name: getattr(honest, name) for name in ATTRIBUTES}}
        return replace(honest, **self.change(self.seed, columns))
