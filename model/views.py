"""Views: what one attention head may see, said as an expression over named masks.

    dense     window(64)     sentence     sentences(2)     pos     ~pos     (pos & sentences(2)) | window(8)

`random(VIEW)` is the control of another view: as many keys a query as it has, drawn at random from all that may be
seen. `~` binds tightest, then `&`, then `|`. Whatever the expression says, a piece sees its anchors: itself, up to 16
earlier pieces of its word, the previous two, the first four of its sequence. They hold softmax up where the expression
leaves nothing. Nothing is seen across documents, nor ahead in a causal context. Letters: B rows, N pieces, V views.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, assert_never

import torch
from torch import Tensor

from model.context import Context
from model.masks import MASKS

WORD_ANCHORS, PREVIOUS_ANCHORS, FIRST_ANCHORS = 16, 2, 4


@dataclass(frozen=True, slots=True)
class Named:
    """A mask of the table, with its number if it takes one."""

    name: str
    count: int | None = None

    def __str__(self) -> str:
        return self.name if self.count is None else f"{self.name}({self.count})"


@dataclass(frozen=True, slots=True)
class Not:
    of: "View"

    def __str__(self) -> str:
        return f"~{_inside(self.of, And, Or)}"


@dataclass(frozen=True, slots=True)
class And:
    left: "View"
    right: "View"

    def __str__(self) -> str:
        return f"{_inside(self.left, Or)} & {_inside(self.right, And, Or)}"


@dataclass(frozen=True, slots=True)
class Or:
    left: "View"
    right: "View"

    def __str__(self) -> str:
        return f"{self.left} | {_inside(self.right, Or)}"


@dataclass(frozen=True, slots=True)
class Random:
    of: "View"

    def __str__(self) -> str:
        return f"random({self.of})"


View: TypeAlias = Named | Not | And | Or | Random


def _inside(view: View, *looser: type) -> str:
    """The text of a part, in parentheses if it would bind otherwise without them."""
    return f"({view})" if isinstance(view, looser) else str(view)


def mask_names(view: View) -> Iterator[str]:
    """The names of the masks that a view is built of; some may come twice."""
    match view:
        case Named(name):
            yield name
        case Not(of) | Random(of):  # how many keys are drawn says what the view would have said
            yield from mask_names(of)
        case And(left, right) | Or(left, right):
            yield from mask_names(left)
            yield from mask_names(right)
        case _:
            assert_never(view)


def cost(view: View) -> Literal["linear", "quadratic"]:
    """How the pairs that a view allows may grow with the number of pieces."""
    return "linear" if _bounded(view)[0] else "quadratic"


def _bounded(view: View) -> tuple[bool, bool]:
    """Are the keys of a query bounded by nearness? And those that the view leaves out?"""
    match view:
        case Named(name):
            return MASKS[name].near, name == "dense"  # dense leaves out none
        case Not(of):
            seen, left_out = _bounded(of)
            return left_out, seen
        case And(left, right):
            (seen, left_out), (other_seen, other_left_out) = _bounded(left), _bounded(right)
            return seen or other_seen, left_out and other_left_out
        case Or(left, right):
            (seen, left_out), (other_seen, other_left_out) = _bounded(left), _bounded(right)
            return seen and other_seen, left_out or other_left_out
        case Random(of):
            return _bounded(of)[0], False


def view_masks(views: Sequence[View], context: Context) -> Tensor:
    """bool [B,V,N,N]: may piece t (row) see piece s (column), for each of the views given. O(N*N) time and memory."""
    B, N = context.document.shape
    allowed_BNN, anchors_BNN = allowed(context), anchors(context)
    masks = [(evaluate(view, context) | anchors_BNN) & allowed_BNN for view in views]
    return torch.stack(masks, dim=1) if masks else allowed_BNN.new_zeros(B, 0, N, N)


def evaluate(view: View, context: Context) -> Tensor:
    """bool, broadcastable to [B,N,N]: what the expression says, before anchors, documents and time order."""
    match view:
        case Named(name, count):
            return MASKS[name].fast(context, count or 0)
        case Not(of):
            return ~evaluate(of, context)
        case And(left, right):
            return evaluate(left, context) & evaluate(right, context)
        case Or(left, right):
            return evaluate(left, context) | evaluate(right, context)
        case Random(of):
            return random_keys(of, context)


def random_keys(of: View, context: Context) -> Tensor:
    """bool [B,N,N]: for each query, keys that are no anchors, as many as `of` has, those with the lowest lots.

    A lot follows from where query and key lie in their sequence, so the choice is the same in every batch, at every
    content: sparse at random, as in BigBird (Zaheer et al. 2020). O(N*N log N) time.
    """
    candidates_BNN = allowed(context) & ~anchors(context)
    wanted_BN1 = (evaluate(of, context) & candidates_BNN).sum(-1, keepdim=True)
    place = torch.arange(candidates_BNN.shape[1], device=context.document.device) - context.sequence_start()
    lots_BNN = torch.where(candidates_BNN, lot(place[:, :, None], place[:, None, :]), NO_LOT)
    highest_BN1 = lots_BNN.sort(-1).values.gather(-1, (wanted_BN1 - 1).clamp(min=0))
    return candidates_BNN & (lots_BNN <= highest_BN1) & (wanted_BN1 > 0)


NO_LOT = 1 << 62


def lot(query: Tensor, key: Tensor) -> Tensor:
    """A number for a pair of places (int64, below 2**20), another for every key of one query."""
    mixed = ((query + 1) * 0x9E3779B1 ^ (key + 1) * 0x85EBCA6B) & 0xFFFFFFFF
    mixed = ((mixed >> 16) ^ mixed) * 0x45D9F3B & 0xFFFFFFFF
    mixed = ((mixed >> 16) ^ mixed) * 0x45D9F3B & 0xFFFFFFFF
    return ((mixed >> 16) ^ mixed) << 20 | key


def allowed(context: Context) -> Tensor:
    """bool [B,N,N]: pairs of one document, in a causal context none ahead. Padding sees itself: no row is empty."""
    N = context.document.shape[1]
    place = torch.arange(N, device=context.document.device)
    together = context.document[:, :, None] == context.document[:, None, :]
    together &= context.valid()[:, :, None]
    if context.causal:
        together &= place[:, None] >= place
    return together | (place[:, None] == place)


def anchors(context: Context) -> Tensor:
    """bool [B,N,N]: the pairs that every view keeps (where they are allowed)."""
    place = torch.arange(context.document.shape[1], device=context.document.device)
    back_NN = place[:, None] - place
    earlier_NN = (back_NN > 0) & (back_NN <= WORD_ANCHORS)
    word = (context.last_word[:, None, :] >= context.first_word[:, :, None]) & (context.first_word >= 0)[:, :, None]
    first = (place - context.sequence_start() < FIRST_ANCHORS)[:, None, :]
    return (word & earlier_NN) | first | ((back_NN >= 0) & (back_NN <= PREVIOUS_ANCHORS))


def sees(view: View, context: Context, row: int, t: int, s: int) -> bool:
    """The slow twin of `view_masks`, for one pair: may piece t of a row see piece s? Straight from the definitions."""
    if t == s:
        return True
    document = context.document[row]
    if document[t] != document[s] or document[t] < 0 or (context.causal and s > t):
        return False
    return is_anchor(context, row, t, s) or _holds(view, context, row, t, s)


def is_anchor(context: Context, row: int, t: int, s: int) -> bool:
    """Whether s is an anchor of another piece t of its document: by distance, by place in the sequence, or by word."""
    document = context.document[row]
    among_first = s < FIRST_ANCHORS or document[s - FIRST_ANCHORS] != document[s]
    if 0 < t - s <= PREVIOUS_ANCHORS or among_first:
        return True
    words_t = range(int(context.first_word[row, t]), int(context.last_word[row, t]) + 1)
    words_s = range(int(context.first_word[row, s]), int(context.last_word[row, s]) + 1)
    share_a_word = any(word in words_s for word in words_t if word >= 0)
    return 0 < t - s <= WORD_ANCHORS and share_a_word


def _holds(view: View, context: Context, row: int, t: int, s: int) -> bool:
    match view:
        case Named(name, count):
            return MASKS[name].slow(context, row, t, s, count or 0)
        case Not(of):
            return not _holds(of, context, row, t, s)
        case And(left, right):
            return _holds(left, context, row, t, s) and _holds(right, context, row, t, s)
        case Or(left, right):
            return _holds(left, context, row, t, s) or _holds(right, context, row, t, s)
        case Random(of):
            return s in _random_keys_slow(of, context, row, t)


def _random_keys_slow(of: View, context: Context, row: int, t: int) -> list[int]:
    document = context.document[row]
    start = next(p for p in range(t, -1, -1) if p == 0 or document[p - 1] != document[t])
    last = t if context.causal else max(p for p in range(len(document)) if document[p] == document[t])
    keys = [s for s in range(start, last + 1) if s != t and not is_anchor(context, row, t, s)]
    wanted = sum(_holds(of, context, row, t, s) for s in keys)
    by_lot = sorted(keys, key=lambda s: int(lot(torch.tensor(t - start), torch.tensor(s - start))))
    return by_lot[:wanted]
