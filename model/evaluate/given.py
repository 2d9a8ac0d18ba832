"""What a recipe tells the model at a piece, as one class of a few for each attribute, and how it is told anew.

Told anew means: from the text cut after the piece, so that what follows cannot have had a say. An annotator that goes
step by step is handed one piece at a time; any other is given every cut text as if that were all.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from model.columns import ATTRIBUTES as COLUMNS
from model.config import Recipe
from model.context import NO_TAG
from model.evaluate.leak import Annotator, WholeWordTags
from model.views import mask_names

if TYPE_CHECKING:
    from pipeline.prefix import PieceAttributes, PrefixState

Columns: TypeAlias = Mapping[str, NDArray[Any]]
"""The attributes of one document's pieces by name, an array [N] each, as model.columns has them."""

CLASSES = 8
"""Distances are told apart up to 2**6; what is further counts as one class."""


def input_tag(columns: Columns) -> NDArray[np.int64]:
    """The tag that is embedded, and the query's side of `pos`."""
    return columns["input_tag"].astype(np.int64)


def closed_tag(columns: Columns) -> NDArray[np.int64]:
    """The key's side of `pos`: the full tag of the latest piece whose word is closed."""
    closed = np.searchsorted(columns["last_word"], columns["closed_word"], side="left") - 1
    latest = np.minimum(closed, np.arange(len(closed)))
    return np.where(latest >= 0, columns["key_tag"][latest], NO_TAG).astype(np.int64)


def word_open(columns: Columns) -> NDArray[np.int64]:
    """1 where the last word may still go on, so that its tag is not yet the full one."""
    return (columns["last_word"] >= columns["closed_word"]).astype(np.int64)


def word_place(columns: Columns) -> NDArray[np.int64]:
    """Pieces since the word began, to 3: the anchors of a view keep the earlier pieces of a word."""
    first = np.searchsorted(columns["last_word"], columns["first_word"], side="left")
    since = np.arange(len(first)) - first
    return np.where(columns["first_word"] >= 0, np.minimum(since, 3), 0).astype(np.int64)


def sentence_place(columns: Columns) -> NDArray[np.int64]:
    """Pieces since the sentence began, by powers of two: where the views `sentence` and `sentences(k)` end."""
    since = np.arange(len(columns["sentence_start"])) - columns["sentence_start"]
    return np.minimum(np.log2(since + 1), CLASSES - 1).astype(np.int64)


GIVEN: dict[str, Callable[[Columns], NDArray[np.int64]]] = {
    "input_tag": input_tag,
    "closed_tag": closed_tag,
    "word_open": word_open,
    "word_place": word_place,
    "sentence_place": sentence_place,
}
"""Attributes by name: from a document's columns the class of each piece, int64 [N]. A piece's class is read off rows
up to its own, and off the key_tag of closed words."""

GIVEN_BY: dict[str, tuple[str, ...]] = {
    "dense": (),
    "window": (),
    "sentence": ("sentence_place",),
    "sentences": ("sentence_place",),
    "pos": ("input_tag", "closed_tag", "word_open"),
}
"""What each named mask tells; one that is not here may tell anything."""


def attributes_of(recipe: Recipe) -> tuple[str, ...]:
    """The attributes by which a recipe lets the annotation act on what the model says, in the order of GIVEN."""
    views = recipe.model.distinct_views().values()
    told = {name for view in views for mask in mask_names(view) for name in GIVEN_BY.get(mask, tuple(GIVEN))}
    told |= {"input_tag"} if recipe.model.tags else set()
    # A view that sees all has no use for anchors; every other keeps the pieces of the word in sight.
    told |= {"word_place"} if any(str(view) != "dense" for view in views) else set()
    return tuple(name for name in GIVEN if name in told)


@runtime_checkable
class Stepper(Protocol):
    """An annotator that can be handed one piece at a time (pipeline.prefix.PrefixAnnotator)."""

    def start(self) -> "PrefixState": ...
    def step(self, state: "PrefixState", piece: int) -> "tuple[PrefixState, PieceAttributes]": ...


def streamed(annotator: Annotator, ids: NDArray[np.int32]) -> Columns | None:
    """A document's columns as they were when each piece had been read and none after it; None if the annotator cannot
    go step by step. A word's key_tag is that announced when it closed, and NO_TAG if it never did.

    About 150 microseconds a piece.
    """
    if isinstance(annotator, WholeWordTags):
        inner = streamed(annotator.annotator, ids)
        return None if inner is None else _whole_words_so_far(inner)
    return _by_steps(annotator, ids) if isinstance(annotator, Stepper) else None


def _whole_words_so_far(honest: Columns) -> Columns:
    """What a cut text knows of whole-word tags: a closed word's full tag, and of an open one the tag by its characters
    so far. Of a cut word WholeWordTags itself says nothing, and what they gave away would pass for future."""
    closed = honest["last_word"] < honest["closed_word"]
    return {**honest, "input_tag": np.where(closed, honest["key_tag"], honest["input_tag"])}


def _by_steps(annotator: Stepper, ids: NDArray[np.int32]) -> Columns:
    names = [name for name in COLUMNS if name != "key_tag"]
    state, rows = annotator.start(), []
    tags: list[int] = []
    for piece in ids.tolist():
        state, said = annotator.step(state, piece)
        rows.append([getattr(said, name) for name in names])
        tags += said.closed_tags
    columns = dict(zip(names, np.array(rows, np.int64).reshape(-1, len(names)).T, strict=True))
    full = np.array([*tags, NO_TAG], np.int64)
    word = columns["last_word"]
    return {**columns, "key_tag": full[np.where((word >= 0) & (word < len(tags)), word, -1)]}


def cut(annotator: Annotator, ids: NDArray[np.int32], pieces: Sequence[int]) -> NDArray[np.int64]:
    """[attributes of GIVEN, pieces]: the classes of some pieces, each from the ids up to it alone. O(N) a piece."""
    reader, known = (
        (annotator.annotator, _whole_words_so_far) if isinstance(annotator, WholeWordTags) else (annotator, dict)
    )
    told = np.empty((len(GIVEN), len(pieces)), np.int64)
    for place, t in enumerate(pieces):
        attributes = reader.annotate(ids[: t + 1])
        columns: Columns = {name: getattr(attributes, name) for name in COLUMNS}
        told[:, place] = [classes(known(columns))[t] for classes in GIVEN.values()]
    return told
