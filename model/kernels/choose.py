"""Which path computes the heads of a view: the choice is one function of device, length and how much the view skips.

twin      dense masks through SDPA: the meaning of the others; N*N scores and a bias as large
causal    SDPA with `is_causal`: heads that see all before them, where no row is packed or padded; no bias
sparse    blocks of queries against lists of keys, on a CPU (model.kernels.cpu)
kernel    one Triton kernel for all near heads, on a GPU (model.kernels.triton_views)
flex      FlexAttention over lists of tiles, on a GPU, for what the kernel cannot hold (model.kernels.flex)
"""

from typing import Literal, NamedTuple

import torch

from model.context import Context
from model.kernels.covers import Cover, cover_of, is_covered
from model.kernels.pairs import Line
from model.kernels.plan import QUERIES
from model.views import Named, View

Path = Literal["twin", "causal", "sparse", "kernel", "flex"]


class Measured(NamedTuple):
    """When a path is worth it on a kind of device; `valency bench attention` measures it again."""

    path: Path
    shortest: int
    """Pieces of a row below which it does not pay: making a plan costs what it saves."""
    pair: float
    """What a score of this path costs, in scores of the twin, forward and backward."""
    block: int
    """Queries of a block: so many keys more than its cover a query is computed with."""


SHORTEST = 512
"""Pieces of a row below which nothing but the twin is tried, and no device is asked what a batch holds."""

FLEX = Measured("flex", shortest=2048, pair=1.5, block=128)
MEASURED: dict[str, Measured] = {
    "cpu": Measured("sparse", shortest=512, pair=3.0, block=QUERIES),
    "cuda": FLEX,
}
KERNEL = Measured("kernel", shortest=512, pair=2.0, block=64)
"""Of the kernel, which takes FlexAttention's place in the table once it has been measured on a GPU."""
WIDEST = 128
"""Of the heads that the kernel holds in registers."""


class Choice(NamedTuple):
    """A path, and the cover that its plan is made from."""

    path: Path
    cover: Cover | None = None


def choose(
    view: View, context: Context, line: Line | None, dtype: torch.dtype, *, width: int, sloped: bool = False
) -> Choice:
    """The path for the heads of one view in one batch.

    line: the context's, None to have nothing but dense paths; dtype: of queries and keys; width: of a head; sloped:
    whether scores fall with distance (ALiBi).
    """
    N = context.document.shape[1]
    # A graph, compiled or captured, may not ask how long a list is.
    if N < SHORTEST or torch.compiler.is_compiling() or _is_captured(context.document.device):
        return Choice("twin")
    measured = MEASURED.get(context.document.device.type)
    if measured and measured.path == "kernel" and width > WIDEST:
        measured = FLEX
    long_enough = measured is not None and measured.shortest <= N
    if measured and line and long_enough and is_covered(view) and _is_able(measured.path, dtype, width):
        cover = cover_of(view, line)
        keys = float((cover.high - cover.low).double().mean()) + measured.block
        if keys * measured.pair < N:
            return Choice(measured.path, cover)
    return Choice("causal" if not sloped and _is_triangle(view, context) else "twin")


def _is_able(path: Path, dtype: torch.dtype, width: int) -> bool:
    """The paths of a GPU know neither float64 nor heads narrower than a tensor core's tile."""
    return path not in ("kernel", "flex") or (dtype != torch.float64 and width >= 16)


def _is_captured(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()


def _is_triangle(view: View, context: Context) -> bool:
    """Whether the view allows exactly what comes before: everything, in rows of one sequence each without padding."""
    if view != Named("dense") or not context.causal:
        return False
    return bool((context.document == context.document[:, :1]).all() & (context.document[:, 0] >= 0).all())
