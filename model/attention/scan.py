"""Linear recurrences whose decay the input chooses, as products of matrices: O(N) time and memory, no loop over pieces.

    state_n = exp(decay_n) * state_(n-1) + B_n x_n'        y_n = C_n' state_n

Inside a chunk the recurrence is a triangular matrix (C_i'B_j) exp(decay_(j+1) + … + decay_i) that multiplies x, and
what came before the chunk is one state: the state-space dual form, section 6 of Dao and Gu 2024. States of chunks are
carried on by the same trick once more, chunks of chunks, so that a row of any length takes few and large products.

Decays stay logarithms until sums over stretches are exponentiated; these are never above 0, so nothing overflows. A
sequence that begins in a row forgets all before it: pairs of different runs are cut, which no decay has to be infinite
for. Letters: B rows, N pieces, H heads, G groups of heads, P width of a head, S of its state, C chunks, Q pieces of
a chunk, F entries of a state.
"""

from typing import NamedTuple

import torch
from torch import Tensor, unflatten
from torch.nn import functional

BLOCK = 32
"""States of chunks that are carried on by one matrix."""


class Carried(NamedTuple):
    """What the pieces so far leave to those that follow."""

    state: Tensor
    """[B,H,F], in at least 32 bits; F is S*P."""
    run: Tensor
    """int64 [B]: the run that it belongs to."""


def scan(
    x_BNHP: Tensor, decay_BNH: Tensor, b_BNGS: Tensor, c_BNGS: Tensor, run_BN: Tensor, chunk: int, before: Carried
) -> tuple[Tensor, Carried]:
    """y, [B,N,H,P], and what is left after it. decay: logarithms, at most 0, in at least 32 bits. run: int64, the same
    number for the pieces of one sequence and no others of the row, 0 or more; they are neighbours."""
    N, P, G = x_BNHP.shape[1], x_BNHP.shape[3], b_BNGS.shape[2]
    Q = min(chunk, N)
    short = -N % Q
    x, b, c = (_chunks(each, Q, short) for each in (x_BNHP, b_BNGS, c_BNGS))  # [B,C,Q,...]
    decay = _chunks(decay_BNH, Q, short).cumsum(2)  # from the chunk's beginning
    run_BCQ = _chunks(run_BN, Q, short, last=True)
    # [B,C,H,Q,Q]; cut before exp: above the diagonal sums are positive, and inf * 0 would be the gradient.
    keep = (run_BCQ[..., :, None] == run_BCQ[..., None, :]).tril()[:, :, None]
    by_head = decay.transpose(2, 3)
    fade = (by_head[..., :, None] - by_head[..., None, :]).masked_fill(~keep, float("-inf")).exp()
    alike = c.transpose(2, 3) @ b.permute(0, 1, 3, 4, 2)  # [B,C,G,Q,Q]
    pairs = alike[:, :, :, None] * unflatten(fade, 2, (G, -1)).to(alike.dtype)
    inside = pairs.flatten(2, 3) @ x.transpose(2, 3)  # [B,C,H,Q,P]

    last_BC = run_BCQ[:, :, -1]
    to_end = (decay[:, :, -1:] - decay).exp() * (run_BCQ == last_BC[..., None])[..., None]
    # Heads of a group share B, so that they are columns of one product.
    written = unflatten(x * to_end[..., None].to(x.dtype), 3, (G, -1)).flatten(4)  # [B,C,Q,G,H/G*P]
    states = b.permute(0, 1, 3, 4, 2) @ written.transpose(2, 3)  # [B,C,G,S,H/G*P]
    states = unflatten(states, 4, (-1, P)).movedim(4, 3).flatten(2, 3).flatten(3)  # [B,C,H,SP]
    with torch.autocast(x.device.type, enabled=False):  # long sums of states want their bits
        # What came before is one chunk more, the first, without decay.
        state = torch.cat([before.state[:, :, None], states.to(decay.dtype).transpose(1, 2)], dim=2)
        through = functional.pad(decay[:, :, -1].transpose(1, 2), (1, 0))
        run_B1C = torch.cat([before.run[:, None], last_BC], dim=1)[:, None]
        state = carry(through, state, run_B1C)
    found = unflatten(unflatten(state[:, :, :-1].transpose(1, 2), 2, (G, -1)), 4, (-1, P)).movedim(3, 4).flatten(4)
    read = c.transpose(2, 3) @ found.to(c.dtype)  # [B,C,G,Q,H/G*P]
    read = unflatten(read, 4, (-1, P)).movedim(4, 3).flatten(2, 3)  # [B,C,H,Q,P]
    since = decay.exp() * (run_BCQ == run_B1C[:, 0, :-1, None])[..., None]
    y = torch.addcmul(inside, read, since.transpose(2, 3)[..., None].to(read.dtype))
    return y.transpose(2, 3).flatten(1, 2)[:, :N], Carried(state[:, :, -1], last_BC[:, -1])


def carry(decay_BHC: Tensor, add_BHCF: Tensor, run_B1C: Tensor) -> Tensor:
    """state_c = exp(decay_c) * state_(c-1) + add_c, [B,H,C,F]; 0 before a run's first. O(C * BLOCK) for any C."""
    C = decay_BHC.shape[-1]
    Q = min(BLOCK, C)
    short = -C % Q
    decay = unflatten(functional.pad(decay_BHC, (0, short)), -1, (-1, Q)).cumsum(-1)
    add = unflatten(functional.pad(add_BHCF, (0, 0, 0, short)), -2, (-1, Q))
    run = unflatten(functional.pad(run_B1C, (0, short), value=-1), -1, (-1, Q))
    keep = (run[..., :, None] == run[..., None, :]).tril()
    fade = (decay[..., :, None] - decay[..., None, :]).masked_fill(~keep, float("-inf")).exp()
    states: Tensor = fade @ add
    if states.shape[2] > 1:
        ends = carry(decay[..., -1], states[..., -1, :], run[..., -1])
        goes_on = run == functional.pad(run[..., -1], (1, -1), value=-1)[..., None]
        since = decay.exp() * goes_on
        states = states + since[..., None] * functional.pad(ends, (0, 0, 1, -1))[..., None, :]
    return states.flatten(2, 3)[:, :, :C]


def _chunks(x: Tensor, size: int, short: int, last: bool = False) -> Tensor:
    """[B,N,...] as [B,C,Q,...], filled up at the end with zeros, or with the last piece's."""
    if short:
        more = x[:, -1:].expand(-1, short, *x.shape[2:]) if last else x.new_zeros(x.shape[0], short, *x.shape[2:])
        x = torch.cat([x, more], dim=1)
    return unflatten(x, 1, (-1, size))
