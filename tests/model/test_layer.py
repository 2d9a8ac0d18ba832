"""One layer of attention for anybody: what it gives is what the formula says, with and without a context."""

import pytest
import torch
from torch import Tensor

from model.attention import MECHANISMS
from model.attention.views import mix_slow
from model.context import PER_PIECE
from model.layer import PRESETS, Attention, Info, attention, context_of_ids, context_of_places, context_of_text
from model.reading import Reader

NO_WEIGHTS = ("hash", "compressed", "latent", "state_space", "memory")
"""What these mix is more, or something else, than values of pieces under one set of weights."""
TEXTS = ["Anna mended the bench. She painted it, too.", "It rained."]


def layer(**said: object) -> Attention:
    torch.manual_seed(0)
    return attention(16, 4, **said).double()  # type: ignore[arg-type]


def some(rows: int, pieces: int) -> Tensor:
    return torch.randn(rows, pieces, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("positions", "kv_heads"), [("rotary", 0), ("alibi", 2), ("rotary", 1)])
@pytest.mark.parametrize("pieces", [1, 7, 13])
def test_out_is_what_the_formula_says(causal: bool, positions: str, kv_heads: int, pieces: int) -> None:
    made = layer(views=["dense", "window(3)"], causal=causal, positions=positions, kv_heads=kv_heads)
    x, mechanism = some(2, pieces), made.mechanism
    out, weights = made(x, need_weights=True)
    context = context_of_places(2, pieces, causal=causal)
    torch.testing.assert_close(out, mix_slow(mechanism, x, context))
    _, _, v = mechanism.inputs(x, context)
    mixed = weights @ v.repeat_interleave(4 // v.shape[1], dim=1)
    torch.testing.assert_close(mechanism.out(mixed.transpose(1, 2).reshape(x.shape)), out)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 4, pieces, dtype=torch.float64))


def test_weights_are_those_of_the_path_that_was_taken() -> None:
    made, x = layer(preset="near"), some(1, 600)
    out, info = made(x, return_info=True, need_weights=True)
    assert "sparse" in info.path
    _, _, v = made.mechanism.inputs(x, context_of_places(1, 600))
    torch.testing.assert_close(made.mechanism.out((info.weights @ v).transpose(1, 2).reshape(x.shape)), out)


def test_weights_are_nothing_where_the_view_sees_nothing() -> None:
    read = context_of_text(TEXTS)
    x = some(*read.ids.shape)
    _, info = layer(views=["pos & sentence"])(x, read.context, need_weights=True, return_info=True)
    _, every = layer(views=["dense"])(x, read.context, need_weights=True, return_info=True)
    valid = read.context.valid()[:, None, :, None].expand_as(info.weights)
    assert isinstance(info, Info)
    assert (info.weights[valid] > 0).sum() < (every.weights[valid] > 0).sum()
    assert info.density[0] < every.density[0] == 1.0
    assert (info.cost[0], every.cost[0]) == ("linear", "quadratic")
    assert info.views == ("pos & sentence",) * 4
    assert info.path == ("twin",) * 4  # a text as short as this is not worth another


def test_without_a_context_only_places_are_known() -> None:
    made, x = layer(views=["dense", "window(4)", "sentence", "sentences(2)"]), some(1, 9)
    _, info = made(x, return_info=True)
    assert info.weights is None
    assert info.density[0] == info.density[2] == info.density[3] == 1.0  # all is one sentence
    assert info.density[1] < 1.0
    with pytest.raises(ValueError, match="context_of_text"):
        layer(views=["pos"])(x)
    with pytest.raises(ValueError, match="open"):
        layer(views=["window(2) | open"])(x)


@pytest.mark.parametrize(
    ("mechanism", "causal"), [(name, causal) for name, entry in MECHANISMS.items() for causal in entry.orders]
)
def test_every_mechanism_is_one_call_and_its_weights_say_what_it_mixes(mechanism: str, causal: bool) -> None:
    settings = {"linear": {"preset": "extreme"}, "local": {"window": 5}, "window": {"reach": 4}}.get(mechanism, {})
    made, x, padding = layer(mechanism=mechanism, causal=causal, **settings), some(2, 45), torch.zeros(2, 45).bool()
    padding[1, 31:] = True
    plain, info = made(x, key_padding_mask=padding, return_info=True)
    assert isinstance(info, Info)
    assert len(info.views) == 4
    if mechanism in NO_WEIGHTS:
        with pytest.raises(ValueError, match=f"{mechanism!r} has no weights of pairs"):
            made(x, need_weights=True)
        return
    out, info = made(x, key_padding_mask=padding, need_weights=True, return_info=True)
    assert torch.equal(out, plain)
    _, _, v = made.mechanism.heads(x.masked_fill(padding[..., None], 0.0), None)
    mixed = made.mechanism.out((info.weights @ v).transpose(1, 2).reshape(x.shape))
    torch.testing.assert_close(mixed[~padding], out[~padding])
    assert not info.weights[1, :, :31, 31:].any()
    if mechanism in ("dense", "window", "bigbird", "local", "random"):  # others read summaries, or all by features
        read = ((info.weights > 0) & ~padding[:, None, :, None]).sum((0, 2, 3))
        allowed = sum(n * (n + 1) // 2 if causal else n * n for n in (45, 31))
        assert info.density == pytest.approx((read / allowed).tolist())
    if causal:
        assert not info.weights.triu(1).any()


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("causal", [True, False])
def test_padding_changes_nothing(left: bool, causal: bool) -> None:
    made = layer(views=["dense", "window(3)", "sentence", "~window(2)"], causal=causal)
    x, padding = some(2, 10), torch.zeros(2, 10, dtype=torch.bool)
    places = slice(4, None) if left else slice(0, 6)
    padding[1], padding[1, places] = True, False
    x[1][padding[1]] = float("nan")
    out = made(x, key_padding_mask=padding)
    torch.testing.assert_close(out[1, places], made(x[1:, places])[0])
    torch.testing.assert_close(out[0], made(x[:1])[0])
    out[~padding].square().sum().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in made.parameters())


def test_a_causal_layer_sees_nothing_ahead_and_another_does() -> None:
    x = some(*context_of_text(TEXTS).ids.shape)
    other = x.clone()
    other[:, 5:] = 0
    for causal in (True, False):
        read, made = context_of_text(TEXTS, causal=causal), layer(preset="pos", causal=causal)
        same = torch.equal(made(x, read.context)[:, :5], made(other, read.context)[:, :5])
        assert same is causal


def test_context_of_text_is_that_of_its_ids() -> None:
    reader = Reader.shipped()
    read = context_of_text(TEXTS, reader=reader)
    again = context_of_ids(read.ids, read.context.valid(), reader.tokenizer)
    assert all(torch.equal(getattr(read.context, name), getattr(again, name)) for name in PER_PIECE)
    starts = read.context.sentence_start[0][read.context.valid()[0]].unique()
    assert starts.tolist() == [0, 1, 9]  # the begin piece stands alone, then two sentences
    assert (read.context.document[1] >= 0).sum() == len(reader.tokenizer.document(TEXTS[1]))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_runs_on_text_and_learns(preset: str) -> None:
    read = context_of_text(TEXTS)
    made = layer(preset=preset)
    x = some(*read.ids.shape).requires_grad_()
    made(x, read.context)[read.context.valid()].square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert x.grad[read.context.valid()].abs().sum(-1).min() > 0


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ({"mechanism": "view"}, "did you mean 'views'"),
        ({"preset": "sentences"}, "did you mean 'sentence'"),
        ({"preset": "near", "views": ["dense"]}, "give one of them"),
        ({"views": "dense"}, "give a list"),
        ({"views": ["dens"]}, "did you mean 'dense'"),
        ({"views": ["dense"] * 3}, "share out evenly"),
        ({"positions": "learned"}, "rotary"),
    ],
)
def test_a_setting_that_does_not_fit_says_what_would(said: dict[str, object], hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        layer(**said)


def test_shapes_that_do_not_fit_say_so() -> None:
    made, read = layer(), context_of_text(TEXTS)
    with pytest.raises(ValueError, match=r"\[rows, pieces, 16\]"):
        made(torch.zeros(2, 5, 8))
    with pytest.raises(ValueError, match="must agree"):
        made(some(1, 3), read.context)
    with pytest.raises(ValueError, match="causal=False"):
        made(some(*read.ids.shape), context_of_text(TEXTS, causal=False).context)
    with pytest.raises(ValueError, match="true at padding"):
        made(some(2, 3), key_padding_mask=torch.ones(2, 3))
    with pytest.raises(ValueError, match="give a list"):
        context_of_text("one text")
