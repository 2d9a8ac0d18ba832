"""The named masks that views are built of: which keys a query may read, fast for whole rows and slow for one pair.

The slow function is the meaning; the fast one is held to it by the tests. Letters: B rows, N pieces of a row. Masks
say nothing about time order or documents: `model.views` adds both, and the anchors.
"""

from collections.abc import Callable, Collection
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from lexicons.upos import compatible
from model.context import NO_TAG, TAGS, BondLists, Context
from pipeline.records import KINDS


class Mask(NamedTuple):
    """A named mask."""

    fast: Callable[[Context, int], Tensor]
    """(context, count) -> bool, broadcastable to [B,N,N]: query (row) t, key (column) s."""
    slow: Callable[[Context, int, int, int, int], bool]
    """(context, row, t, s, count) -> may t read s? Straight from the definition."""
    near: bool
    """Whether a query's keys are bounded, by nearness or by the caps of bonds, so that the cost is linear in N."""
    counted: bool
    """Whether the name takes a number, as in `window(64)`."""
    bonded: bool = False
    """Whether it reads lists of bonds, so that the context must hold them."""


def dense(context: Context, _count: int) -> Tensor:
    return torch.ones(1, 1, 1, dtype=torch.bool, device=context.document.device)


def dense_slow(_context: Context, _row: int, _t: int, _s: int, _count: int) -> bool:
    return True


def window(context: Context, count: int) -> Tensor:
    place = torch.arange(context.document.shape[1], device=context.document.device)
    return ((place[:, None] - place).abs() < count)[None]


def window_slow(_context: Context, _row: int, t: int, s: int, count: int) -> bool:
    """The last `count` pieces, the piece itself among them; `window(1)` is the piece alone."""
    return abs(t - s) < count


def sentences(context: Context, count: int) -> Tensor:
    start_BN = context.sentence_start
    for _ in range(count - 1):  # it may step into the document before, whose pieces nobody here may see in any case
        start_BN = context.sentence_start.gather(1, (start_BN - 1).clamp(min=0))
    place = torch.arange(start_BN.shape[1], device=start_BN.device)
    key_in_reach = place >= start_BN[:, :, None]
    # A causal query looks back only, where this second half is always true; without order, reach must be mutual.
    return key_in_reach if context.causal else key_in_reach & key_in_reach.transpose(1, 2)


def sentences_slow(context: Context, row: int, t: int, s: int, count: int) -> bool:
    """Each lies within the latest `count` sentences of the other, as known there (for s <= t one half says it all)."""
    return s >= reach_slow(context, row, t, count) and t >= reach_slow(context, row, s, count)


def reach_slow(context: Context, row: int, t: int, count: int) -> int:
    """Where the `count`-th latest sentence begins: from a sentence's first piece, step to the piece before it."""
    document, start = context.document[row], int(context.sentence_start[row, t])
    for _ in range(count - 1):
        if start == 0 or document[start - 1] != document[start]:
            break
        start = int(context.sentence_start[row, start - 1])
    return start


def pos(context: Context, _count: int) -> Tensor:
    # Bit k of a tag's row says that tag k fits it: one shift a pair, where a gather of the table would take three.
    row_BN = tag_rows(context.document.device)[context.input_tag]
    return ((row_BN[:, :, None] >> context.seen_tag()) & 1).bool()


def pos_slow(context: Context, row: int, t: int, s: int, _count: int) -> bool:
    """May the query's tag (by the string so far) and the key's tag (as known at the query) be joined by an arc?

    A piece without a word (spaces, the begin and end of a document) fits nothing, on either side: as a query or a key
    of this mask it has its anchors only.
    """
    closed = bool(context.last_word[row, s] < context.closed_word[row, t])
    query = int(context.input_tag[row, t])
    key = int(context.key_tag[row, s]) if closed else int(context.input_tag[row, s])
    return query != NO_TAG and key != NO_TAG and bool(compatible()[query, key])


@cache
@cache  # a table of constants, a copy on each device
def tag_rows(device: torch.device) -> Tensor:
    """int64 [TAGS]: a tag's row of the table of compatible tags as bits; 0 for NO_TAG."""
    table = torch.zeros(TAGS, TAGS, dtype=torch.int64)
    table[:NO_TAG, :NO_TAG] = torch.from_numpy(compatible().astype("int64"))
    return (table << torch.arange(TAGS)).sum(1).to(device)


def listed(context: Context, kinds: Collection[int]) -> Tensor:
    """bool [B,N,N]: the pairs that stand in the lists of bonds under one of these kinds."""
    B, N = context.document.shape
    bonds = bonds_of(context)
    row_P, query_P, entry_P = pairs_of(bonds)
    kind_P = bonds.kind[entry_P]
    kept_P = torch.isin(kind_P, torch.tensor(sorted(kinds), dtype=kind_P.dtype, device=kind_P.device))
    mask_BNN = torch.zeros(B, N, N, dtype=torch.bool, device=kind_P.device)
    mask_BNN[row_P[kept_P], query_P[kept_P], bonds.key[entry_P[kept_P]].long()] = True
    return mask_BNN


def listed_slow(context: Context, row: int, t: int, s: int, kinds: Collection[int]) -> bool:
    """Is there a bond of one of these kinds from the query's word to the key's?"""
    bonds = bonds_of(context)
    places = range(int(bonds.begin[row, t]), int(bonds.end[row, t]))
    return any(int(bonds.key[at]) == s and int(bonds.kind[at]) in kinds for at in places)


def bonds_of(context: Context) -> BondLists:
    """Errors: ValueError if the context has no lists."""
    if context.bonds is None:
        raise ValueError(
            "this view looks through bonds and its pieces have none; preprocess with "
            "`--parser prefix --piece-bonds causal`, or choose a view without bonds"
        )
    return context.bonds


def pairs_of(bonds: BondLists) -> tuple[Tensor, Tensor, Tensor]:
    """int64 [P] each: row, query and entry of the lists of every pair, in the order of rows and queries."""
    N = bonds.begin.shape[1]
    begin, size = bonds.begin.long().flatten(), (bonds.end - bonds.begin).long().flatten()
    query_P = torch.arange(len(size), device=size.device).repeat_interleave(size)
    entry_P = torch.arange(len(query_P), device=size.device) + (begin - size.cumsum(0) + size)[query_P]
    return query_P // N, query_P % N, entry_P


def _of_kinds(kinds: Collection[str]) -> Mask:
    numbers = frozenset(map(KINDS.index, kinds))

    def fast(context: Context, _count: int) -> Tensor:
        return listed(context, numbers)

    def slow(context: Context, row: int, t: int, s: int, _count: int) -> bool:
        return listed_slow(context, row, t, s, numbers)

    return Mask(fast, slow, near=True, counted=False, bonded=True)


MASKS: dict[str, Mask] = {
    "dense": Mask(dense, dense_slow, near=False, counted=False),
    "window": Mask(window, window_slow, near=True, counted=True),
    "sentence": Mask(lambda context, _: sentences(context, 1),
                     lambda context, row, t, s, _: sentences_slow(context, row, t, s, 1), near=True, counted=False),
    "sentences": Mask(sentences, sentences_slow, near=True, counted=True),
    "pos": Mask(pos, pos_slow, near=False, counted=False),
    "bonds": _of_kinds([kind for kind in KINDS if kind != "blocked"]),
    **{kind: _of_kinds([kind]) for kind in KINDS},
}  # fmt: skip
"""All masks by name. A new one is a fast function, its slow twin, and a line here."""
