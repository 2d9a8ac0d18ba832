"""Attention weights against the kernels; overlap by loops over pairs; laws of what is left out."""

import numpy as np
import pytest
import torch
from torch import Tensor

from model.attention.rotary import turn_of
from model.attention.views import ViewsAttention, attend, view_bias
from model.config import ModelConfig
from model.evaluate.overlap import (
    PAIRS,
    QUERIES,
    VARIANTS,
    RowWords,
    best_head,
    in_row,
    pairs_of_bonds,
    ratio,
    rounded,
    row_sums,
    word_weights,
)
from model.evaluate.overlap_weights import attention_weights
from model.transformer import Decoder
from tests.model.toy import VOCABULARY, toy_context, with_toy_bonds


def decoder(views: tuple[str, ...], positions: str, terms: bool = False, kv_heads: int = 0) -> Decoder:
    config = ModelConfig(
        layers=2, dim=16, heads=4, kv_heads=kv_heads, views=views, positions=positions, context=32,
        kind_bias=terms, kind_gates=terms,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Decoder(config, VOCABULARY).double().eval()
        for weight in model.parameters():
            if weight.ndim == 2:
                torch.nn.init.normal_(weight, std=0.4)
    return model


@pytest.mark.parametrize("positions", ["rotary", "alibi", "learned"])
@pytest.mark.parametrize("views", [("dense",), ("dense", "window(3)", "pos & sentence", "bonds")])
def test_weights_are_those_that_the_kernel_mixes_by(views: tuple[str, ...], positions: str) -> None:
    model = decoder(views, positions)
    ids, context = toy_context([[13, 4], [1, 9]])
    context = with_toy_bonds(context)
    seen: list[tuple[ViewsAttention, Tensor]] = []
    hooks = [
        layer.attention.register_forward_pre_hook(lambda module, args: seen.append((module, args[0])))  # type: ignore[attr-defined]
        for layer in model.layers
    ]
    weights = attention_weights(model, ids, context)
    for hook in hooks:
        hook.remove()
    assert len(weights) == 2
    assert not any(layer.attention._forward_pre_hooks for layer in model.layers)  # type: ignore[attr-defined]
    for (attention, x), found in zip(seen, weights, strict=True):
        torch.testing.assert_close(found.sum(-1), torch.ones_like(found[..., 0]))
        turn = turn_of(x.shape[1], 4, x.device, x.dtype) if positions == "rotary" else None
        q, k, v = attention.heads(x, turn)
        bias = view_bias(attention.views, attention.slopes, context, x.dtype)
        torch.testing.assert_close(found @ v, attend(q, k, v, bias))


@pytest.mark.parametrize(("terms", "kv_heads", "pieces"), [(True, 0, 12), (False, 2, 12), (False, 2, 700)])
def test_weights_give_what_a_layer_gives(terms: bool, kv_heads: int, pieces: int) -> None:
    """Learned terms, shared keys, and rows so long that views are computed by lists of keys."""
    model = decoder(("dense", "window(5)"), "rotary", terms=terms, kv_heads=kv_heads)
    ids, context = toy_context([[pieces]])
    context = with_toy_bonds(context) if terms else context
    for layer in model.layers if terms else ():
        torch.nn.init.normal_(layer.attention.terms.kind_bias)  # type: ignore[attr-defined]
    caught: list[tuple[Tensor, Tensor]] = []
    hooks = [
        layer.attention.register_forward_hook(lambda module, args, out: caught.append((args[0], out)))  # type: ignore[attr-defined]
        for layer in model.layers
    ]
    weights = attention_weights(model, ids, context)
    for hook in hooks:
        hook.remove()
    for layer, found, (x, out) in zip(model.layers, weights, caught, strict=True):
        _, _, v = layer.attention.heads(x, None)  # type: ignore[attr-defined]
        v = v.repeat_interleave(4 // v.shape[1], dim=1)
        torch.testing.assert_close(layer.attention.out((found @ v).transpose(1, 2).reshape(x.shape)), out)  # type: ignore[attr-defined]


def test_the_last_layers_weights_lead_to_the_models_own_logits() -> None:
    """The layers by hand, mixed by the weights, give what the model says."""
    model = decoder(("dense", "sentence"), "rotary")
    ids, context = toy_context([[11]])
    weights, x = attention_weights(model, ids, context), model.embedding(ids)
    for layer, found in zip(model.layers, weights, strict=True):
        attention = layer.attention
        assert isinstance(attention, ViewsAttention)
        _, _, v = attention.heads(layer.attention_norm(x), None)
        x = layer.think(x, attention.out((found @ v).transpose(1, 2).reshape(x.shape)), None)
    torch.testing.assert_close(model.norm(x) @ model.embedding.weight.T, model(ids, context))


def test_a_layer_without_softmax_weights_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    model = decoder(("dense",), "rotary")
    ids, context = toy_context([[5]])
    model.layers[1].attention = torch.nn.Identity()  # type: ignore[assignment]
    with pytest.raises(ValueError, match="layer 1"):
        attention_weights(model, ids, context)
    assert not any(module._forward_pre_hooks for module in model.modules())  # none is left behind


def uniform(N: int) -> Tensor:
    """[1,2,N,N]: causal, the same for every key."""
    below = torch.ones(N, N, dtype=torch.float64).tril()
    return (below / below.sum(-1, keepdim=True)).expand(1, 2, N, N)


def slow_sums(weights: Tensor, row: RowWords, left_out: tuple[str, ...]) -> np.ndarray:
    """[K,S,5,X] straight from the definitions, pair by pair."""
    W, pieces = len(row.punctuation), [np.flatnonzero(row.of_piece == w) for w in range(len(row.punctuation) + 1)]
    found = np.zeros((len(row.pairs), len(row.pairs[0]), QUERIES + 1, weights.shape[1]))
    for head in range(weights.shape[1]):
        a = weights[0, head].numpy().copy()
        if "sink" in left_out:
            a[:, 0] = 0
        word = np.array([[a[np.ix_(pieces[q], pieces[k])].sum() / max(len(pieces[q]), 1) for k in range(W + 1)]
                         for q in range(W)])  # fmt: skip
        for q in range(W):
            if "diagonal" in left_out:
                word[q, q] = 0
            if "punctuation" in left_out:
                word[q, :W][row.punctuation] = 0
                word[q, W] = 0
            word[q] /= max(word[q].sum(), 1e-9)
        for kind, sources in enumerate(row.pairs):
            for source, (query, key) in enumerate(sources):
                for q in np.unique(query):
                    seen = [k for k in range(q + 1) if not ("diagonal" in left_out and k == q)]
                    if "punctuation" in left_out:
                        seen = [k for k in seen if not row.punctuation[k]]
                    if "punctuation" in left_out and row.punctuation[q]:
                        continue
                    keys = [k for k in key[query == q] if k in seen]
                    ranked = sorted(seen, key=lambda k: (-word[q, k], k))[: len(keys)]
                    cell = found[kind, source, :, head]
                    cell[0] += sum(word[q, k] for k in keys)
                    cell[1] += sum(word[q, k] > 1 / len(seen) for k in keys)
                    cell[2] += sum(k in ranked for k in keys)
                    cell[PAIRS] += len(keys)
                    cell[QUERIES] += bool(keys)
    return found


def row_of(seed: int) -> tuple[Tensor, RowWords]:
    """Random attention over 14 pieces, 9 words of one or two pieces, some pieces without a word."""
    random = np.random.default_rng(seed)
    weights = torch.from_numpy(random.gamma(0.4, size=(1, 3, 14, 14))).tril()
    of_piece = np.array([9, 0, 1, 1, 2, 3, 9, 4, 5, 5, 6, 7, 8, 8])
    pairs = [
        [pairs_of_bonds(random.integers(0, 9, 12), random.integers(9, size=12)) for _ in range(2)] for _ in range(2)
    ]
    apart = [[(query[query > key], key[query > key]) for query, key in sources] for sources in pairs]
    return weights / weights.sum(-1, keepdim=True), RowWords(
        of_piece=of_piece, punctuation=np.isin(np.arange(9), [3, 8]), pairs=apart
    )


@pytest.mark.parametrize("seed", range(4))
def test_sums_are_those_of_loops_over_pairs(seed: int) -> None:
    weights, row = row_of(seed)
    found = row_sums([weights], row)
    for number, left_out in enumerate(VARIANTS.values()):
        np.testing.assert_allclose(found[:, :, number], slow_sums(weights, row, left_out), atol=1e-6)


def test_words_share_all_attention_out() -> None:
    weights, row = row_of(0)
    words, sink = word_weights(weights[0], row.of_piece, 9)
    torch.testing.assert_close(words.sum(-1), torch.ones_like(words[..., 0]))
    by_hand = [weights[0][:, row.of_piece == word, 0].mean(-1) for word in range(9)]
    torch.testing.assert_close(sink, torch.stack(by_hand, dim=-1))


def test_uniform_attention_gives_every_pair_of_a_query_the_same() -> None:
    pairs = (np.array([3, 3, 5]), np.array([0, 2, 1]))
    other = (np.array([3, 3, 5]), np.array([1, 0, 4]))
    row = RowWords(of_piece=np.arange(6), punctuation=np.zeros(6, bool), pairs=[[pairs, other]])
    sums = row_sums([uniform(6)], row)[None]
    assert np.allclose(sums[0, 0, :, 0, 0], 2 / 4 + 1 / 6)
    found = ratio(sums, 1)
    np.testing.assert_allclose(found.value, 1, rtol=1e-6)
    np.testing.assert_allclose([found.low, found.high], 1, rtol=1e-6)


def test_a_row_without_words_has_no_pairs() -> None:
    none = (np.empty(0, np.int64), np.empty(0, np.int64))
    row = RowWords(of_piece=np.zeros(4, np.int64), punctuation=np.zeros(0, bool), pairs=[[none, none]])
    sums = row_sums([uniform(4)], row)
    assert not sums.any()
    assert np.isnan(ratio(sums[None], 1).value).all()
    assert rounded(ratio(sums[None], 1).value)[0][0] == [None, None]  # type: ignore[index]
    assert best_head(sums[None], 1, 0, 0) == 0


def test_ratios_are_over_all_documents_and_over_another_models() -> None:
    sums = np.zeros((2, 1, 2, len(VARIANTS), QUERIES + 1, 2))
    sums[:, :, :, :, PAIRS] = 10
    sums[:, :, 0, :, 0] = np.array([4.0, 2.0])  # heads
    sums[:, :, 1, :, 0] = 1.0
    np.testing.assert_allclose(ratio(sums, 1).value[0, 0], [4, 2])
    np.testing.assert_allclose(ratio(sums, 1, heads=False).value[0, 0], 3)
    np.testing.assert_allclose(ratio(sums, 1, base=sums).value[0, 0], [1, 1])
    assert best_head(sums, 1, 0, 0) == 0


def test_pairs_look_back_once_and_stay_in_their_row() -> None:
    query, key = pairs_of_bonds(np.array([1, 4, 4, 2]), np.array([4, 1, 0, 3]))
    assert list(zip(query.tolist(), key.tolist(), strict=True)) == [(3, 2), (4, 0), (4, 1)]
    inside = in_row((query, key), 1, 5)
    assert list(zip(*(each.tolist() for each in inside), strict=True)) == [(2, 1), (3, 0)]
