"""Attention through views by one kernel forward and two backward, for all near heads of a layer at once.

`model.kernels.program` makes what the kernels are told; `attend_program` computes. It is an operator of PyTorch's own
(torch.library), so `torch.compile` and export see one node with a gradient. Works on CUDA, and on a CPU in Triton's
interpreter (`TRITON_INTERPRET=1`), which tests use. Letters as in model.kernels.lists; H heads, G heads of keys and
values, D width of a head.
"""

from typing import Any

import torch
from torch import Tensor

from model.kernels.program import Launch, Program, Shape
from model.views import FIRST_ANCHORS
from pipeline.records import KINDS

PART = 64
"""Blocks whose gifts to first pieces one program adds up."""
FALLBACK = Launch()
"""Of wide heads, entries of four bytes and learned terms, whatever the shape says."""


def attend_program(
    q_BHND: Tensor,
    k_BGND: Tensor,
    v_BGND: Tensor,
    program: Program,
    learnt_HK: Tensor | None = None,
    precision: str = "",
) -> Tensor:
    """[B,H,N,D]. float32, bfloat16 or float16, D at least 16.

    learnt_HK: [H,1+len(KINDS)], of a program that was asked for it: what a head adds to the score of a pair for each
    point of the words' compatibility, and for a bond of each kind. precision: of float32's products: `ieee` (the
    default), `tf32x3` or `tf32`, as Triton's `dot` says.
    """
    learnt = q_BHND.new_zeros(0, dtype=torch.float32) if learnt_HK is None else learnt_HK.float()
    given = learnt, program.tensors, program.shape.numbers(), precision or "ieee"
    out: Tensor = views_forward(q_BHND, k_BGND, v_BGND.to(q_BHND.dtype), *given)[0]
    return out


@torch.library.custom_op("valency::views_forward", mutates_args=())
def views_forward(
    q: Tensor, k: Tensor, v: Tensor, learnt: Tensor, told: list[Tensor], shape: list[int], precision: str
) -> tuple[Tensor, Tensor]:
    """out as q, and float32 [B,H,N]: of each query the base-2 logarithm of the sum of its weights."""
    from model.kernels.triton_forward import forward_kernel

    items, _, place, bits, codes, *_, slope = told
    cut = Shape.of(shape)
    q, k, v = (_lines(x) for x in (q, k, v))
    (B, H, N, D), out = q.shape, _like(q)
    lse = torch.empty(B, H, N, dtype=torch.float32, device=q.device)
    forward_kernel[(len(items),)](
        q, k, v, out, lse, items, place, bits, codes, slope, learnt,
        *q.stride()[:3], *k.stride()[:3], *v.stride()[:3], *out.stride()[:3],
        N, H, D**-0.5 * LOG2E,
        WHOLE=N % cut.block == 0, EACH=H // k.shape[1], S=cut.block, D=_padded(D), WIDTH=D,
        SLOPED=len(slope) > 0, TERMED=len(learnt) > 0, PRECISION=precision, **_options(cut.forward, q, learnt),
    )  # fmt: skip
    return out, lse


@torch.library.custom_op("valency::views_backward", mutates_args=())
def views_backward(
    q: Tensor, k: Tensor, v: Tensor, learnt: Tensor, out: Tensor, lse: Tensor, up: Tensor,
    told: list[Tensor], shape: list[int], precision: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of q, k, v and learned terms."""
    from model.kernels.triton_backward import keys_kernel, queries_kernel, sink_parts_kernel, sinks_kernel

    items, key_items, *lists, sequence, sequences, slope = told
    k_place, k_bits, k_codes, q_place, q_bits, q_codes = lists
    cut = Shape.of(shape)
    q, k, v, out, up = (_lines(x) for x in (q, k, v, out, up))
    (B, H, N, D), G = q.shape, k.shape[1]
    dq, dk, dv, delta = _like(q), _like(k), _like(v), torch.empty_like(lse)
    wide, extra = _padded(D), {"SLOPED": len(slope) > 0, "TERMED": len(learnt) > 0, "PRECISION": precision}
    X = B * -(-N // cut.block)
    partial = torch.empty(X, H, 2, FIRST_ANCHORS, wide, dtype=torch.float32, device=q.device)
    d_learnt = learnt.new_empty(X, H, len(KINDS) + 1) if len(learnt) else learnt
    queries_kernel[(len(items),)](
        q, k, v, out, up, lse, dq, delta, partial, items, k_place, k_bits, k_codes, slope, learnt, d_learnt,
        *q.stride()[:3], *k.stride()[:3], *v.stride()[:3], *out.stride()[:3], *up.stride()[:3], *dq.stride()[:3],
        N, H, D**-0.5,
        WHOLE=N % cut.block == 0, EACH=H // G, S=cut.block, D=wide, WIDTH=D,
        **extra, **_options(cut.queries, q, learnt),
    )  # fmt: skip
    keys_kernel[(len(key_items),)](
        q, k, v, up, lse, delta, dk, dv, key_items, q_place, q_bits, q_codes, slope, learnt,
        *q.stride()[:3], *k.stride()[:3], *v.stride()[:3], *up.stride()[:3], *dk.stride()[:3], *dv.stride()[:3],
        N, H, D**-0.5,
        WHOLE=N % cut.key_block == 0, EACH=H // G, S=cut.key_block, D=wide, WIDTH=D,
        **extra, **_options(cut.keys, q, learnt),
    )  # fmt: skip
    if len(sequences):
        parts, cut_up = -(-N // (cut.block * PART)), {"EACH": H // G, "D": wide, "C": PART}
        if parts > 1:
            sink_parts_kernel[(len(sequences), G * 2 * FIRST_ANCHORS, parts)](partial, sequences, H, **cut_up)
        sinks_kernel[(len(sequences), G, 2 * FIRST_ANCHORS)](
            partial, dk, dv, sequence, sequences, *dk.stride()[:3], *dv.stride()[:3],
            N, H, PARTS=parts > 1, WIDTH=D, **cut_up,
        )  # fmt: skip
    return dq, dk, dv, d_learnt.sum(0) if len(learnt) else torch.empty_like(learnt)


LOG2E = 1.4426950408889634


@views_forward.register_fake
def _(q: Tensor, k: Tensor, v: Tensor, learnt: Any, told: Any, shape: Any, precision: Any) -> tuple[Tensor, Tensor]:
    return _like(q), q.new_empty(q.shape[:3], dtype=torch.float32)


@views_backward.register_fake
def _(
    q: Tensor, k: Tensor, v: Tensor, learnt: Tensor, out: Any, lse: Any, up: Any, told: Any, shape: Any, precision: Any
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return _like(q), _like(k), _like(v), torch.empty_like(learnt)


def _keep(ctx: Any, inputs: Any, output: Any) -> None:
    q, k, v, learnt, told, shape, precision = inputs
    out, lse = output
    ctx.save_for_backward(q, k, v, learnt, out, lse, *told)
    ctx.shape, ctx.precision = shape, precision


def _back(ctx: Any, up: Tensor, _up_lse: Tensor) -> tuple[Any, ...]:
    q, k, v, learnt, out, lse, *told = ctx.saved_tensors
    grads = views_backward(q, k, v, learnt, out, lse, up, told, ctx.shape, ctx.precision)
    return (*grads, [None] * len(told), None, None)


views_forward.register_autograd(_back, setup_context=_keep)


def _like(x_BHND: Tensor) -> Tensor:
    """[B,H,N,D], laid out so that the heads of a piece lie side by side: what follows then needs no copy."""
    B, H, N, D = x_BHND.shape
    return x_BHND.new_empty(B, N, H, D).transpose(1, 2)


def _lines(x_BHND: Tensor) -> Tensor:
    """The same with neighbouring entries of a head side by side."""
    within = x_BHND.shape[2] * x_BHND.stride(2) < 1 << 31  # kernels count entries of a row in 32 bits
    return x_BHND if x_BHND.stride(-1) == 1 and within else x_BHND.contiguous()


def _options(launch: Launch, q: Tensor, learnt: Tensor) -> dict[str, int]:
    small = q.element_size() == 2 and q.shape[-1] <= 64 and not len(learnt)
    launch = launch if small else FALLBACK
    options = {"T": launch.step, "num_warps": launch.warps, "num_stages": launch.stages}
    return options | ({"maxnreg": launch.registers} if launch.registers else {})


def _padded(width: int) -> int:
    return max(16, 1 << (width - 1).bit_length())
