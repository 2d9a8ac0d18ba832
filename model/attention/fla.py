"""Linear attention by the kernels of flash-linear-attention (Yang and Zhang 2024), on a GPU; `chunked` is its twin.

The batch goes in as one line of sequences of various lengths, so nothing is carried from one to the next. Letters as in
model.attention.chunked.
"""

from typing import Any

import torch
from torch import Tensor

from model.context import Context
from model.kernels.uncompiled import uncompiled


@uncompiled
def attend_fla(phi_q: Tensor, phi_k: Tensor, v_BGND: Tensor, context: Context) -> Tensor:
    """[B,G,E,N,D]. phi_q: [B,G,E,N,R]; phi_k: [B,G,N,R].

    Errors: ValueError where the package is missing, off a GPU, or where pieces see ahead.
    """
    if not context.causal:
        raise ValueError("flash-linear-attention is causal and the context is not; set linear.backend to 'torch'")
    if phi_q.device.type != "cuda":
        raise ValueError(
            f"flash-linear-attention computes on a GPU and the tensors lie on {phi_q.device}; "
            "set linear.backend to 'torch'"
        )
    chunk = kernel()
    B, G, E, N, _ = phi_q.shape
    cuts = (context.sequence_start() == torch.arange(N, device=phi_q.device)).flatten().nonzero().squeeze(1)
    ends = torch.cat([cuts, cuts.new_tensor([B * N])])

    def line(x_BGEND: Tensor) -> Tensor:
        """[1,B*N,G*E,width]"""
        return x_BGEND.permute(0, 3, 1, 2, 4).reshape(1, B * N, G * E, -1)

    k, v = (x[:, :, None].expand(-1, -1, E, -1, -1) for x in (phi_k, v_BGND))
    v1 = torch.cat([v, torch.ones_like(v[..., :1])], dim=-1)  # the last column adds up the weights
    out, _ = chunk(line(phi_q), line(k), line(v1), scale=1.0, cu_seqlens=ends)
    both = out.view(B, N, G, E, -1).permute(0, 2, 3, 1, 4)
    mixed: Tensor = both[..., :-1] / both[..., -1:]
    return mixed


def kernel() -> Any:
    """`chunk_simple_gla`, which without gates is linear attention. Errors: ValueError if the package is missing."""
    try:
        from fla.ops.simple_gla import chunk_simple_gla  # type: ignore[import-not-found]
    except ImportError as error:
        raise ValueError(
            f"linear.backend is 'fla' and flash-linear-attention is not to be had ({error}); "
            "pip install flash-linear-attention, or set linear.backend to 'torch'"
        ) from error
    return chunk_simple_gla
