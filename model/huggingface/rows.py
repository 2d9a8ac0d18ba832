"""The last rows of the views' masks, for a model that goes on: what new pieces may see, in O(N) a piece.

Equal to the same rows of `model.views.view_masks`, which makes all N of them; a mask that is not in the table here
is made whole and cut. Letters: B rows, N pieces so far, n new ones, V views.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from model.context import Context
from model.masks import dense, tag_rows
from model.views import FIRST_ANCHORS, PREVIOUS_ANCHORS, WORD_ANCHORS, And, Named, Not, Or, View, evaluate


def last_rows(views: Sequence[View], context: Context, first: int) -> Tensor:
    """bool [B,V,n,N]: may piece t (row) see piece s (column), for t from `first` on. The context must be causal."""
    assert context.causal  # who reads both ways does not go on
    allowed_BnN, anchors_BnN = _allowed(context, first), _anchors(context, first)
    return torch.stack([(_evaluate(view, context, first) | anchors_BnN) & allowed_BnN for view in views], dim=1)


def _evaluate(view: View, context: Context, first: int) -> Tensor:
    match view:
        case Named(name, count) if name in LAST:
            return LAST[name](context, count or 0, first)
        case Not(of):
            return ~_evaluate(of, context, first)
        case And(left, right):
            return _evaluate(left, context, first) & _evaluate(right, context, first)
        case Or(left, right):
            return _evaluate(left, context, first) | _evaluate(right, context, first)
        case _:
            B, N = context.document.shape
            return evaluate(view, context).expand(B, N, N)[:, first:]


def _window(context: Context, count: int, first: int) -> Tensor:
    place = _places(context)
    return (place[first:, None] - place < count)[None]


def _sentences(context: Context, count: int, first: int) -> Tensor:
    start_Bn = context.sentence_start[:, first:]
    for _ in range(count - 1):
        start_Bn = context.sentence_start.gather(1, (start_Bn - 1).clamp(min=0))
    return _places(context) >= start_Bn[:, :, None]


def _pos(context: Context, _count: int, first: int) -> Tensor:
    closed = context.last_word[:, None, :] < context.closed_word[:, first:, None]
    seen_BnN = torch.where(closed, context.key_tag[:, None, :], context.input_tag[:, None, :])
    row_Bn = tag_rows(context.document.device)[context.input_tag[:, first:]]
    return ((row_Bn[:, :, None] >> seen_BnN) & 1).bool()


LAST: Mapping[str, Callable[[Context, int, int], Tensor]] = {
    "dense": lambda context, count, _first: dense(context, count),
    "window": _window,
    "sentence": lambda context, _count, first: _sentences(context, 1, first),
    "sentences": _sentences,
    "pos": _pos,
}
"""Masks by name: (context, count, first) -> bool, broadcastable to [B,n,N]."""


def _allowed(context: Context, first: int) -> Tensor:
    place = _places(context)
    together = context.document[:, first:, None] == context.document[:, None, :]
    together &= context.valid()[:, first:, None] & (place[first:, None] >= place)
    return together | (place[first:, None] == place)


def _anchors(context: Context, first: int) -> Tensor:
    place = _places(context)
    back_nN = place[first:, None] - place
    first_word_Bn = context.first_word[:, first:]
    word = (context.last_word[:, None, :] >= first_word_Bn[:, :, None]) & (first_word_Bn >= 0)[:, :, None]
    begins = (place - context.sequence_start() < FIRST_ANCHORS)[:, None, :]
    earlier_nN = (back_nN > 0) & (back_nN <= WORD_ANCHORS)
    return (word & earlier_nN) | begins | ((back_nN >= 0) & (back_nN <= PREVIOUS_ANCHORS))


def _places(context: Context) -> Tensor:
    return torch.arange(context.document.shape[1], device=context.document.device)
