"""Linear attention: its features, its threshold, its chunks, and how exact it is."""

import sys
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from model.attention import chunked
from model.attention.chunked import attend_chunked, chunks_of
from model.attention.dense import DenseAttention
from model.attention.exactness import choose, error_by_length, smallest_dimension
from model.attention.features import FLOOR, FeatureMap
from model.attention.linear import LinearAttention
from model.attention.sequences import batches, sequences
from model.config import ModelConfig
from model.config.linear import FEATURES, LINEAR_PRESETS, LinearConfig
from model.layer import context_of_places
from tests.model.toy import toy_context


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def layer_of(settings: LinearConfig, **changes: object) -> LinearAttention:
    torch.manual_seed(0)
    config = ModelConfig(**{"dim": 24, "heads": 2, "linear": settings, **changes})  # type: ignore[arg-type]
    return LinearAttention(config).double()


@pytest.mark.parametrize("kind", FEATURES)
@pytest.mark.parametrize("dimension", [4, 16, 64])
def test_features_are_above_zero_however_large_what_they_are_made_of(kind: str, dimension: int) -> None:
    features = FeatureMap(kind, 2, 16, dimension, seed=0).double()
    for size in (0.0, 1e-3, 1.0, 30.0, 1e3):
        phi, scale = features(drawn(1, 2, 1, 50, 16) * size)
        assert phi.shape == (1, 2, 1, 50, dimension)
        assert phi.isfinite().all()
        assert phi.min() >= FLOOR[kind]
        assert scale is None or scale.isfinite().all()


def test_favor_is_unbiased_for_the_exponential_of_scores() -> None:
    """Over 16,384 features in 16 draws, each query and key within 5% of exp(q·k / sqrt(D)). The variance grows with
    exp(|q + k|²): larger ones would take more draws."""
    q, k, D = drawn(6, 16) * 0.35, drawn(6, 16, seed=1) * 0.35, 16
    found = []
    for seed in range(16):
        features = FeatureMap("favor", 1, D, 1024, seed=seed).double()
        (phi_q, top_q), (phi_k, top_k) = (features(x[None, None, None]) for x in (q, k))
        assert top_q is not None
        assert top_k is not None
        phi_q, phi_k = phi_q * top_q.exp()[..., None], phi_k * top_k.exp()[..., None]
        found.append((phi_q @ phi_k.transpose(-1, -2)).squeeze() / 1024)
    true = (q @ k.T / D**0.5).exp()
    assert ((torch.stack(found).mean(0) - true) / true).abs().max() < 0.05


def test_favors_directions_are_orthogonal_in_blocks_and_as_long_as_normal_ones() -> None:
    features = FeatureMap("favor", 1, 16, 40, seed=3).double()
    assert features.projection is not None
    block = features.projection[0, :, :16]
    products = block.T @ block
    assert (products - products.diag().diag()).abs().max() < 1e-5
    many = FeatureMap("favor", 1, 16, 4096, seed=3).projection
    assert many is not None
    assert abs(float(many.square().sum(1).mean()) - 16) < 0.5


def test_what_is_drawn_is_kept_with_the_weights_and_differs_by_layer() -> None:
    config = ModelConfig(dim=24, heads=2, linear=LinearConfig(features="favor", dimension=8))
    one, again, other = LinearAttention(config, 0), LinearAttention(config, 0), LinearAttention(config, 1)
    name = "features.projection"
    assert torch.equal(one.state_dict()[name], again.state_dict()[name])
    assert not torch.equal(one.state_dict()[name], other.state_dict()[name])


@pytest.mark.parametrize("kind", FEATURES)
@pytest.mark.parametrize("causal", [True, False])
def test_queries_that_see_few_keys_are_exact_and_no_others(kind: str, causal: bool) -> None:
    """In causal order the first 9 of each sequence; else the sequences of 9 and fewer."""
    layer = layer_of(LinearConfig(features=kind, dimension=8, threshold=9, chunk=4))
    dense = DenseAttention(ModelConfig(dim=24, heads=2)).double()
    dense.load_state_dict({name: layer.state_dict()[name] for name in dense.state_dict()})
    rows = [[9, 10, 3], [30]]
    context = toy_context(rows)[1]._replace(causal=causal)
    x = drawn(2, 30, 24)
    apart = (layer(x, context) - dense(x, context)).abs().amax(-1)
    few = torch.zeros(2, 30, dtype=torch.bool)
    for start, row, length in ((0, 0, 9), (9, 0, 10), (19, 0, 3), (0, 1, 30)):
        few[row, start : start + (min(9, length) if causal else length * (length <= 9))] = True
    valid = context.valid()
    assert apart[few & valid].max() < 1e-12
    # A causal query's first linear piece may come close by chance; in all they do not.
    assert (apart[~few & valid] > 1e-6).all()


@pytest.mark.parametrize("kind", FEATURES)
def test_the_threshold_knows_nothing_of_the_inputs_length(kind: str) -> None:
    """The trap: a row of 30 is short as a whole, but its pieces beyond the threshold are not, and 31 change nothing."""
    layer = layer_of(LinearConfig(features=kind, dimension=8, threshold=16, chunk=8))
    x = drawn(1, 200, 24)
    whole = layer(x, context_of_places(1, 200))
    for length in (1, 15, 16, 17, 30, 31, 64):
        cut = layer(x[:, :length], context_of_places(1, length))
        torch.testing.assert_close(cut, whole[:, :length], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", FEATURES)
@pytest.mark.parametrize("causal", [True, False])
def test_values_do_not_depend_on_chunks(kind: str, causal: bool) -> None:
    context = toy_context([[50, 7, 13], [70]])[1]._replace(causal=causal)
    x, outs = drawn(2, 70, 24), []
    for chunk in (1, 5, 64, 100):
        outs.append(layer_of(LinearConfig(features=kind, dimension=8, threshold=0, chunk=chunk))(x, context))
    for out in outs[1:]:
        torch.testing.assert_close(out, outs[0], rtol=1e-11, atol=1e-11)


def test_a_later_key_of_any_size_moves_no_earlier_piece_by_a_bit() -> None:
    """The trap: to divide by the largest key of all, as Performer's authors do, lets a huge one drown those before."""
    features = FeatureMap("favor", 1, 8, 16, seed=0)
    q, k, v = (drawn(1, 1, 20, 8, seed=seed).float() for seed in range(3))
    huge = k.clone()
    huge[:, :, 12:] *= 60
    outs = []
    for keys in (k, huge):
        outs.append(attend_chunked(features, q[:, :, None], keys, v, chunks_of(context_of_places(1, 20), 16)))
    assert outs[1].isfinite().all()
    assert torch.equal(outs[0][..., :12, :], outs[1][..., :12, :])


def test_sums_of_half_precision_are_kept_in_32_bits() -> None:
    layer = layer_of(LinearConfig(threshold=0, dimension=8)).bfloat16()
    x = drawn(1, 3000, 24).bfloat16()
    context = context_of_places(1, 3000)
    out, true = layer(x, context), layer.double()(x.double(), context)
    assert out.dtype == torch.bfloat16
    assert (out.double() - true).norm() < 0.02 * true.norm()


def test_a_stream_keeps_as_much_after_many_pieces_as_after_one() -> None:
    layer = layer_of(LINEAR_PRESETS["extreme"])
    state, sizes = layer.begin(2), []
    for at in range(30):
        _, state = layer.step(drawn(2, 24, seed=at), torch.tensor([at == 0, at in (0, 20)]), state)
        sizes.append(sum(each.numel() for each in state))
    assert set(sizes) == {sizes[0]}
    assert state.pieces.tolist() == [30, 10]


def test_sequences_of_like_length_go_together() -> None:
    context = toy_context([[5, 1, 8], [3, 9]])[1]
    begin, size = sequences(context)
    assert (begin.tolist(), size.tolist()) == ([0, 5, 6, 14, 17], [5, 1, 8, 3, 9])
    found = batches(begin, size)
    assert sorted(batch.size.tolist() for batch in found) == [[1], [3], [5, 8], [9]]
    assert sorted(torch.cat([batch.line for batch in found]).tolist()) == list(range(26))
    for batch in found:
        assert len(batch.line) > batch.place.numel() / 2


def test_the_error_falls_with_favors_dimension_and_not_below_the_threshold() -> None:
    q, k, v = (drawn(1, 2, 128, 16, seed=seed) * size for seed, size in enumerate((0.5, 0.5, 1.0)))
    by_dimension = {}
    for dimension in (4, 64, 1024):
        settings = LinearConfig(features="favor", dimension=dimension, threshold=32)
        by_dimension[dimension] = error_by_length(q, k, v, settings, (32, 128))
        assert by_dimension[dimension][32] == 0
    assert by_dimension[4][128] > by_dimension[64][128] > by_dimension[1024][128]
    target = by_dimension[64][128]
    settings = {"features": "favor", "length": 128, "threshold": 32}
    assert smallest_dimension(q, k, v, target=target, dimensions=(4, 64), **settings) == 64  # type: ignore[arg-type]
    assert smallest_dimension(q, k, v, target=target / 9, **settings) is None  # type: ignore[arg-type]
    assert choose({"favor": by_dimension}, target, 128) == {"favor": 64}
    with pytest.raises(ValueError, match="there are 128 pieces and a length is 200"):
        error_by_length(q, k, v, LinearConfig(), (200,))


def test_a_learned_map_comes_closer_by_fitting() -> None:
    q, k, v = (drawn(1, 2, 96, 8, seed=seed) for seed in range(3))
    settings = LinearConfig(features="learned", dimension=16, threshold=0)
    fit_on = tuple(drawn(1, 2, 96, 8, seed=seed) for seed in (3, 4, 5))
    before = error_by_length(q, k, v, settings, (96,))[96]
    assert error_by_length(q, k, v, settings, (96,), fit_on)[96] < before  # type: ignore[arg-type]


def test_settings_that_do_not_fit_are_refused() -> None:
    for changes, said in (
        ({"features": "favour"}, "did you mean 'favor'"),
        ({"dimension": 0}, "give at least 1"),
        ({"features": "learned", "dimension": 5}, "give an even number"),
        ({"threshold": -1}, "at least 0"),
        ({"backend": "fla", "features": "favor"}, "set backend to 'torch'"),
        ({"backend": "triton"}, "known: torch, fla"),
    ):
        with pytest.raises(ValueError, match=said):
            LinearConfig(**changes)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="give rotary or learned"):
        layer_of(LinearConfig(), positions="alibi")


def test_a_missing_package_and_a_wrong_place_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from model.attention.fla import kernel

    monkeypatch.setitem(sys.modules, "fla.ops.simple_gla", None)
    with pytest.raises(ValueError, match="pip install flash-linear-attention"):
        kernel()
    layer = layer_of(replace(LINEAR_PRESETS["extreme"], backend="fla"))
    with pytest.raises(ValueError, match="computes on a GPU"):
        layer(drawn(1, 20, 24), context_of_places(1, 20))
    with pytest.raises(ValueError, match="is causal and the context is not"):
        layer(drawn(1, 20, 24), context_of_places(1, 20, causal=False))


@pytest.mark.parametrize("kind", FEATURES)
def test_values_and_gradients_do_not_depend_on_how_many_chunks_are_computed_together(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = toy_context([[50, 7, 13], [70]])[1]
    layer = layer_of(LinearConfig(features=kind, dimension=8, threshold=0, chunk=4))
    x, found = drawn(2, 70, 24).requires_grad_(), []
    for together in (1, 9, 24, 1000):
        monkeypatch.setitem(chunked.TOGETHER, "cpu", together)
        out = layer(x, context)
        found.append((out, *torch.autograd.grad(out, (x, *layer.parameters()), drawn(2, 70, 24, seed=1))))
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-11, atol=1e-11)
