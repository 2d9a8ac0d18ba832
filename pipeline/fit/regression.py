"""Logistic regression over families of categories, for the tables of lexicons.odds."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lexicons.odds import Families

LEAST = 0.05
"""Log-odds nearer to 0 are left out of a table."""

Row = tuple[str, str, str, float]


def regression(
    index: Mapping[str, NDArray[np.integer]], families: Families, truth: NDArray[np.bool_], prior: float
) -> dict[str, NDArray[np.float64]]:
    """Coefficients by family, float64 [rows · columns] each, with a Gaussian prior around zero of precision `prior`.

    index: by family, the entry of each observation [E]; truth: bool [E]. By L-BFGS on the whole data: the same data
    give the same numbers. The intercept is added to every entry of the first family of the index.
    """
    import torch  # late: nothing else here needs it

    sizes = [len(families[family][0]) * len(families[family][1]) for family in index]
    before = np.cumsum([0, *sizes])[:-1]
    entry = torch.from_numpy(np.stack([codes + first for codes, first in zip(index.values(), before, strict=True)]))
    target = torch.from_numpy(truth.astype(np.float64))
    value = torch.zeros(sum(sizes) + 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([value], max_iter=200, history_size=20, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        odds = value[-1] + value[entry].sum(dim=0)
        error = torch.nn.functional.binary_cross_entropy_with_logits(odds, target, reduction="sum")
        whole = error + prior / 2 * (value[:-1] ** 2).sum()
        whole.backward()  # type: ignore[no-untyped-call]
        return whole

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    found = value.detach().numpy()
    parts = {
        family: found[first : first + size] for family, first, size in zip(index, before.tolist(), sizes, strict=True)
    }
    first = next(iter(parts))
    return parts | {first: parts[first] + found[-1]}


def named_rows(found: Mapping[str, NDArray[np.float64]], families: Families) -> list[Row]:
    """The rows of a table: all of the first family, which bears the intercept, and of others what is not near 0."""
    rows: list[Row] = []
    for number, (family, values) in enumerate(found.items()):
        ones, others = families[family]
        for place, value in enumerate(values.tolist()):
            if abs(value) >= LEAST or not number:
                rows.append((family, ones[place // len(others)], others[place % len(others)], value))
    return rows


def write_table(title: Sequence[str], rows: Sequence[Row], out: Path) -> None:
    """Write a table of lexicons.odds; title: lines that begin with `#`."""
    lines = [f"{family}\t{one}\t{other}\t{value:.2f}" for family, one, other, value in rows]
    out.write_text("\n".join([*title, "family\tone\tother\tlog_odds", *lines]) + "\n", encoding="utf-8")
