"""Other people's models with our mixing: all calls routed, dense views exact, nothing leaks, and back bit for bit."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("transformers", reason="transformers is not installed: pip install 'valency[hf]'")


from model.attention import MECHANISMS
from model.attention.heads import Heads
from model.config import ModelConfig
from model.swap import restore, swap_attention
from model.swap.layers import chosen, places_of
from tests.model.swapped import CAUSAL, KINDS, PIECES, ROWS, SMALL, VOCABULARY, inputs_of, logits, made, read


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("kind", KINDS)
def test_dense_views_are_the_models_own_attention(kind: str, attention: str) -> None:
    for padded in (False, True):
        model, inputs = made(kind, attention), inputs_of(kind, padded)
        before = logits(model, inputs)
        report = swap_attention(model, "views")
        after = logits(model, inputs)
        where = read(kind, inputs)
        assert (after - before)[where].abs().max() <= 1e-5
        assert report.coverage == 1.0
        assert set(report.calls.values()) == {1}
        assert len(report.calls) == (6 if kind == "t5" else 3)


@pytest.mark.parametrize("kind", KINDS)
def test_back_again_bit_for_bit(kind: str, tmp_path: Path) -> None:
    model, inputs = made(kind, "sdpa"), inputs_of(kind)
    model.save_pretrained(tmp_path / "first")  # which alone changes the configuration
    before, weights = logits(model, inputs), {name: each.clone() for name, each in model.state_dict().items()}
    config, modules = model.config.to_dict(), [(name, type(each)) for name, each in model.named_modules()]
    attention = [
        getattr(each.config, "_attn_implementation", None) for each in model.modules() if hasattr(each, "config")
    ]
    hooks = [len(each._forward_pre_hooks) + len(each._forward_hooks) for each in model.modules()]
    with swap_attention(model, "views", views="window(3)", global_tokens="rows") as report:
        swapped = logits(model, inputs)
        twin = copy.deepcopy(model)
        assert torch.equal(logits(twin, inputs), swapped)
        assert set(report.calls.values()) == {1}  # the copy counts for itself
        model.save_pretrained(tmp_path / "swapped")
        assert (swapped - before).abs().max() > 1e-4
    assert torch.equal(logits(model, inputs), before)
    assert model.config.to_dict() == config
    assert [(name, type(each)) for name, each in model.named_modules()] == modules
    assert attention == [
        getattr(each.config, "_attn_implementation", None) for each in model.modules() if hasattr(each, "config")
    ]
    assert hooks == [len(each._forward_pre_hooks) + len(each._forward_hooks) for each in model.modules()]
    assert {*model.__dict__} == {*made(kind, "sdpa").__dict__}
    assert all(torch.equal(each, weights[name]) for name, each in model.state_dict().items())
    restore(twin)
    assert torch.equal(logits(twin, inputs), before)
    assert torch.equal(logits(type(model).from_pretrained(tmp_path / "swapped").eval(), inputs), before)


@pytest.mark.parametrize("kind", CAUSAL)
def test_what_comes_later_moves_nothing_before(kind: str) -> None:
    for views in (("dense",), ("window(3)", "dense")):
        model, cut = made(kind), 6
        swap_attention(model, "views", views=views)
        name = "decoder_input_ids" if kind == "t5" else "input_ids"
        first = inputs_of(kind, padded=False)
        before = logits(model, first)
        for seed in (1, 2):
            other = {key: each.clone() for key, each in first.items()}
            other[name][:, cut:] = inputs_of(kind, padded=False, seed=seed)[name][:, cut:]
            after = logits(model, other)
            assert (after[:, :cut] - before[:, :cut]).abs().max() <= 1e-6
            assert (after[:, cut:] - before[:, cut:]).abs().max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_padded_rows_are_what_they_are_alone(kind: str) -> None:
    model, inputs = made(kind), inputs_of(kind)
    swap_attention(model, "views", views=("window(3)", "dense"), global_tokens="rows")
    whole = logits(model, inputs)
    for row in range(ROWS):
        valid = inputs["attention_mask"][row].bool()
        alone = {name: each[row : row + 1] for name, each in inputs.items()}
        alone = {name: each if name == "decoder_input_ids" else each[:, valid] for name, each in alone.items()}
        if kind in ("gpt2", "llama"):  # what a row pads before it moves its places
            places = torch.arange(PIECES)[None, valid]
            alone["position_ids"] = places
        where = valid if kind != "t5" else slice(None)
        torch.testing.assert_close(whole[row, where], logits(model, alone)[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_some_layers_alone_and_what_is_left_is_the_models_own(kind: str) -> None:
    for attention in ("eager", "sdpa"):
        model, inputs = made(kind, attention), inputs_of(kind)
        before = logits(model, inputs)
        report = swap_attention(model, "views", layers=[-1, 0])
        assert (logits(model, inputs) - before)[read(kind, inputs)].abs().max() <= 1e-5
        assert 0.3 <= report.coverage <= 0.7
        assert set(report.calls.values()) == {1}
        assert set(report.made.values()) == {1}
        restore(model)


def test_layers_are_named_by_numbers_or_patterns() -> None:
    places = places_of(made("t5"))
    assert [place.shape.causal for place in places] == [False] * 3 + [True] * 3
    assert chosen(places, "decoder.*") == [3, 4, 5]
    assert chosen(places, (-1, 1)) == [1, 5]
    with pytest.raises(ValueError, match="numbers from 0 to 5"):
        chosen(places, [6])
    with pytest.raises(ValueError, match="no layer is named 'head"):
        chosen(places, "head.*")


@pytest.mark.parametrize("kind", CAUSAL)
@pytest.mark.parametrize("views", [("dense",), ("window(3)", "dense")])
def test_generation_with_a_cache_says_what_it_says_without(kind: str, views: tuple[str, ...]) -> None:
    model, inputs = made(kind), inputs_of(kind)
    prompt = {"input_ids": inputs["input_ids"], "attention_mask": torch.ones_like(inputs["attention_mask"])}
    prompt["attention_mask"][2, :5] = 0
    told_how = {"max_new_tokens": 6, "do_sample": False, "output_logits": True, "return_dict_in_generate": True}
    own = model.generate(**prompt, **told_how)
    swap_attention(model, "views", views=views)
    cached, fresh = (model.generate(**prompt, **told_how, use_cache=cache) for cache in (True, False))
    assert torch.equal(cached.sequences, fresh.sequences)
    torch.testing.assert_close(torch.stack(cached.logits), torch.stack(fresh.logits), rtol=0, atol=1e-5)
    if views == ("dense",):
        assert torch.equal(cached.sequences, own.sequences)


@pytest.mark.parametrize("name", MECHANISMS)
@pytest.mark.parametrize("kind", ["bert", "gpt2", "longformer", "llama"])
def test_every_mechanism_mixes_there(name: str, kind: str) -> None:
    """Routed, no leak, padding as alone, a cache as none: of all that the table holds and that fits."""
    causal = kind in CAUSAL
    entry, model = MECHANISMS[name], made(kind).double()
    mechanism: Any = entry.make(ModelConfig(dim=32, heads=4, pattern=(name,)), 0)
    mixes = isinstance(mechanism, Heads) and type(mechanism).mix is not Heads.mix
    if causal not in entry.orders or not mixes:
        with pytest.raises(ValueError, match=name):
            swap_attention(model, name)
        return
    report = swap_attention(model, name, global_tokens="rows", context=300, **SMALL.get(name, {}))
    inputs, pieces = inputs_of(kind, padded=False, pieces=160), 160
    inputs["attention_mask"][1, 100:] = 0
    whole = logits(model, inputs)
    assert whole[inputs["attention_mask"].bool()].isfinite().all()
    assert report.coverage == 1.0
    alone = logits(model, {key: each[1:2, :100] for key, each in inputs.items()})
    torch.testing.assert_close(whole[1, :100], alone[0], rtol=0, atol=1e-9)
    if causal:
        other = {key: each.clone() for key, each in inputs.items()}
        other["input_ids"][:, 90:] = torch.randint(3, VOCABULARY, (ROWS, pieces - 90))
        torch.testing.assert_close(logits(model, other)[:, :90], whole[:, :90], rtol=0, atol=1e-9)
        with torch.no_grad():
            first = model(input_ids=inputs["input_ids"][:1, :150], use_cache=True)
            more = model(input_ids=inputs["input_ids"][:1, 150:], past_key_values=first.past_key_values)
        torch.testing.assert_close(more.logits[0], whole[0, 150:], rtol=0, atol=1e-9)
    restore(model)
