"""Sentiment of film reviews (Maas et al. 2011) by a linear probe on frozen hidden states.

A review is read as a document of its own, in rows of the length of training; the mean of the last hidden states over
its pieces is what the probe sees: a logistic regression, standardised by the reviews it is fitted on, its strength
chosen on a tenth of these that is held out (never on the test reviews), then fitted on all of them. The model learns
nothing. Beside it stands an untrained model of the same shape, read in the same way: what the probe finds in the bare
choice of pieces, which training must beat before it means anything.

Files are sorted by label: reviews are drawn under a seed, in that order, so that any first part of them is mixed.
"""

import json
import lzma
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from model.evaluate.intervals import share
from model.evaluate.text import Floats, TextModel
from model.transformer import Decoder

STRENGTHS = tuple(10.0**power for power in range(-5, 2))
"""Of the penalty on squared weights, a mean loss: what is tried."""
CHUNK = 250
"""Reviews read at once."""

Labels = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Review:
    text: str
    positive: bool


def read_imdb(file: Path, most: int | None, seed: int) -> list[Review]:
    """So many reviews in an order drawn under the seed; None: all. Errors: ValueError for what holds no reviews."""
    try:
        with lzma.open(file, "rt", encoding="utf-8") as lines:
            read = [json.loads(line) for line in lines]
        reviews = [Review(each["text"], each["label"] == 1) for each in read]
    except (lzma.LZMAError, EOFError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file} holds no reviews, a JSON object a line ({error}); fetch it again") from error
    order = np.random.default_rng(seed).permutation(len(reviews))[:most]
    return [reviews[number] for number in order.tolist()]


def imdb(
    text: TextModel,
    folder: Path,
    most: int | None = None,
    seed: int = 0,
    on_part: Callable[[str, int, int], None] = lambda part, done, total: None,
) -> dict[str, object]:
    """Accuracy on test reviews of the run and of an untrained model.

    folder: with train.jsonl.xz and test.jsonl.xz. most: reviews of each of the two; None for all.
    """
    parts = {name: read_imdb(folder / f"{name}.jsonl.xz", most, seed) for name in ("train", "test")}
    labels = {name: np.array([each.positive for each in part], float) for name, part in parts.items()}
    if min(len(part) for part in parts.values()) < 20 or len(set(labels["train"])) < 2:
        raise ValueError("a probe needs 20 reviews to fit and 20 to score, of both labels; ask for more of them")
    found: dict[str, object] = {"fitted_on": len(parts["train"]), "positive": float(labels["test"].mean())}
    for name, model in {"trained": text.model, "untrained": untrained(text.model, seed)}.items():
        probed = replace(text, model=model)
        features = {}
        for part, reviews in parts.items():
            means = []
            for begin in range(0, len(reviews), CHUNK):
                means.append(probed.means([probed.ids(each.text) for each in reviews[begin : begin + CHUNK]]))
                on_part(f"{name} {part}", min(begin + CHUNK, len(reviews)), len(reviews))
            features[part] = np.concatenate(means)
        found[name] = probe_accuracy(features["train"], labels["train"], features["test"], labels["test"])
    return found


def untrained(model: Decoder, seed: int) -> Decoder:
    """A model of the same shape with first weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = Decoder(model.config, model.vocabulary)
    return made.to(model.embedding.weight).eval()


def probe_accuracy(fit_XM: Floats, fit_X: Labels, test_YM: Floats, test_Y: Labels) -> dict[str, float | int]:
    """Share of test rows whose label the probe says, its interval, and the strength that was chosen."""
    held = max(1, len(fit_XM) // 10)
    tried = {
        strength: _right(fit_XM[held:], fit_X[held:], fit_XM[:held], fit_X[:held], strength) for strength in STRENGTHS
    }
    chosen = max(tried, key=lambda strength: (tried[strength], strength))  # of equals the stronger penalty
    return {**share(_right(fit_XM, fit_X, test_YM, test_Y, chosen), len(test_Y)), "strength": chosen}


def _right(fit_XM: Floats, fit_X: Labels, test_YM: Floats, test_Y: Labels, strength: float) -> int:
    weights = fit_probe(fit_XM, fit_X, strength)
    return int(((standard(test_YM, fit_XM) @ weights[:-1] + weights[-1] > 0) == (test_Y > 0.5)).sum())


def standard(rows: Floats, like: Floats) -> Floats:
    """Rows less the mean of others, over their spread."""
    scaled: Floats = (rows - like.mean(0)) / np.maximum(like.std(0), 1e-12)
    return scaled


def fit_probe(rows_XM: Floats, labels_X: Labels, strength: float) -> Floats:
    """[M + 1]: weights of a logistic regression on standardised rows, and its bias, which bears no penalty."""
    rows = torch.from_numpy(standard(rows_XM, rows_XM))
    labels = torch.from_numpy(labels_X)
    weights = torch.zeros(rows.shape[1] + 1, dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS(
        [weights], max_iter=500, tolerance_grad=1e-9, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        solver.zero_grad()
        logits = rows @ weights[:-1] + weights[-1]
        value = functional.binary_cross_entropy_with_logits(logits, labels) + strength * weights[:-1].square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    solver.step(loss)  # type: ignore[no-untyped-call]
    return weights.detach().numpy()
