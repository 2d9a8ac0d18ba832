"""BigBird (Zaheer et al. 2020): a window, the first pieces of the sequence, and blocks drawn at random.

Where order is no matter, the first pieces are global both ways: they see all, and all see them. In causal order every
query sees the first, and random blocks are drawn among those before its own. What a block of queries draws follows from
the seed, the layer and the block's number in its sequence (and, without order, from how many blocks the sequence has);
unlike in the paper, the heads of a layer draw alike. O(N) time and memory. Letters: P places of all rows, X blocks of
Q queries.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from model.attention.window import SparseHeads, run_end, stretch
from model.dropout import step_key
from model.kernels.pairs import Line
from model.kernels.plan import near_codes

if TYPE_CHECKING:
    from model.config import ModelConfig


class BigBirdAttention(SparseHeads):
    """A layer of it."""

    def __init__(self, config: "ModelConfig", layer: int = 0) -> None:
        super().__init__(config)
        self.name, self.settings, self.layer = "bigbird", config.bigbird, layer
        self.look = f"bigbird {self.settings} {layer}" + (" less by distance" if self.slopes else "")

    def sees(self, line: Line, query: Tensor, key: Tensor) -> Tensor:
        """Near, or first, or in a block that the query's block draws."""
        settings = self.settings
        at_query, at_key = query - line.begin[query], key - line.begin[key]
        seen = ((query - key).abs() < settings.reach) | (at_key < settings.first)
        if not line.context.causal:
            seen = seen | (at_query < settings.first)
        for number in range(settings.random):
            seen = seen | (self.drawn(line, query, number) == at_key // settings.block)
        return seen

    def drawn(self, line: Line, query: Tensor, number: int) -> Tensor:
        """int64: the block of the sequence that is the query's draw of this number; -1 where there is none."""
        block = (query - line.begin[query]) // self.settings.block
        if line.context.causal:
            among = block
        else:
            among = (run_end(line)[query] - line.begin[query] - 1) // self.settings.block + 1
        draw = _draw(self.settings.seed, self.layer, block, number, among.clamp(min=1))
        return draw.masked_fill(among < 1, -1)

    def codes(self, line: Line, query: Tensor) -> list[Tensor]:
        """A stretch around each block of queries, the first pieces of their sequences, and the blocks they draw."""
        settings, begin = self.settings, line.begin
        low, high = stretch(line, settings.reach)
        if not line.context.causal:
            place = torch.arange(len(begin), device=begin.device)
            all_seen = place - begin < settings.first
            low, high = torch.where(all_seen, begin, low), torch.where(all_seen, run_end(line), high)
        codes = [near_codes(low, high, query, line)]
        number = torch.arange(len(query), device=query.device)[:, None].expand_as(query)
        if settings.first:
            codes.append(_spread(number, begin[query], settings.first, line))
        for each in range(settings.random):
            drawn = self.drawn(line, query, each)
            had = drawn >= 0
            first = begin[query][had] + drawn[had] * settings.block
            codes.append(_spread(number[had], first, settings.block, line))
        return codes

    def keys(self, at: int, pieces: int, causal: bool) -> list[int]:
        """Near, first and drawn ones, each once."""
        settings, found = self.settings, set[int]()
        block, among = at // settings.block, at // settings.block if causal else -(-pieces // settings.block)
        for number in range(settings.random if among else 0):
            first = _draw(settings.seed, self.layer, torch.tensor(block), number, torch.tensor(among)) * settings.block
            found |= set(range(int(first), int(first) + settings.block))
        found |= set(range(at - settings.reach + 1, at + settings.reach)) | set(range(settings.first))
        if not causal and at < settings.first:
            found = set(range(pieces))
        return [key for key in sorted(found) if 0 <= key < (at + 1 if causal else pieces)]


def _draw(seed: int, layer: int, block: Tensor, number: int, among: Tensor) -> Tensor:
    """int64: a block below `among`, by a hash of all that it may depend on."""
    key = step_key(torch.tensor(seed, device=block.device), torch.tensor(layer))
    return step_key(step_key(key, block), torch.tensor(number)) % among


def _spread(number: Tensor, first: Tensor, count: int, line: Line) -> Tensor:
    """Codes of so many keys from a first one on, for blocks of queries by number; within the row."""
    P, N = len(line.run), line.context.document.shape[1]
    # Each stretch once: neighbours share theirs, and there are `count` times as many keys to sort.
    start: Tensor = (number * P + first).flatten().unique()  # type: ignore[no-untyped-call]
    first = start % P
    key = torch.minimum(first[:, None] + torch.arange(count, device=first.device), (first[:, None] // N + 1) * N - 1)
    return (start[:, None] // P * P + key).flatten()
