"""Do a trained model's heads look along bonds by themselves? Attention weights against pairs of words.

Words, not pieces, are compared (as in Clark et al. 2019): attention to a word is the sum over its pieces, attention
from a word the mean over its pieces. In a causal model only the later word of a pair can look at the earlier, so a pair
is counted there, whichever way its bond points. Of each head and each kind of pairs, by pair:

    mass     the mean weight that a pair gets
    count    the share of pairs that get more than an equal share of the query's attention (1 / words it may see)
    top-k    of a query with k pairs, how many are among the k words it looks at most

and the same of the pairs of controls. `VARIANTS` leave out what could make up the answer by itself: the word itself
(the diagonal), the first piece of a row, which softmax heads use as a sink (Xiao et al. 2024), and punctuation (with
pieces that hold no word); what is left of a query's attention is scaled to 1 again.

Letters: X layers and heads together, N pieces of a row, W words of it, E pairs, K kinds, S sources of pairs (true ones
first, then controls), V variants, D documents.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from model.evaluate.intervals import Floats, draws, ends

Ints = NDArray[np.int64]
Pairs = tuple[Ints, Ints]
"""Query and key [E] each: positions of words, the key before the query."""

VARIANTS: dict[str, tuple[str, ...]] = {
    "everything": (),
    "no diagonal": ("diagonal",),
    "no sink": ("sink",),
    "no punctuation": ("punctuation",),
    "none of these": ("diagonal", "sink", "punctuation"),
}
"""What each leaves out."""
METRICS = ("mass", "count", "top-k")
PAIRS, QUERIES = len(METRICS), len(METRICS) + 1
"""Behind the metrics' sums: how many pairs there were, and queries that have any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowWords:
    """The words of one row of pieces."""

    of_piece: Ints
    """[N]: the word of each piece, W for pieces that hold none."""
    punctuation: NDArray[np.bool_]
    """[W]"""
    pairs: Sequence[Sequence[Pairs]]
    """[K][S]: no pair twice, all words of which are in the row."""


def row_sums(weights: Sequence[Tensor], row: RowWords) -> Floats:
    """[K,S,V,5,X]: sums of METRICS over pairs, numbers of pairs and of queries. weights: [1,H,N,N] of each layer."""
    W = len(row.punctuation)
    x_XNN = torch.cat([each[0] for each in weights]).float()
    found = np.zeros((len(row.pairs), len(row.pairs[0]), len(VARIANTS), QUERIES + 1, len(x_XNN)))
    if W == 0:
        return found
    word_XWW, sink_XW = word_weights(x_XNN, row.of_piece, W)
    for number, left_out in enumerate(VARIANTS.values()):
        kept_XWW, keys_WW, queries_W = word_XWW.clone(), torch.ones(W, W + 1, dtype=torch.bool).tril(), torch.ones(W)
        keys_WW[:, W] = False
        if "sink" in left_out:
            kept_XWW[:, :, row.of_piece[0]] -= sink_XW
        if "diagonal" in left_out:
            keys_WW.fill_diagonal_(False)
            kept_XWW[:, torch.arange(W), torch.arange(W)] = 0
        if "punctuation" in left_out:
            cut_W = torch.from_numpy(row.punctuation)
            keys_WW[:, :W] &= ~cut_W
            kept_XWW[:, :, :W].masked_fill_(cut_W, 0)
            kept_XWW[:, :, W] = 0
            queries_W = queries_W.masked_fill(cut_W, 0)
        # in 32 bits the rest of a sink that takes all of it may come out a little below nothing
        total_XW1 = kept_XWW.clamp_(min=0).sum(-1, keepdim=True)
        kept_XWW /= total_XW1.clamp(min=1e-9)
        _add(found[:, :, number], kept_XWW[:, :, :W], keys_WW[:, :W], queries_W.bool().numpy(), row)
    return found


def word_weights(x_XNN: Tensor, of_piece: Ints, W: int) -> tuple[Tensor, Tensor]:
    """[X,W,W+1]: from words to words, columns added up and rows averaged, pieces without a word last; and [X,W]: how
    much of it goes to the first piece of the row. of_piece: as in RowWords."""
    member_NW = functional.one_hot(torch.from_numpy(of_piece), W + 1).to(x_XNN.dtype)
    share_WN = (member_NW / member_NW.sum(0).clamp(min=1)).T[:W]
    by_query_XWN = share_WN @ x_XNN
    return by_query_XWN @ member_NW, by_query_XWN[:, :, 0]


def _add(found: Floats, kept_XWW: Tensor, keys_WW: Tensor, queries_W: NDArray[np.bool_], row: RowWords) -> None:
    """Fill [K,S,5,X] for one variant."""
    order_XWW = kept_XWW.masked_fill(~keys_WW, -1.0).argsort(dim=-1, descending=True, stable=True)
    rank_XWW = torch.empty_like(order_XWW)
    rank_XWW.scatter_(-1, order_XWW, torch.arange(kept_XWW.shape[-1]).expand_as(order_XWW).contiguous())
    weight, rank, keys = kept_XWW.numpy(), rank_XWW.numpy(), keys_WW.numpy()
    equal_W = 1 / np.maximum(keys.sum(1), 1)
    for kind, sources in enumerate(row.pairs):
        for source, (query, key) in enumerate(sources):
            asked = queries_W[query] & keys[query, key]
            query, key = query[asked], key[asked]
            _, code, size = np.unique(query, return_inverse=True, return_counts=True)
            w_XE, r_XE = weight[:, query, key], rank[:, query, key]
            found[kind, source, 0] = w_XE.sum(1)
            found[kind, source, 1] = (w_XE > equal_W[query]).sum(1)
            found[kind, source, 2] = (r_XE < size[code]).sum(1) if len(query) else 0
            found[kind, source, PAIRS] = len(query)
            found[kind, source, QUERIES] = len(size)


def pairs_of_bonds(query: NDArray[np.integer], key: NDArray[np.integer]) -> Pairs:
    """The pairs that bonds join, the later word first, each once, sorted."""
    later, earlier = np.maximum(query, key).astype(np.int64), np.minimum(query, key).astype(np.int64)
    code = np.unique((later << 32) | earlier)
    return code >> 32, code & 0xFFFFFFFF


def in_row(pairs: Pairs, first: int, stop: int) -> Pairs:
    """The pairs of which both words are among [first, stop), counted from the first."""
    inside = (pairs[1] >= first) & (pairs[0] < stop)
    return pairs[0][inside] - first, pairs[1][inside] - first


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What sums over documents say, with intervals by the bootstrap over documents."""

    value: Floats
    low: Floats
    high: Floats

    def to_json(self) -> list[object]:
        """[value, low, high], numbers or lists of them; null where nothing is known."""
        return [rounded(each) for each in (self.value, self.low, self.high)]


def per_pair(sums: Floats, metric: int) -> Floats:
    """Mean over pairs; NaN where there are none. sums: [...,5,X] -> [...,X]."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums[..., metric, :] / sums[..., PAIRS, :])


def ratio(trained: Floats, source: int, metric: int = 0, base: Floats | None = None, heads: bool = True) -> Summary:
    """How many times what a control's pair gets a true pair gets: [K,V,X], or [K,V] over all heads together.

    trained: [D,K,S,V,5,X]. source: of the control. base: the same of another model, to divide by its ratio.
    """
    counts_RD = np.vstack([np.ones((1, len(trained))), draws(len(trained))])

    def of(sums: Floats) -> Floats:
        drawn = np.tensordot(counts_RD, sums[:, :, [0, source]], axes=1)  # [R,K,2,V,5,X]
        drawn = drawn if heads else drawn.sum(-1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            return per_pair(drawn[:, :, 0], metric) / per_pair(drawn[:, :, 1], metric)

    with np.errstate(invalid="ignore", divide="ignore"):
        values = of(trained) if base is None else of(trained) / of(base)
    values = np.where(np.isinf(values), np.nan, values)
    values = values if heads else values[..., 0]
    flat = values[1:].reshape(len(values) - 1, -1)
    low, high = (each.reshape(values.shape[1:]) for each in ends(flat))
    return Summary(value=values[0], low=low, high=high)


def rounded(values: Floats) -> object:
    """Four digits are more than the bootstrap tells; NaN, which JSON has not, becomes None."""
    if values.ndim:
        return [rounded(each) for each in values]
    return None if np.isnan(values) else float(f"{float(values):.4g}")


def best_head(chosen_on: Floats, source: int, kind: int, variant: int) -> int:
    """The layer and head whose ratio of mass to a control is the highest; 0 if no pair is there. [D,K,S,V,5,X]."""
    total = chosen_on.sum(0)[kind, :, variant]
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = per_pair(total[0], 0) / per_pair(total[source], 0)
    return int(np.nan_to_num(ratios, nan=0.0, posinf=0.0).argmax())
