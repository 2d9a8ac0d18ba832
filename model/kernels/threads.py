"""Heads shared out among threads: each computes its heads from end to end, so they meet once, not in every product.

PyTorch would divide each operation among its threads and have them wait for each other after it; a block's products
are so small that the waiting costs more than they do, most of all where other programs want the cores as well.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

Found = TypeVar("Found")


class Heads(NamedTuple):
    """A thread's share: some heads of keys and all heads of queries that share them."""

    number: int
    queries: slice
    keys: slice
    all_keys: int

    def of(self, *tensors: Tensor) -> list[Tensor]:
        """Its heads of tensors [H,P,D] and [G,P,D], without a copy."""
        return [x[self.keys] if x.shape[0] == self.all_keys else x[self.queries] for x in tensors]

    def bias(self, bias: Tensor) -> Tensor:
        return bias if bias.shape[0] == 1 else bias[self.queries]


def heads_by_thread(heads: int, key_heads: int, device: str = "cpu") -> list[Heads]:
    """Shares as even as whole groups allow, one for each of PyTorch's threads at most; one in all off the CPU."""
    each, threads = heads // key_heads, min(torch.get_num_threads() if device == "cpu" else 1, key_heads)
    cuts = [number * key_heads // threads for number in range(threads + 1)]
    bounds = pairwise(cuts)
    return [Heads(n, slice(one * each, two * each), slice(one, two), key_heads) for n, (one, two) in enumerate(bounds)]


def run_at_once(work: Callable[[Heads], Found], parts: Sequence[Heads], in_turn: bool = False) -> list[Found]:
    """What `work` finds for each part, without gradients; the last part is done by the thread that asks."""
    if len(parts) == 1 or in_turn:
        return [_alone(work, part) for part in parts]
    running = [_pool(os.getpid(), len(parts)).submit(_alone, work, part) for part in parts[:-1]]
    try:
        with undivided():
            last = _alone(work, parts[-1])
    finally:
        found = [each.result() for each in running]
    return [*found, last]


@contextmanager
def undivided() -> Iterator[None]:
    """Operations of this thread are not divided among others."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _alone(work: Callable[[Heads], Found], part: Heads) -> Found:
    # A thread of a pool knows nothing of the modes of the one that asks.
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        return work(part)


@cache
def _pool(_process: int, threads: int) -> ThreadPoolExecutor:
    """Threads that do not divide their operations. By process: a child that was forked has none of its parent's."""
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads - 1, "valency-attention", initializer=torch.set_num_threads, initargs=(1,))
    for each in [pool.submit(torch.get_num_threads) for _ in range(threads - 1)]:
        assert each.result() == 1
    torch.set_num_threads(before)  # a thread's number is also what threads that start later begin with
    return pool
