"""Attention over a plan of blocks: products of small matrices and a softmax in place, forward and backward.

Letters: H heads of queries, G heads of keys and values, R = H / G queries a key head, P places of a line, D width of
a head, X blocks of a chunk, Q queries and K keys of a block.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from model.kernels.plan import Chunk, Plan
from model.kernels.threads import Heads, heads_by_thread, run_at_once


def attend_sparse(q_BHND: Tensor, k_BGND: Tensor, v_BGND: Tensor, plan: Plan) -> Tensor:
    """Attention of heads that share a plan, [B,H,N,D]. O(pairs of the plan) time and memory.

    Types below 32 bits are computed in 32 bits. A bias of the plan that requires a gradient gets one.
    """
    B, H, N, D = q_BHND.shape
    exact = torch.promote_types(q_BHND.dtype, torch.float32)
    q, k, v = (x.transpose(0, 1).reshape(-1, B * N, D).to(exact) for x in (q_BHND, k_BGND, v_BGND))
    # Autocast would compute the products of 32 bits in 16 again.
    with torch.autocast(q.device.type, enabled=False):
        out: Tensor = _Sparse.apply(q, k, v, plan, *(chunk.bias for chunk in plan.chunks))  # type: ignore[no-untyped-call]
    return out.view(H, B, N, D).transpose(0, 1).to(q_BHND.dtype)


class _Sparse(torch.autograd.Function):
    """q [H,P,D], k and v [G,P,D] to [H,P,D]. The weights are kept for the way back: to compute them anew would cost a
    fifth of it."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, plan: Plan, *biases: Tensor) -> Tensor:
        out = torch.empty_like(q)

        def of_heads(part: Heads) -> list[Tensor]:
            return _forward(part.of(q, k, v, out), plan, [part.bias(bias) for bias in biases])

        ctx.parts = heads_by_thread(q.shape[0], k.shape[0], q.device.type)
        kept = run_at_once(of_heads, ctx.parts)
        ctx.save_for_backward(q, k, v, *biases, *(weight for each in kept for weight in each))
        ctx.plan = plan
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, up: Tensor) -> tuple[Tensor | None, ...]:
        (q, k, v), rest, chunks = ctx.saved_tensors[:3], ctx.saved_tensors[3:], len(ctx.plan.chunks)
        biases, kept = rest[:chunks], rest[chunks:]
        dq, dk, dv = (torch.empty_like(each) for each in (q, k, v))
        wanted = ctx.needs_input_grad[4:]
        d_biases = [torch.zeros_like(bias) if want else None for bias, want in zip(biases, wanted, strict=True)]

        def of_heads(part: Heads) -> None:
            weights = kept[part.number * chunks : (part.number + 1) * chunks]
            into = [None if bias is None else part.bias(bias) for bias in d_biases]
            _backward(part.of(q, k, v, up, dq, dk, dv), ctx.plan, weights, into)

        shared = any(bias is not None and bias.shape[0] == 1 for bias in d_biases)
        run_at_once(of_heads, ctx.parts, in_turn=shared)  # heads that share a bias would write to it at once
        return dq, dk, dv, None, *d_biases


def _forward(tensors: Sequence[Tensor], plan: Plan, biases: Sequence[Tensor]) -> list[Tensor]:
    """tensors: q, k, v, out of some heads. Writes the mixed values to `out`; returns the weights of each chunk."""
    q, k, v, out = tensors
    kept, scale = list[Tensor](), q.shape[-1] ** -0.5
    for chunk, bias in zip(plan.chunks, biases, strict=True):
        block = _Blocks(chunk, q, k)
        score = block.spread(bias)
        score.baddbmm_(block.queries(q), block.keys(k).transpose(1, 2), alpha=scale)
        kept.append(score.softmax(-1))
        out.index_copy_(1, block.query, block.joined(torch.bmm(kept[-1], block.keys(v))))
    return kept


def _backward(
    tensors: Sequence[Tensor], plan: Plan, weights: Sequence[Tensor], d_biases: Sequence[Tensor | None]
) -> None:
    """tensors: q, k, v, the gradient from above, dq, dk, dv of some heads. Writes the last three, adds to d_biases."""
    q, k, v, up, dq, dk, dv = tensors
    for each in (dq, dk, dv):
        each.zero_()
    for chunk, weight, d_bias in zip(plan.chunks, weights, d_biases, strict=True):
        block = _Blocks(chunk, q, k)
        up_block = block.queries(up, once=True)
        dv.index_add_(1, block.key, block.flat(torch.bmm(weight.transpose(1, 2), up_block)))
        d_weight = torch.bmm(up_block, block.keys(v).transpose(1, 2))
        # weight * (what it is worth - what the query's weights are worth together), in one pass
        d_score = torch._softmax_backward_data(d_weight, weight, -1, weight.dtype)
        dq.index_add_(1, block.query, block.joined(torch.bmm(d_score, block.keys(k))))
        dk.index_add_(1, block.key, block.flat(torch.bmm(d_score.transpose(1, 2), block.queries(q))))
        if d_bias is not None:
            d_bias += block.gathered(d_score, d_bias.shape)
    for each in (dq, dk):
        each.mul_(q.shape[-1] ** -0.5)


class _Blocks:
    """How a chunk's parts of tensors [heads,P,D] are laid out for products: [G*X, R*Q or K, D]."""

    def __init__(self, chunk: Chunk, q: Tensor, k: Tensor) -> None:
        self.query, self.key, self.again = chunk.query.flatten(), chunk.key.flatten(), chunk.again
        (self.X, self.Q), self.K = chunk.query.shape, chunk.key.shape[1]
        self.G = k.shape[0]
        self.R = q.shape[0] // self.G

    def queries(self, x: Tensor, once: bool = False) -> Tensor:
        """once: zeros for the queries that fill up a block."""
        x = x.index_select(1, self.query).view(self.G, self.R, self.X, self.Q, -1)
        if once and self.again is not None:
            x.masked_fill_(self.again[:, :, None], 0.0)
        return x.transpose(1, 2).reshape(self.G * self.X, self.R * self.Q, -1)

    def joined(self, x: Tensor) -> Tensor:
        """Back from the layout of queries to [H, X*Q, D]."""
        x = x.view(self.G, self.X, self.R, self.Q, -1).transpose(1, 2)
        return x.reshape(self.G * self.R, self.X * self.Q, -1)

    def keys(self, x: Tensor) -> Tensor:
        return x.index_select(1, self.key).view(self.G * self.X, self.K, -1)

    def flat(self, x: Tensor) -> Tensor:
        """Back from the layout of keys to [G, X*K, D]."""
        return x.view(self.G, self.X * self.K, -1)

    def spread(self, bias: Tensor) -> Tensor:
        """A bias [1 or H,X,Q,K] as scores of its own, [G*X, R*Q, K]."""
        bias = bias.expand(self.G * self.R, -1, -1, -1).reshape(self.G, self.R, *bias.shape[1:]).transpose(1, 2)
        return bias.clone(memory_format=torch.contiguous_format).view(self.G * self.X, self.R * self.Q, self.K)

    def gathered(self, d_score: Tensor, shape: torch.Size) -> Tensor:
        """The gradient of the bias that was spread."""
        d_bias = d_score.view(self.G, self.X, self.R, self.Q, self.K).transpose(1, 2).flatten(0, 1)
        return d_bias.sum_to_size(shape)
