"""A plain sliding window (as in Beltagy et al. 2020): a query sees `reach` keys up to itself, and nothing else.

Unlike the view `window(n)` it has no anchors: no first pieces, no pieces of the query's word. Computed in blocks
against lists of keys (model.kernels), O(N * reach) time and memory.

Letters: B rows, N pieces, H heads, P places of all rows, X blocks of Q queries and K keys, D width of a head.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from model.attention.heads import Heads, computed_in
from model.attention.info import Info
from model.attention.patterns import allowed_pairs
from model.context import Context
from model.kernels.cpu import attend_sparse
from model.kernels.pairs import Line, line_of
from model.kernels.plan import QUERIES, Plan, joined_blocks, near_codes, plan_from, query_blocks
from model.kernels.threads import undivided
from model.kernels.uncompiled import uncompiled

if TYPE_CHECKING:
    from model.config import ModelConfig


class SparseHeads(Heads):
    """Heads that all see the same few keys. Gives `sees` and `codes`; `look` names what is shared."""

    look: str
    name: str
    """In the table."""

    def sees(self, line: Line, query: Tensor, key: Tensor) -> Tensor:
        """bool, broadcast from places [...]: which keys a query sees, in its own sequence and order left aside."""
        raise NotImplementedError

    def codes(self, line: Line, query: Tensor) -> list[Tensor]:
        """For blocks of queries [X,Q], all keys that any of them may see, as model.kernels.plan has codes."""
        raise NotImplementedError

    def keys(self, at: int, pieces: int, causal: bool) -> list[int]:
        """The keys of the query at a place of a sequence of so many pieces, for the slow twin."""
        raise NotImplementedError

    def prepare(self, context: Context) -> Context:
        """The context with a plan, which layers of one look share."""
        if self.look in context.plans:
            return context
        return context._replace(plans={**context.plans, self.look: self.plan(context)})

    @uncompiled  # how long a list is, the data decides
    @undivided()
    def plan(self, context: Context) -> Plan:
        """Blocks of queries and their keys. O(keys)."""
        line = line_of(context)
        query, again = query_blocks(line, QUERIES)
        blocks = joined_blocks(query, again, self.codes(line, query), line)
        exact = torch.promote_types(computed_in(self.qkv.weight), torch.float32)

        def sees(query: Tensor, key: Tensor) -> Tensor:
            query, key = query[:, :, None], key[:, None, :]
            together = (line.run[query] == line.run[key]) & (line.run[query] >= 0)
            if context.causal:
                together &= key <= query
            return (together & self.sees(line, query, key)) | (key == query)  # padding has itself alone

        return plan_from(blocks, sees, self.slopes, exact)

    def info(self, _x_BNM: Tensor, context: Context) -> Info:
        """Counted in the plan: a pair that is not seen has a bias of -inf there."""
        context, heads = self.prepare(context), self.query_heads
        plan: Plan = context.plans[self.look]
        valid, read = context.valid().flatten(), torch.zeros((), dtype=torch.float64, device=context.document.device)
        for chunk in plan.chunks:
            counts = valid[chunk.query] if chunk.again is None else valid[chunk.query] & ~chunk.again
            read += ((chunk.bias[0] > float("-inf")) & counts[:, :, None]).sum()
        density = float(read / allowed_pairs(context).clamp(min=1))
        return Info(views=(self.name,) * heads, density=(density,) * heads, cost=("linear",) * heads,
                    path=("sparse",) * heads)  # fmt: skip

    def mix(self, q_BHND: Tensor, k_BGND: Tensor, v_BGND: Tensor, context: Context) -> Tensor:
        """[B,H,N,D], of a prepared context."""
        return attend_sparse(q_BHND, k_BGND, v_BGND, context.plans[self.look])


def run_end(line: Line) -> Tensor:
    """int64 [P]: the place after the last of the piece's sequence."""
    place = torch.arange(len(line.begin), device=line.begin.device)
    ends = torch.ones_like(place, dtype=torch.bool)
    ends[:-1] = line.begin[1:] != line.begin[:-1]
    return torch.where(ends, place + 1, len(place)).flip(0).cummin(0).values.flip(0)


class WindowAttention(SparseHeads):
    """A layer of it."""

    def __init__(self, config: "ModelConfig", layer: int = 0) -> None:
        super().__init__(config)
        self.name, self.reach = "window", config.window.reach
        self.look = f"the last {self.reach}" + (" less by distance" if self.slopes else "")

    def sees(self, line: Line, query: Tensor, key: Tensor) -> Tensor:
        """Whether they are fewer than `reach` apart."""
        return (query - key).abs() < self.reach

    def codes(self, line: Line, query: Tensor) -> list[Tensor]:
        """A stretch around each block."""
        return [near_codes(*stretch(line, self.reach), query, line)]

    def keys(self, at: int, pieces: int, causal: bool) -> list[int]:
        """The last ones, and without order the next as well."""
        return list(range(max(0, at - self.reach + 1), at + 1 if causal else min(pieces, at + self.reach)))


def stretch(line: Line, reach: int) -> tuple[Tensor, Tensor]:
    """int64 [P] each: the first place that a window reaches, and the one after the last."""
    place = torch.arange(len(line.run), device=line.run.device)
    high = place + 1 if line.context.causal else torch.minimum(place + reach, run_end(line))
    return torch.maximum(place - reach + 1, line.begin), high


def sparse_slow(layer: SparseHeads, x_BNM: Tensor, context: Context) -> Tensor:
    """The slow twin: one softmax at a time, over the keys that the layer's rule lists for a place of a sequence."""
    q, k, v = layer.inputs(x_BNM, context)
    B, H, N, D = q.shape
    rows = []
    for row in range(B):
        document = context.document[row].tolist()
        for head in range(H):
            group, slope = head * k.shape[1] // H, layer.slopes[head] if layer.slopes else 0.0
            for t in range(N):
                own = [s for s in range(N) if document[s] == document[t]] if document[t] >= 0 else [t]
                keys = [own[at] for at in layer.keys(own.index(t), len(own), context.causal)]
                far = torch.tensor([slope * abs(t - s) for s in keys], dtype=q.dtype)
                weights = (k[row, group, keys] @ q[row, head, t] / D**0.5 - far).softmax(0)
                rows.append(weights @ v[row, group, keys])
    mixed_BHND = torch.stack(rows).view(B, H, N, D)
    mixed_BNM: Tensor = layer.out(mixed_BHND.transpose(1, 2).reshape(x_BNM.shape))
    return mixed_BNM
