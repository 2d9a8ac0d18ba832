"""Views by pairs: whether a view allows given pairs of pieces, in the time and memory of as many pairs.

`model.views.view_masks` says it for all pairs of a row, which is N*N of them; kernels that touch few pairs ask here
about those alone. Rows of a batch are laid end to end, so that a place is one number and no block needs to know rows.
Letters: B rows, N pieces of a row, P = B*N places, X blocks of Q queries and K keys.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from model.context import Context
from model.facts import facts_of
from model.masks import bonds_of, tag_rows
from model.views import FIRST_ANCHORS, PREVIOUS_ANCHORS, WORD_ANCHORS, And, Named, Not, Or, Random, View
from pipeline.records import KINDS


@dataclass(frozen=True, eq=False)  # no slots: what is asked for once is kept
class Line:
    """The pieces of a batch, row after row: attributes as in Context, int64 [P] each, places counted along the line."""

    run: Tensor
    """Number of the piece's sequence on the line; -1 is padding."""
    begin: Tensor
    """Place where its sequence begins; for padding, where the run of padding does."""
    sentence_start: Tensor
    first_word: Tensor
    last_word: Tensor
    closed_word: Tensor
    input_tag: Tensor
    key_tag: Tensor
    context: Context
    """Where they come from: time order, bonds, the width of a row."""

    @cached_property
    def word_begin(self) -> Tensor:
        """int64 [P]: where the earliest piece of the piece's word lies, or later: itself if it has none. At most
        WORD_ANCHORS back are looked at."""
        place = torch.arange(len(self.run), device=self.run.device)[:, None]
        earlier = (place - torch.arange(1, WORD_ANCHORS + 1, device=self.run.device)).clamp(min=0)
        first = self.first_word[:, None]
        shared = (self.last_word[earlier] >= first) & (first >= 0) & (earlier >= self.begin[:, None])
        return torch.where(shared, earlier, place).amin(1)

    @cached_property
    def in_32_bits(self) -> Tensor:
        """int32 [8,P]: run, begin, first, last and closed word, input tag, key tag and the tags that input tags see."""
        kept = tag_rows(self.run.device)[self.input_tag]
        each = (self.run, self.begin, self.first_word, self.last_word, self.closed_word, self.input_tag, self.key_tag)
        return torch.stack([*each, kept]).int()


class Pairs(NamedTuple):
    """Blocks of pairs: every query of a block with every key of it."""

    query: Tensor
    """int64 [X,Q] places."""
    key: Tensor
    """int64 [X,K] places, never falling in a block."""


def line_of(context: Context) -> Line:
    """The batch of a context as one line. O(P)."""
    B, N = context.document.shape
    shift_B1 = torch.arange(B, device=context.document.device)[:, None] * N
    begin_P = (context.sequence_start() + shift_B1).flatten()
    place_P = torch.arange(B * N, device=begin_P.device)
    run_P = (begin_P == place_P).cumsum(0).masked_fill(context.document.flatten() < 0, -1)
    return Line(
        run=run_P,
        begin=begin_P,
        sentence_start=(context.sentence_start + shift_B1).flatten(),
        first_word=context.first_word.flatten(),
        last_word=context.last_word.flatten(),
        closed_word=context.closed_word.flatten(),
        input_tag=context.input_tag.flatten(),
        key_tag=context.key_tag.flatten(),
        context=context,
    )


def flat(line: Line) -> Context:
    """The line as the only row of a context, as far as scores of pairs go (model.facts.pair_scores)."""
    context, facts = line.context, facts_of(line.context)
    columns: dict[str, Any] = {name: getattr(facts, name).view(1, -1) for name in facts._fields if name != "selection"}
    row = facts._replace(**columns)
    return context._replace(last_word=line.last_word[None], closed_word=line.closed_word[None], facts=row)


def see(view: View, line: Line, pairs: Pairs) -> Tensor:
    """bool [X,Q,K]: may the query see the key, anchors, documents and time order included? As `model.views.sees`.

    Errors: ValueError for a view that draws keys at random: its choice depends on all pairs.
    """
    query, key = pairs.query[:, :, None], pairs.key[:, None, :]
    back = query - key
    run = line.run[query]
    together = (run == line.run[key]) & (run >= 0)
    if line.context.causal:
        together &= back >= 0
    word = (line.last_word[key] >= line.first_word[query]) & (line.first_word[query] >= 0)
    anchor = word & (back > 0) & (back <= WORD_ANCHORS)
    anchor |= key - line.begin[key] < FIRST_ANCHORS
    anchor |= (back >= 0) & (back <= PREVIOUS_ANCHORS)
    return ((evaluate(view, line, pairs) | anchor) & together) | (back == 0)


def evaluate(view: View, line: Line, pairs: Pairs) -> Tensor:
    """bool, broadcastable to [X,Q,K]: what the expression says, before anchors, documents and time order."""
    match view:
        case Named(name, count):
            return PAIR_MASKS[name](line, pairs, count or 0)
        case Not(of):
            return ~evaluate(of, line, pairs)
        case And(left, right):
            return evaluate(left, line, pairs) & evaluate(right, line, pairs)
        case Or(left, right):
            return evaluate(left, line, pairs) | evaluate(right, line, pairs)
        case Random():
            raise ValueError(f"{view} draws among all keys; it has no form by pairs, so compute it with dense masks")


def dense(line: Line, _pairs: Pairs, _count: int) -> Tensor:
    return torch.ones(1, 1, 1, dtype=torch.bool, device=line.run.device)


def window(_line: Line, pairs: Pairs, count: int) -> Tensor:
    return (pairs.query[:, :, None] - pairs.key[:, None, :]).abs() < count


def sentences(line: Line, pairs: Pairs, count: int) -> Tensor:
    in_reach = pairs.key[:, None, :] >= reach(line, pairs.query, count)[:, :, None]
    if line.context.causal:
        return in_reach
    return in_reach & (pairs.query[:, :, None] >= reach(line, pairs.key, count)[:, None, :])


def reach(line: Line, place: Tensor, count: int) -> Tensor:
    """Where the `count`-th latest sentence of these places begins. It may lie in the sequence before."""
    start = line.sentence_start[place]
    for _ in range(count - 1):
        start = line.sentence_start[(start - 1).clamp(min=0)]
    return start


def pos(line: Line, pairs: Pairs, _count: int) -> Tensor:
    query, key = pairs.query[:, :, None], pairs.key[:, None, :]
    closed = line.last_word[key] < line.closed_word[query]
    tag = torch.where(closed, line.key_tag[key], line.input_tag[key])
    return ((tag_rows(tag.device)[line.input_tag[query]] >> tag) & 1).bool()


def listed(kinds: Collection[str]) -> Callable[[Line, Pairs, int], Tensor]:
    numbers = frozenset(map(KINDS.index, kinds))

    def of_kinds(line: Line, pairs: Pairs, _count: int) -> Tensor:
        (X, Q), K = pairs.query.shape, pairs.key.shape[1]
        slot_E, key_E = listed_keys(line, pairs.query.flatten(), numbers)
        # The place of an entry's key among its block's keys, which ascend from block to block once each has its range.
        block_E, span = slot_E // Q, len(line.run)
        ascending = (pairs.key + torch.arange(X, device=key_E.device)[:, None] * span).flatten()
        at_E = torch.searchsorted(ascending, block_E * span + key_E).clamp(max=X * K - 1)
        found_E = ascending[at_E] == block_E * span + key_E
        mask = torch.zeros(X * Q * K, dtype=torch.bool, device=at_E.device)
        mask[(slot_E * K + at_E - block_E * K)[found_E]] = True
        return mask.view(X, Q, K)

    return of_kinds


def listed_keys(line: Line, place_S: Tensor, kinds: Collection[int]) -> tuple[Tensor, Tensor]:
    """int64 [E] each: for every bond of one of these kinds of the places given, the position of the place in place_S,
    and the key. Pairs may come twice, as in the lists."""
    bonds, N = bonds_of(line.context), line.context.document.shape[1]
    begin_S = bonds.begin.flatten()[place_S].long()
    size_S = bonds.end.flatten()[place_S].long() - begin_S
    slot_E = torch.arange(len(place_S), device=place_S.device).repeat_interleave(size_S)
    entry_E = torch.arange(len(slot_E), device=place_S.device) + (begin_S - size_S.cumsum(0) + size_S)[slot_E]
    kept_E = torch.isin(bonds.kind[entry_E], torch.tensor(sorted(kinds), dtype=bonds.kind.dtype, device=place_S.device))
    slot_E, entry_E = slot_E[kept_E], entry_E[kept_E]
    return slot_E, bonds.key[entry_E] + place_S[slot_E] // N * N  # lists count keys from the beginning of the row


PAIR_MASKS: dict[str, Callable[[Line, Pairs, int], Tensor]] = {
    "dense": dense,
    "window": window,
    "sentence": lambda line, pairs, _: sentences(line, pairs, 1),
    "sentences": sentences,
    "pos": pos,
    "bonds": listed([kind for kind in KINDS if kind != "blocked"]),
    **{kind: listed([kind]) for kind in KINDS},
}
"""The masks of `model.masks.MASKS`, each by pairs; a mask without a line here has no sparse path and fails a test."""
