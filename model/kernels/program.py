"""What the kernels of views are told, once a batch for all layers: the lists of tiles, and who starts when and where.

Letters as in model.kernels.lists; H heads, G heads of keys and values.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from model.kernels.covers import Cover
from model.kernels.lists import NOTHING, Asked, Lists, key_lists, query_lists, sinks_of, together
from model.kernels.pairs import Line
from model.kernels.threads import undivided
from model.views import View


class Launch(NamedTuple):
    """How a kernel is started."""

    step: int = 32
    """Places of its lists at a time: one tile or two."""
    warps: int = 4
    stages: int = 2
    registers: int = 0
    """At most so many a thread, where entries have two bytes and heads are no wider than 64; 0: as the compiler will.
    """


class Shape(NamedTuple):
    """How a layer is cut: a small table, chosen by measurement (docs/kernels.md)."""

    block: int = 64
    """Queries of a block."""
    key_block: int = 32
    forward: Launch = Launch(registers=80)
    queries: Launch = Launch(step=64, stages=1, registers=128)
    keys: Launch = Launch(warps=1, stages=3)

    def numbers(self) -> list[int]:
        return [self.block, self.key_block, *self.forward, *self.queries, *self.keys]

    @staticmethod
    def of(numbers: Sequence[int]) -> "Shape":
        """Errors: TypeError where they are not fourteen."""
        block, key_block, *rest = numbers
        launches = [Launch(*rest[at : at + 4]) for at in range(0, len(rest), 4)]
        return Shape(block, key_block, *launches)


SHAPE = Shape()
LONG = 8
"""Times the mean: so long a list is begun before all others."""


class Program(NamedTuple):
    """What the kernels are told about the heads of a layer."""

    tensors: list[Tensor]
    """items of forward and of gradients of queries, items of gradients of keys, lists of keys (place, bits, codes),
    lists of queries (the same), where each piece's sequence begins, sequences with their blocks, slopes."""
    shape: Shape


@undivided()
def program_of(
    views: Sequence[View],
    covers: Mapping[View, Cover],
    line: Line,
    slopes: Sequence[float] = (),
    key_heads: int | None = None,
    shape: Shape = SHAPE,
    asked: Asked = NOTHING,
) -> Program:
    """views: one a head, each with its cover. slopes: of ALiBi, one a head, or none. key_heads: None: as heads. asked:
    what learned terms want to know of pairs.

    O(N * keys of a query). A few dozen operations on the device, and two waits for sizes a view.
    """
    distinct = list(dict.fromkeys(views))
    keys, queries, firsts = list[Lists](), list[Lists](), list[Tensor]()
    for view in distinct:
        cover = covers[view]
        lists, first = key_lists(view, cover, line, shape.block, asked)
        keys.append(lists)
        firsts.append(first)
        queries.append(query_lists(view, cover, line, shape.key_block, shape.block, asked))
    sinks = sinks_of(firsts, line, shape.block)
    load = [len(each.bits) for each in keys]
    heaviest = sorted(range(len(distinct)), key=lambda number: -load[number])
    own = [distinct.index(view) for view in views]
    ranks = [heaviest.index(number) for number in own]
    key_list, query_list = together(keys), together(queries)
    N = line.context.document.shape[1]
    forward = _items(own, ranks, key_list.begin, len(views), (N, shape.block), sinks.first)
    backward = _items(own, ranks, query_list.begin, key_heads or len(views), (N, shape.key_block))
    fall = torch.tensor(slopes, dtype=torch.float32, device=line.run.device)
    told = [forward, backward, *key_list[1:], *query_list[1:], sinks.begin, sinks.sequence, fall]
    return Program(told, shape)


def _items(
    own: Sequence[int],
    ranks: Sequence[int],
    begin: Tensor,
    heads: int,
    cut: tuple[int, int],
    sink: Tensor | None = None,
) -> Tensor:
    """int32 [heads*X,...]: what each program is told, in the order in which they start: head, row, first piece of its
    block, the tiles from-to of each head of views that it works for, and its sink. own: number of each head's view;
    ranks: how wide it is, 0 the widest; cut: pieces of a row and of a block.

    Blocks with far longer lists than others come first, then heads whose views are wide, so that none ends long after
    all others; of like heads, what is near in the text is near in time, for the sake of the cache.
    """
    (N, size), device = cut, begin.device
    X, each = (len(begin) - 1) // len(set(own)), len(own) // heads
    number = torch.tensor([ranks, own], device=device).view(2, heads, each)
    # Heads of one rank share their places in the order: head by head within a block.
    head, x = torch.arange(heads, device=device).repeat_interleave(X), torch.arange(X, device=device).repeat(heads)
    rank, number = number[0].amin(1), number[1]
    at = (number[head] * X + x[:, None])[:, :, None] + torch.arange(2, device=device)
    blocks = -(-N // size)
    columns = [head[:, None], (x // blocks)[:, None], (x % blocks * size)[:, None], begin[at].flatten(1)]
    if sink is not None:
        columns.append(sink[number[head, 0] * X + x][:, None])
    tiles = (columns[3][:, 1::2] - columns[3][:, ::2]).sum(1)
    usual = tiles <= LONG * tiles.double().mean()
    order = torch.argsort((usual * heads + rank[head]) * X + x, stable=True)
    return torch.cat(columns, dim=1)[order].int()
