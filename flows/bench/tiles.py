"""How sparse are views on real text, pair by pair and in tiles, and are they as fast as that promises?

valency bench tiles CACHE --json data/results/tiles.json

A mask that forbids nine pairs in ten saves nothing where every tile of it holds an allowed pair: a processor computes
tiles. For each view: `density`, the share of allowed pairs among all pairs of a query and what comes before it, and
the share of tiles (16 to 128 on a side, those on the diagonal counted whole) that hold any; `keys`, what a query is
computed with by the path that `model.kernels.choose` takes; `predicted`, how many times fewer pairs those are than
dense attention's; and `measured`, dense attention's time by that path's, forward and backward, in turns. Text: the
longest training document, one row of its first pieces.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flows.bench.attention import view_row
from model.batches import read_places
from model.config import ModelConfig, Recipe, TrainConfig
from model.context import Context
from model.inputs import recipe_layer
from model.kernels.choose import MEASURED
from model.kernels.covers import cover_of, is_covered
from model.kernels.pairs import line_of
from model.parse import parse
from model.views import View, view_masks

VIEWS = (
    "sentence",
    "pos & sentence",
    "pos & sentences(2)",
    "sentences(2)",
    "window(64)",
    "window(256)",
    "pos",
    "dense",
)
SIZES = (16, 32, 64, 128)
HEADS, WIDTH = 4, 64


def bench_tiles(
    cache: Path,
    views: Sequence[str] = VIEWS,
    tokens: int = 4096,
    *,
    device: str = "cpu",
    on_row: Callable[[dict[str, Any]], None] = lambda row: None,
) -> dict[str, Any]:
    """A row a view. O(tokens**2) memory, a byte a pair.

    Errors: ValueError for an unknown view, or a cache without a document so long; Failure for a damaged cache.
    """
    parsed = [parse(view) for view in views]
    model = ModelConfig(dim=16 * len(views), heads=len(views), views=tuple(views))
    split = recipe_layer(cache, Recipe(name="tiles", model=model, train=TrainConfig())).splits["train"]
    longest = int(np.argmax(split.pieces()))
    if split.pieces()[longest] < tokens:
        raise ValueError(f"the longest training document has {split.pieces()[longest]:,} pieces; give --tokens so many")
    text = split.document(longest)
    place = np.arange(tokens)[None]
    _, context = read_places(text, place * 0, place)
    rows = list[dict[str, Any]]()
    for view, name in zip(parsed, views, strict=True):
        density, keys = density_of(view, context), keys_of(view, context, device)
        measured = view_row(text, name, tokens, HEADS, WIDTH, device)
        rows.append({"view": name, "density": density, "keys": keys, "predicted": (tokens + 1) / 2 / keys})
        rows[-1] |= {"measured": measured["ratio"], "path": measured["path"]}
        on_row(rows[-1])
    return {"document": split.documents[longest], "tokens": tokens, "heads": HEADS, "width": WIDTH, "rows": rows}


def density_of(view: View, context: Context) -> dict[str, float]:
    """The share of allowed pairs, and of tiles that hold one, by the side of the tile."""
    mask_NN = view_masks([view], context)[0, 0].tril()
    found = {"pairs": _share(mask_NN)}
    for size in SIZES:
        whole = -(-len(mask_NN) // size) * size
        padded = torch.nn.functional.pad(mask_NN, (0, whole - len(mask_NN), 0, whole - len(mask_NN)))
        found[str(size)] = _share(padded.view(whole // size, size, whole // size, size).amax((1, 3)))
    return found


def _share(mask_NN: Tensor) -> float:
    return int(mask_NN.sum()) / (len(mask_NN) * (len(mask_NN) + 1) / 2)


def keys_of(view: View, context: Context, device: str) -> float:
    """Keys that a query is computed with, on average; half a row where all that comes before is."""
    measured, line = MEASURED.get(torch.device(device).type), line_of(context)
    if measured is None or not is_covered(view):
        return (context.document.shape[1] + 1) / 2
    cover = cover_of(view, line)
    return float((cover.high - cover.low).double().mean()) + measured.block
