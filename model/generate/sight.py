"""What the newest piece may see of the pieces that are kept, and which of them nobody will see again.

`seen` says for one query what `model.views.evaluate` says for all. `earliest` is what lets a cache forget: a bound that
only ever moves forward. Letters: V views, R recent pieces, which stand one after another up to the newest.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from lexicons.upos import compatible
from model.context import NO_TAG, TAGS
from model.masks import MASKS
from model.views import PREVIOUS_ANCHORS, WORD_ANCHORS, And, Named, Not, Or, Random, View, cost, lot

Bools: TypeAlias = NDArray[np.bool_]
Ints: TypeAlias = NDArray[np.int64]

NEVER = 1 << 62
"""A place that no text reaches."""

FITS = np.zeros((TAGS, TAGS), bool)
"""Whose tag fits whose, query first; NO_TAG fits none (model.masks.pos)."""
FITS[:NO_TAG, :NO_TAG] = compatible()


@dataclass(frozen=True, slots=True)
class Sight:
    """The newest piece's side, and what it knows of the recent pieces: itself the last, the first four left out."""

    place: int
    """Of the newest piece in its document."""
    first_word: int
    tag: int
    reach: Callable[[int], int]
    """count -> where its `count`-th latest sentence begins; anything lower where that is forgotten already."""
    places: Ints
    """[R]"""
    last_words: Ints
    """[R]"""
    tags: NDArray[np.uint8]
    """[R]: as the newest piece knows them: the full tag where the word is closed."""


class Eye(NamedTuple):
    """A named mask as one query uses it."""

    seen: Callable[[Sight, int], Bools]
    """(sight, count) -> bool [R]."""
    earliest: Callable[[Sight, int], int]
    """(sight, count) -> no later query sees an earlier place by it; 0: it may see any."""
    left_out: int = 0
    """Likewise of those that the mask leaves out, which `~` sees."""


def _anywhere(_sight: Sight, _count: int) -> int:
    return 0


EYES: dict[str, Eye] = {
    "dense": Eye(lambda sight, _: np.ones(len(sight.places), bool), _anywhere, NEVER),
    "window": Eye(
        lambda sight, count: sight.places > sight.place - count, lambda sight, count: sight.place + 2 - count
    ),
    # Where the latest sentences begin never moves back, so neither does what later pieces see of them.
    "sentence": Eye(lambda sight, _: sight.places >= sight.reach(1), lambda sight, _: sight.reach(1)),
    "sentences": Eye(lambda sight, count: sight.places >= sight.reach(count), lambda sight, count: sight.reach(count)),
    "pos": Eye(lambda sight, _: FITS[sight.tag][sight.tags], _anywhere),
}
"""The named masks that a stream knows. Those through bonds are not among them: bonds would have to be made as the text
grows."""


def check(view: View) -> None:
    """Errors: ValueError if a stream cannot tell what the view allows."""
    for name in _names(view):
        if name not in EYES:
            why = "looks through bonds, which are not yet made while a text grows" if MASKS[name].bonded else "is new"
            raise ValueError(f"the view {view} cannot be generated with: {name} {why}; use {', '.join(EYES)}")


def forgets(view: View) -> bool:
    """Whether places that are left behind are never seen again: a near view, and no lots drawn among all places."""
    return cost(view) == "linear" and not _draws(view)


def seen(views: Sequence[View], sight: Sight) -> Bools:
    """bool [V,R]: which recent pieces the newest may see by each of the views, their anchors among them."""
    anchors_R = anchors(sight)
    return np.stack([_said(view, sight) | anchors_R for view in views])


def anchors(sight: Sight) -> Bools:
    """bool [R]: the recent pieces that every view keeps (the first four of the sequence come besides)."""
    anchors_R = np.zeros(len(sight.places), bool)
    anchors_R[-1 - PREVIOUS_ANCHORS :] = True
    if sight.first_word >= 0:
        anchors_R[-1 - WORD_ANCHORS :] |= sight.last_words[-1 - WORD_ANCHORS :] >= sight.first_word
    return anchors_R


def earliest(view: View, sight: Sight) -> tuple[int, int]:
    """No query after this one sees a place before the first of these numbers by the view, anchors left out; nor before
    the second by its opposite."""
    match view:
        case Named(name, count):
            return EYES[name].earliest(sight, count or 1), EYES[name].left_out
        case Not(of):
            by, opposite = earliest(of, sight)
            return opposite, by
        case And(left, right):
            (by, opposite), (other_by, other_opposite) = earliest(left, sight), earliest(right, sight)
            return max(by, other_by), min(opposite, other_opposite)
        case Or(left, right):
            (by, opposite), (other_by, other_opposite) = earliest(left, sight), earliest(right, sight)
            return min(by, other_by), max(opposite, other_opposite)
        case Random():
            return 0, 0


def _said(view: View, sight: Sight) -> Bools:
    match view:
        case Named(name, count):
            return EYES[name].seen(sight, count or 1)
        case Not(of):
            return ~_said(of, sight)
        case And(left, right):
            return _said(left, sight) & _said(right, sight)
        case Or(left, right):
            return _said(left, sight) | _said(right, sight)
        case Random(of):
            return _drawn(of, sight)


def _drawn(of: View, sight: Sight) -> Bools:
    """model.views.random_keys for one query: it needs all places, none forgotten."""
    candidates_R = ~anchors(sight)
    wanted = int((_said(of, sight) & candidates_R).sum())
    lots_R = lot(torch.tensor(sight.place), torch.from_numpy(sight.places)).numpy()
    drawn_R = np.zeros(len(lots_R), bool)
    candidates = np.flatnonzero(candidates_R)
    drawn_R[candidates[np.argsort(lots_R[candidates])[:wanted]]] = True
    return drawn_R


def _names(view: View) -> set[str]:
    match view:
        case Named(name):
            return {name}
        case Not(of) | Random(of):
            return _names(of)
        case And(left, right) | Or(left, right):
            return _names(left) | _names(right)


def _draws(view: View) -> bool:
    match view:
        case Named():
            return False
        case Not(of):
            return _draws(of)
        case And(left, right) | Or(left, right):
            return _draws(left) or _draws(right)
        case Random():
            return True
