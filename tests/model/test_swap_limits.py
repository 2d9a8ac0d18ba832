"""Swapped models where they live: trainers, dropout, packing, caches, casts; what is refused; words for views."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("transformers", reason="transformers is not installed: pip install 'valency[hf]'")


from model.attention import MECHANISMS
from model.config import ModelConfig
from model.huggingface import fast_tokenizer
from model.reading import Reader
from model.swap import context_for, reader_for, restore, swap_attention, told
from tests.model.swapped import KINDS, PIECES, ROWS, inputs_of, logits, made
from tests.pipeline.fakes import FakeParser


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
