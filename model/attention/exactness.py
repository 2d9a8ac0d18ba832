"""The dial of linear attention: how far it is from exact attention, by length, feature map and dimension.

    error_by_length(q, k, v, LinearConfig(features="favor", dimension=32), (64, 256, 1024))
    smallest_dimension(q, k, v, target=0.1, features="favor", length=256)

The error of a length is |linear - exact| / |exact|, norms over all heads and the queries that may see more than half
that many keys and no more than that. Letters: B rows, H heads, N pieces, D width of a head.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from model.attention.chunked import attend_chunked, chunks_of
from model.attention.features import FeatureMap
from model.config.linear import LinearConfig
from model.context import Context

DIMENSIONS = (4, 8, 16, 32, 64)
FIT_STEPS, FIT_RATE = 200, 1e-2
"""Of a learned map, which says nothing before it has learnt."""


def error_by_length(
    q_BHND: Tensor, k_BHND: Tensor, v_BHND: Tensor, settings: LinearConfig, lengths: Sequence[int],
    fit_on: tuple[Tensor, Tensor, Tensor] | None = None,
) -> dict[int, float]:  # fmt: skip
    """The relative error by length; 0 where the threshold makes all of its queries exact. Rows are one sequence each.

    fit_on: other queries, keys and values, for a learned map to be fitted to first; None: it stays as drawn. Errors:
    ValueError for a length beyond the pieces given.
    """
    N = q_BHND.shape[2]
    if max(lengths) > N:
        raise ValueError(f"there are {N} pieces and a length is {max(lengths)}; give more, or shorter lengths")
    features = FeatureMap(settings.features, k_BHND.shape[1], q_BHND.shape[3], settings.dimension, settings.seed)
    features = features.to(q_BHND)
    if fit_on is not None and features.map is not None:
        _fit(features, *fit_on)
    with torch.no_grad():
        exact = functional.scaled_dot_product_attention(q_BHND, k_BHND, v_BHND, is_causal=True)
        ours = _linear(features, q_BHND, k_BHND, v_BHND, settings.chunk)
    found = {}
    for length in lengths:
        part = slice(max(length // 2, settings.threshold), length)
        # Queries below the threshold count as exact.
        apart = (ours[:, :, part] - exact[:, :, part]).norm() if part.start < length else torch.tensor(0.0)
        found[length] = float(apart / exact[:, :, length // 2 : length].norm())
    return found


def smallest_dimension(
    q_BHND: Tensor, k_BHND: Tensor, v_BHND: Tensor, *, target: float, features: str, length: int, threshold: int = 0,
    dimensions: Sequence[int] = DIMENSIONS, fit_on: tuple[Tensor, Tensor, Tensor] | None = None,
) -> int | None:  # fmt: skip
    """The smallest of the dimensions whose error at a length meets the target; None if none does."""
    settings = LinearConfig(features=features, threshold=threshold)
    for dimension in sorted(dimensions):
        tried = replace(settings, dimension=dimension)
        if error_by_length(q_BHND, k_BHND, v_BHND, tried, (length,), fit_on)[length] <= target:
            return dimension
    return None


def choose(
    errors: Mapping[str, Mapping[int, Mapping[int, float]]], target: float, length: int
) -> dict[str, int | None]:
    """Of errors by feature map, dimension and length: for each map the smallest dimension that meets the target."""
    return {
        features: next((each for each in sorted(by) if by[each][length] <= target), None)
        for features, by in errors.items()
    }


def _linear(features: FeatureMap, q: Tensor, k: Tensor, v: Tensor, chunk: int) -> Tensor:
    B, _, N, _ = q.shape
    place = torch.zeros(B, N, dtype=torch.int64, device=q.device)
    context = Context(place, place, place, place, place, place, place)
    return attend_chunked(features, q[:, :, None], k, v, chunks_of(context, chunk)).squeeze(2)


def _fit(features: FeatureMap, q: Tensor, k: Tensor, v: Tensor) -> None:
    """Move a learned map towards exact attention's outputs, as Zhang et al. 2024 distil theirs."""
    exact = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    optimizer = torch.optim.Adam(features.parameters(), lr=FIT_RATE)
    for _ in range(FIT_STEPS):
        optimizer.zero_grad()
        (_linear(features, q, k, v, 64) - exact).square().mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
