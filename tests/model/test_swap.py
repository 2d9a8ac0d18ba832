"""Other people's models with our mixing: all calls routed, dense views exact, nothing leaks, and back bit for bit."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("transformers", reason="transformers is not installed: pip install 'valency[hf]'")

from transformers import (
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    LongformerConfig,
    LongformerForMaskedLM,
    RobertaConfig,
    RobertaForMaskedLM,
    T5Config,
    T5ForConditionalGeneration,
)

from model.attention import MECHANISMS
from model.attention.heads import Heads
from model.config import ModelConfig
from model.huggingface import fast_tokenizer
from model.reading import Reader
from model.swap import context_for, reader_for, restore, swap_attention, told
from model.swap.layers import chosen, places_of
from tests.pipeline.fakes import FakeParser

VOCABULARY, ROWS, PIECES = 99, 3, 17
KINDS = ("longformer", "bert", "roberta", "gpt2", "t5", "llama")
CAUSAL = ("gpt2", "t5", "llama")
SMALL: dict[str, dict[str, Any]] = {
    "linear": {"threshold": 8, "dimension": 8, "features": "learned"},
    "window": {"reach": 5},
    **{name: {"window": 8, "keys": 4, "block": 4, "clusters": 4} for name in ("local", "strided", "random")},
    "clustered": {"keys": 4, "clusters": 4},
    "hierarchical": {"keys": 2, "scales": (4, 16)},
    "adaptive": {"window": 8, "keys": 2, "block": 4, "clusters": 4, "scales": (4, 16)},
}
"""Settings with which rows of a test are long ones."""
BERT = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4,
    "intermediate_size": 37, "max_position_embeddings": 300,
}  # fmt: skip


def made(kind: str, attention: str = "eager", **said: Any) -> Any:
    """A tiny model with random weights, in evaluation mode."""
    torch.manual_seed(1)
    asked = {"attn_implementation": attention, **said}
    ids = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    match kind:
        case "longformer":
            # Its windows hold a whole row here: dense attention is then what it computes itself.
            return LongformerForMaskedLM(LongformerConfig(**(BERT | {"attention_window": 64} | said))).eval()
        case "bert":
            return BertForMaskedLM(BertConfig(**(BERT | asked))).eval()
        case "roberta":
            return RobertaForMaskedLM(RobertaConfig(**(BERT | asked))).eval()
        case "gpt2":
            gpt2 = {"vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 300}
            return GPT2LMHeadModel(GPT2Config(**(gpt2 | ids | asked))).eval()
        case "llama":
            llama = BERT | {"num_key_value_heads": 2}
            return LlamaForCausalLM(LlamaConfig(**(llama | ids | asked))).eval()
        case _:
            t5 = {"vocab_size": VOCABULARY, "d_model": 32, "d_kv": 16, "num_layers": 3, "num_heads": 4, "d_ff": 37}
            return T5ForConditionalGeneration(T5Config(**(t5 | {"decoder_start_token_id": 0} | asked))).eval()


def inputs_of(kind: str, padded: bool = True, seed: int = 0, pieces: int = PIECES) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    ids = torch.randint(3, VOCABULARY, (ROWS, pieces))
    mask = torch.ones_like(ids)
    if padded:
        mask[1, pieces - 6 :] = 0
        if kind in ("gpt2", "llama"):
            mask[2, :4] = 0
    inputs = {"input_ids": ids, "attention_mask": mask}
    if kind == "t5":
        inputs["decoder_input_ids"] = torch.randint(3, VOCABULARY, (ROWS, 9))
    if kind == "longformer":
        inputs["global_attention_mask"] = torch.zeros_like(ids)
        inputs["global_attention_mask"][:, [0, 5]] = 1
    return inputs


def logits(model: Any, inputs: dict[str, Any]) -> Tensor:
    with torch.no_grad():
        out: Tensor = model(**inputs).logits
    return out


def read(kind: str, inputs: dict[str, Tensor]) -> Tensor:
    """bool: where the logits mean something."""
    return torch.ones(ROWS, 9, dtype=torch.bool) if kind == "t5" else inputs["attention_mask"].bool()


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


@pytest.mark.parametrize("kind", KINDS)
def test_one_step_of_their_trainer(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason="transformers' Trainer needs accelerate: pip install 'valency[hf]'")
    from transformers import Trainer, TrainingArguments

    model, inputs = made(kind), inputs_of(kind)
    labels = "decoder_input_ids" if kind == "t5" else "input_ids"
    rows = [{name: each[row] for name, each in inputs.items() if name != "decoder_input_ids"} for row in range(ROWS)]
    for row, each in zip(rows, inputs[labels], strict=True):
        row["labels"] = each
    report = swap_attention(model, "views", views=("window(5)", "dense"), global_tokens="rows")
    grads: dict[str, Tensor] = {}
    for name, weight in model.named_parameters():
        weight.register_hook(lambda grad, name=name: grads.__setitem__(name, grad.clone()))
    arguments = TrainingArguments(
        output_dir=str(tmp_path), max_steps=1, per_device_train_batch_size=ROWS, report_to=[], use_cpu=True,
        save_strategy="no", disable_tqdm=True, dataloader_pin_memory=False,
    )  # fmt: skip
    result = Trainer(model=model, args=arguments, train_dataset=rows).train()  # type: ignore[arg-type]
    assert torch.isfinite(torch.tensor(result.training_loss))
    reached = {part for name, grad in grads.items() for part in name.split(".") if grad.abs().max() > 0}
    assert reached >= {
        "gpt2": {"c_attn", "c_proj"},
        "llama": {"q_proj", "k_proj", "v_proj"},
        "t5": {"q", "k", "v", "relative_attention_bias"},
    }.get(kind, {"query", "key", "value"})
    report.check()


def test_a_mechanisms_own_parameters_train_and_are_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from model.attention import Entry
    from model.attention.views import ViewsAttention, mix_slow

    class Louder(ViewsAttention):
        def __init__(self, config: ModelConfig, layer: int = 0) -> None:
            super().__init__(config, layer)
            self.gain = torch.nn.Parameter(torch.ones(config.heads))

        def mix(self, *given: Any) -> Tensor:
            return super().mix(*given) * self.gain[:, None, None]

    monkeypatch.setitem(MECHANISMS, "views", Entry(Louder, mix_slow))
    model, inputs = made("bert"), inputs_of("bert")
    before = logits(model, inputs)
    swap_attention(model, "views")
    assert torch.equal(model.bert.encoder.layer[0].attention.self.valency.mechanism.gain, torch.ones(4))
    model(**inputs).logits.square().sum().backward()
    gains = [weight for name, weight in model.named_parameters() if name.endswith("valency.mechanism.gain")]
    assert len(gains) == 3
    assert all(gain.grad is not None and gain.grad.abs().min() > 0 for gain in gains)
    assert not any("qkv" in name or "valency.mechanism.out" in name for name in model.state_dict())
    model.save_pretrained(tmp_path)
    restore(model)
    assert torch.equal(logits(model, inputs), before)


def test_dropout_of_weights_is_kept_by_keys_left_off_or_refused() -> None:
    inputs = inputs_of("bert", padded=False)
    for how in ("keys", "off", "refuse"):
        model = made("bert", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.5)
        swap_attention(model, "views", dropout=how)
        still = logits(model, inputs)
        model.train()
        if how == "refuse":
            with pytest.raises(ValueError, match="dropout='keys'"):
                logits(model, inputs)
            continue
        assert torch.equal(logits(model, inputs), still) == (how == "off")


def test_packed_rows_of_llama_stay_apart() -> None:
    model = made("llama", "sdpa")
    ids = inputs_of("llama")["input_ids"]
    places = torch.cat([torch.arange(7), torch.arange(10)])[None].expand(ROWS, -1)
    before = logits(model, {"input_ids": ids, "position_ids": places, "use_cache": False})
    swap_attention(model, "views")
    after = logits(model, {"input_ids": ids, "position_ids": places, "use_cache": False})
    torch.testing.assert_close(after, before, rtol=0, atol=1e-5)
    other = ids.clone()
    other[:, :7] = 5
    again = logits(model, {"input_ids": other, "position_ids": places, "use_cache": False})
    assert torch.equal(again[:, 7:], after[:, 7:])


def test_layers_computed_again_in_the_backward_pass_find_the_same() -> None:
    grads = []
    for again in (False, True):
        model, inputs = made("gpt2", attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0), inputs_of("gpt2")
        swap_attention(model, "views", views=("window(3)",))
        model.train()
        if again:
            # transformers 5.17 knows the second name only, and 5.23 warns of it
            enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
            enable({"use_reentrant": False})
        model(**inputs, use_cache=False).logits.square().sum().backward()
        grads.append([weight.grad for weight in model.parameters()])
    for ours, true in zip(*grads, strict=True):
        torch.testing.assert_close(ours, true)


def test_what_cannot_be_kept_is_refused_with_what_can() -> None:
    model, inputs = made("bert"), inputs_of("bert")
    with pytest.raises(ValueError, match="did you mean 'views'"):
        swap_attention(model, "view")
    with pytest.raises(ValueError, match="has no setting 'reach'"):
        swap_attention(model, "views", reach=3)
    with pytest.raises(ValueError, match="no self-attention"):
        swap_attention(torch.nn.Linear(3, 3), "views")
    with pytest.raises(ValueError, match="is not swapped"):
        restore(model)
    report = swap_attention(model, "views")
    with pytest.raises(RuntimeError, match="call it first"):
        report.check()
    with pytest.raises(ValueError, match="swapped already"):
        swap_attention(model, "views")
    pairs = torch.ones(ROWS, 1, PIECES, PIECES, dtype=torch.bool)
    with pytest.raises(ValueError, match="of pairs"):
        logits(model, inputs | {"attention_mask": pairs})
    hole = inputs["attention_mask"].clone()
    hole[0, 5] = 0
    with pytest.raises(ValueError, match="between its pieces"):
        logits(model, inputs | {"attention_mask": hole})


def test_caches_of_fixed_size_and_weights_to_show_are_refused() -> None:
    model, ids = made("gpt2"), inputs_of("gpt2")["input_ids"]
    swap_attention(model, "views")
    with pytest.raises(ValueError, match="no cache of fixed size"):
        model.generate(input_ids=ids, max_new_tokens=2, do_sample=False, cache_implementation="static")
    for kind in KINDS:
        model = made(kind)
        swap_attention(model, "views")
        with pytest.raises(ValueError, match="no weights to show"):
            model(**inputs_of(kind), output_attentions=True)


def test_sixteen_bits_by_a_cast_and_by_autocast() -> None:
    inputs = inputs_of("gpt2")
    where = inputs["attention_mask"].bool()
    model = made("gpt2", "sdpa")
    swap_attention(model, "views", views="window(4)")
    exact = logits(model, inputs)
    with torch.autocast("cpu", torch.bfloat16):
        assert (logits(model, inputs).float() - exact)[where].abs().max() < 0.05
    restore(model)
    swap_attention(model.to(torch.bfloat16), "views", views="window(4)")
    assert (logits(model, inputs).float() - exact)[where].abs().max() < 0.05
    # Moved afterwards, it follows.
    assert (logits(model.double(), inputs) - exact)[where].abs().max() < 0.05


def test_a_swap_that_is_undone_behind_our_back_is_an_error() -> None:
    model, inputs = made("bert"), inputs_of("bert")
    swap_attention(model, "views")
    model.set_attn_implementation("sdpa")
    with pytest.raises(RuntimeError, match="routed 0 times"):
        logits(model, inputs)


def test_global_pieces_are_seen_by_all_or_refused() -> None:
    model, inputs = made("longformer"), inputs_of("longformer")
    swap_attention(model, "views", views="window(3)")
    with pytest.raises(ValueError, match="global_tokens='rows'"):
        logits(model, inputs)
    inputs["global_attention_mask"][:, 5] = 0  # the first pieces are anchors of every view
    logits(model, inputs)


def test_t5_keeps_its_bias_or_goes_without() -> None:
    model, inputs = made("t5"), inputs_of("t5")
    before = logits(model, inputs)
    with swap_attention(model, "views", position_bias="drop"):
        assert (logits(model, inputs) - before).abs().max() > 1e-4


def test_views_of_words_from_the_ids_of_a_causal_model() -> None:
    tokenizer = fast_tokenizer(Reader.shipped().tokenizer)
    model = made("gpt2", vocab_size=len(tokenizer))
    texts = ["Anna mended the bench. She painted it, too. He slept.", "It rained."]
    swap_attention(model, "views", views=("sentence", "pos & sentences(2)"), reader=reader_for(tokenizer))
    inputs, context = context_for(model, tokenizer, texts, padding=True)
    by_ids = logits(model, inputs)
    restore(model)
    swap_attention(model, "views", views=("sentence", "pos & sentences(2)"))
    with pytest.raises(ValueError, match="read words"):
        logits(model, inputs)
    with told(model, context):
        assert torch.equal(logits(model, inputs), by_ids)
        other = {name: each.clone() for name, each in inputs.items()}
        other["input_ids"][:, 7:] = 300
        with pytest.raises(ValueError, match="rows of"):
            logits(model, {name: each[:, :5] for name, each in inputs.items()})
    restore(model)
    report = swap_attention(model, "views", views=("sentence",), reader=reader_for(tokenizer))
    first, second = logits(model, inputs), logits(model, other)
    assert (first[:, :7] - second[:, :7]).abs().max() <= 1e-6
    with pytest.raises(ValueError, match="use_cache=False"):
        model.generate(**{name: each[:1, :6] for name, each in inputs.items()}, max_new_tokens=3, do_sample=False)
    out = model.generate(
        **{name: each[:1, :6] for name, each in inputs.items()}, max_new_tokens=3, do_sample=False, use_cache=False
    )
    assert out.shape[1] <= 9
    report.check()
    with pytest.raises(ValueError, match="causal model may not"):
        context_for(model, tokenizer, texts, FakeParser())


def test_views_of_words_from_offsets_and_a_parser() -> None:
    tokenizer = fast_tokenizer(Reader.shipped().tokenizer)
    model = made("longformer", vocab_size=len(tokenizer))
    texts = ["Anna mended the bench . She painted it .", "A storm broke the mast ."]
    inputs, context = context_for(model, tokenizer, texts, FakeParser(), padding=True)
    words = texts[0].split()
    spelt = tokenizer.convert_ids_to_tokens(inputs["input_ids"][0])
    she = context.last_word[0] == words.index("She")
    assert "".join(piece for piece, its in zip(spelt, she.tolist(), strict=True) if its).replace("Ġ", "") == "She"
    assert context.sentence_start[0, she].tolist() == [int(she.nonzero()[0])] * int(she.sum())
    assert not context.causal
    swap_attention(model, "views", views="sentence")
    with told(model, context):
        first = logits(model, inputs)
        other = inputs["input_ids"].clone()
        other[0, she] += 1
        second = logits(model, inputs | {"input_ids": other})
    before = int(she.nonzero()[0])
    assert (first - second)[0, 4:before].abs().max() <= 1e-6  # other sentences see no more of it than the anchors do
    assert (first - second)[0, before:].abs().max() > 1e-4
    assert torch.equal(first[1], second[1])
