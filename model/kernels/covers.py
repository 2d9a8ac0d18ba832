"""Where a view's keys can lie: for every query a stretch around it, and which lists of bonds reach beyond.

A cover may hold more than the view allows, never less; what it holds too much is masked out pair by pair. It takes O(P)
to find, so that what lies outside is never looked at. Letters: P places of a line (model.kernels.pairs).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from model.kernels.pairs import Line, reach
from model.kernels.threads import undivided
from model.masks import MASKS
from model.views import PREVIOUS_ANCHORS, WORD_ANCHORS, And, Named, Not, Or, Random, View
from pipeline.records import KINDS


class Cover(NamedTuple):
    """Keys of each query: the places low ... high - 1, those of its lists of these kinds, and its sequence's first."""

    low: Tensor
    """int64 [P]"""
    high: Tensor
    """int64 [P]"""
    kinds: frozenset[int] = frozenset()
    """Positions in pipeline.records.KINDS."""


def is_covered(view: View) -> bool:
    """Whether a cover can be given: every key is near its query, or in a list."""
    return _is_covered(view, False)


@undivided()
def cover_of(view: View, line: Line) -> Cover:
    """The cover of a view for which `is_covered`, anchors and time order included; stretches lie in the sequence."""
    place = torch.arange(len(line.run), device=line.run.device)
    nothing = Cover(place, place + 1)
    cover = _cover(view, False, line, nothing)
    assert cover is not None, f"{view} has no cover; ask is_covered first"
    low, high, kinds = cover
    word = torch.maximum(line.word_begin, place - WORD_ANCHORS)
    low = torch.minimum(torch.minimum(low, word), place - PREVIOUS_ANCHORS)
    high = place + 1 if line.context.causal else torch.maximum(high, place + 1).clamp(max=len(place))
    return Cover(torch.maximum(low, line.begin), high, kinds)


def _is_covered(view: View, left_out: bool) -> bool:
    match view:
        case Named(name):
            return name == "dense" if left_out else MASKS[name].near
        case Not(of):
            return _is_covered(of, not left_out)
        case And(left, right) | Or(left, right):
            parts = (_is_covered(left, left_out), _is_covered(right, left_out))
            return any(parts) if isinstance(view, Or) == left_out else all(parts)
        case Random():
            return False


def _cover(view: View, left_out: bool, line: Line, nothing: Cover) -> Cover | None:
    """The cover of what a view allows, or of what it leaves out; None where there is no bound."""
    match view:
        case Named(name, count):
            if left_out:
                return nothing if name == "dense" else None
            return _named(name, count or 0, line, nothing)
        case Not(of):
            return _cover(of, not left_out, line, nothing)
        case And(left, right) | Or(left, right):
            one, other = (_cover(each, left_out, line, nothing) for each in (left, right))
            # What `a | b` leaves out is what both leave out.
            return _both(one, other) if isinstance(view, Or) == left_out else _either(one, other)
        case Random():
            return None


def _named(name: str, count: int, line: Line, nothing: Cover) -> Cover | None:
    if MASKS[name].bonded:
        kinds = [kind for kind in KINDS if kind != "blocked"] if name == "bonds" else [name]
        return nothing._replace(kinds=frozenset(map(KINDS.index, kinds)))
    place = nothing.low
    match name:
        case "window":
            return Cover(place - count + 1, place + count)
        case "sentence" | "sentences":
            begin = reach(line, place, count or 1)
            # A later piece sees back to its reach, and so must it be seen: up to the last whose reach is at or before.
            earliest = begin.flip(0).cummin(0).values.flip(0)
            return Cover(begin, torch.searchsorted(earliest, place, right=True))
        case _:
            return None


def _both(one: Cover | None, other: Cover | None) -> Cover | None:
    """A cover of what both hold: either of the two would do, so take the one that needs no lists."""
    if one is None or other is None:
        return one or other
    if one.kinds or other.kinds:
        return other if one.kinds else one
    return Cover(torch.maximum(one.low, other.low), torch.minimum(one.high, other.high))


def _either(one: Cover | None, other: Cover | None) -> Cover | None:
    if one is None or other is None:
        return None
    return Cover(torch.minimum(one.low, other.low), torch.maximum(one.high, other.high), one.kinds | other.kinds)
