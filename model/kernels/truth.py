"""A view as a table of truth: which of the masks that it names hold decides whether it allows a pair.

A view of n masks is a function of n bits, so 2**n bits say it all; for up to five masks that is one number, which a
kernel looks up instead of following the expression.
"""

from collections.abc import Mapping
from typing import NamedTuple

from model.masks import MASKS
from model.views import And, Named, Not, Or, Random, View

MOST = 5
"""Masks whose table is one number of 32 bits."""


class Truth(NamedTuple):
    """The masks of a view, in the order in which it names them, and its table."""

    masks: tuple[Named, ...]
    table: int
    """Bit b is the view where mask i holds iff bit i of b is set."""


def truth_of(view: View) -> Truth | None:
    """None for a view of more masks than a table holds, and for one that draws its keys."""
    masks: dict[Named, None] = {}
    if not _collect(view, masks) or len(masks) > MOST:
        return None
    order = tuple(masks)
    table = 0
    for bits in range(1 << len(order)):
        table |= _holds(view, {mask: bool(bits >> place & 1) for place, mask in enumerate(order)}) << bits
    return Truth(order, table)


def reads_lists(view: View) -> bool:
    """Whether it names a mask that looks through lists of bonds."""
    masks: dict[Named, None] = {}
    _collect(view, masks)
    return any(MASKS[mask.name].bonded for mask in masks)


def _collect(view: View, masks: dict[Named, None]) -> bool:
    match view:
        case Named():
            masks[view] = None
            return True
        case Not(of):
            return _collect(of, masks)
        case And(left, right) | Or(left, right):
            return _collect(left, masks) and _collect(right, masks)
        case Random():
            return False


def _holds(view: View, of: Mapping[Named, bool]) -> bool:
    match view:
        case Named():
            return of[view]
        case Not(inner):
            return not _holds(inner, of)
        case And(left, right):
            return _holds(left, of) and _holds(right, of)
        case Or(left, right):
            return _holds(left, of) or _holds(right, of)
        case Random():
            raise AssertionError("a view that draws its keys has no table; ask truth_of first")
