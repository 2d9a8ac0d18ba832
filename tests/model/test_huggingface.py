"""Models of Valency as transformers models: saved, loaded, padded, cached and trained, they say the same."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("transformers", reason="transformers is not installed: pip install 'valency[hf]'")

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from model.evaluate.leak import randomised
from model.huggingface import (
    ValencyConfig,
    ValencyForCausalLM,
    ValencyForMaskedLM,
    ValencyForSequenceClassification,
    ValencyModel,
    fast_tokenizer,
)
from model.reading import Reader
from tests.model.tiny_cache import STORIES

VIEWS = ["dense", "sentence", "pos & sentences(2)", "window(4) | ~pos"]
HEADS = [ValencyForCausalLM, ValencyForMaskedLM, ValencyForSequenceClassification]
TEXTS = [STORIES[1], "It rained.", STORIES[5][:40]]


def settings(**said: Any) -> ValencyConfig:
    return ValencyConfig(**{"layers": 2, "dim": 16, "heads": 4, "views": VIEWS, "tags": True, **said})


def made(kind: Any = ValencyForCausalLM, **said: Any) -> Any:
    """A model with random weights in float64, none of them zero."""
    torch.manual_seed(0)
    model = kind(settings(**said)).double().eval()
    randomised(model, seed=0)
    return model


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return fast_tokenizer(Reader.shipped().tokenizer)


def read(tokenizer: Any, texts: Sequence[str] = TEXTS, side: str = "right") -> Any:
    return tokenizer(list(texts), return_tensors="pt", padding=True, padding_side=side)


def valid(batch: Any) -> Tensor:
    mask: Tensor = batch["attention_mask"].bool()
    return mask


@pytest.mark.parametrize("kind", [*HEADS, ValencyModel])
def test_saved_and_loaded_it_says_the_same(kind: Any, tokenizer: Any, tmp_path: Path) -> None:
    model, batch = made(kind).float(), read(tokenizer)
    model.save_pretrained(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} >= {"tokenizer.json", "annotator.safetensors", "config.json"}
    loaded, info = kind.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values())
    assert loaded.config.to_diff_dict() == model.config.to_diff_dict()
    assert not loaded.training
    with torch.no_grad():
        assert torch.equal(loaded(**batch)[0], model(**batch)[0])
    assert loaded.reader.annotator.digest == model.reader.annotator.digest


def test_auto_classes_know_it(tokenizer: Any, tmp_path: Path) -> None:
    made().save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert isinstance(AutoConfig.from_pretrained(tmp_path), ValencyConfig)
    assert isinstance(AutoModel.from_pretrained(tmp_path), ValencyModel)
    assert isinstance(AutoModelForCausalLM.from_pretrained(tmp_path), ValencyForCausalLM)
    both_ways = AutoModelForMaskedLM.from_pretrained(tmp_path, causal=False)
    assert isinstance(both_ways, ValencyForMaskedLM)
    assert isinstance(AutoModelForSequenceClassification.from_pretrained(tmp_path), ValencyForSequenceClassification)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again(TEXTS) == tokenizer(TEXTS)
    assert (again.bos_token_id, again.eos_token_id, again.pad_token_id) == (0, 1, 2)
    with pytest.raises(ValueError, match="causal=False"):
        ValencyForMaskedLM.from_pretrained(tmp_path)


def test_the_tokenizer_gives_what_the_models_were_trained_on(tokenizer: Any) -> None:
    ours = Reader.shipped().tokenizer
    for text in [*STORIES, "a text that spells <|end|> and <|begin|> ends nowhere", "", "é\n\t  x"]:
        assert tokenizer(text)["input_ids"] == ours.document(text)[:-1].tolist()
        assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text


def test_embeddings_and_output_are_one_matrix(tmp_path: Path) -> None:
    model = made()
    assert model.lm_head.weight is model.model.decoder.embedding.weight
    model.save_pretrained(tmp_path)
    loaded = ValencyForCausalLM.from_pretrained(tmp_path)
    assert loaded.lm_head.weight is loaded.model.decoder.embedding.weight
    apart = made(tie_word_embeddings=False)
    assert apart.lm_head.weight is not apart.model.decoder.embedding.weight
    apart.save_pretrained(tmp_path)
    assert torch.equal(ValencyForCausalLM.from_pretrained(tmp_path).lm_head.weight, apart.lm_head.weight)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("kind", [ValencyForCausalLM, ValencyForMaskedLM])
@pytest.mark.parametrize("positions", ["rotary", "learned", "alibi"])
def test_a_padded_batch_gives_what_its_rows_give_alone(kind: Any, side: str, positions: str, tokenizer: Any) -> None:
    model, batch = made(kind, positions=positions), read(tokenizer, side=side)
    logits = model(**batch).logits
    for row, text in enumerate(TEXTS):
        alone = model(**read(tokenizer, [text])).logits[0]
        torch.testing.assert_close(logits[row][valid(batch)[row]], alone, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("side", ["left", "right"])
def test_classes_are_read_off_the_pieces_alone(side: str, tokenizer: Any) -> None:
    model = made(ValencyForSequenceClassification, num_labels=3)
    logits = model(**read(tokenizer, side=side)).logits
    assert logits.shape == (3, 3)
    alone = torch.cat([model(**read(tokenizer, [text])).logits for text in TEXTS])
    torch.testing.assert_close(logits, alone, rtol=1e-11, atol=1e-11)


@torch.no_grad()
def test_the_loss_is_of_the_next_pieces_and_of_no_padding(tokenizer: Any) -> None:
    model = made()
    sums, pieces = 0.0, 0
    for text in TEXTS:
        ids = read(tokenizer, [text])["input_ids"]
        logits = model(ids).logits
        sums += float(nn.functional.cross_entropy(logits[0, :-1].float(), ids[0, 1:], reduction="sum"))
        pieces += ids.shape[1] - 1
    for side in ("left", "right"):
        batch = read(tokenizer, side=side)
        loss = model(**batch, labels=batch["input_ids"]).loss
        assert float(loss) == pytest.approx(sums / pieces, rel=1e-5)


@torch.no_grad()
def test_documents_packed_in_a_row_do_not_meet(tokenizer: Any) -> None:
    model = made()
    ids = [read(tokenizer, [text])["input_ids"] for text in TEXTS]
    packed = torch.cat(ids, dim=1)
    apart = torch.cat([model(each).logits for each in ids], dim=1)
    torch.testing.assert_close(model(packed).logits, apart, rtol=1e-11, atol=1e-11)
    losses = [float(model(each, labels=each).loss) * (each.shape[1] - 1) for each in ids]
    targets = packed.shape[1] - len(ids)
    assert float(model(packed, labels=packed).loss) == pytest.approx(sum(losses) / targets, rel=1e-5)


def test_nothing_ahead_reaches_a_causal_logit_and_something_reaches_a_masked_one(tokenizer: Any) -> None:
    ids = read(tokenizer, [STORIES[0]])["input_ids"]
    other = ids.clone()
    other[:, 9:] = torch.randint(3, 8192, other[:, 9:].shape, generator=torch.Generator().manual_seed(0))
    causal, masked = made(), made(ValencyForMaskedLM)
    torch.testing.assert_close(causal(ids).logits[:, :9], causal(other).logits[:, :9], rtol=1e-12, atol=1e-12)
    assert (masked(ids).logits[:, :9] - masked(other).logits[:, :9]).abs().max() > 1e-6


@torch.no_grad()
def test_hidden_pieces_have_no_say(tokenizer: Any) -> None:
    """With the corrupted ids held fixed, other originals move no attribute and no logit; they move the loss."""
    model = made(ValencyForMaskedLM)
    mask = fast_tokenizer(model.reader.tokenizer, "masked").mask_token_id
    ids = read(tokenizer, [STORIES[0]])["input_ids"]
    hidden = torch.zeros_like(ids, dtype=torch.bool)
    hidden[:, 3:12:2] = True
    said = []
    for original in (ids, torch.where(hidden, ids.flip(1), ids)):
        corrupted = original.masked_fill(hidden, mask)
        labels = original.masked_fill(~hidden, -100)
        said.append((model.model.context_of(corrupted), model(corrupted, labels=labels)))
    (one, out), (two, other) = said
    assert all(torch.equal(getattr(one, name), getattr(two, name)) for name in one._fields[:7])
    assert torch.equal(out.logits, other.logits)
    assert float(out.loss) != float(other.loss)


def test_shuffled_labels_and_several_kinds_of_classes(tokenizer: Any) -> None:
    batch = read(tokenizer)
    classes = made(ValencyForSequenceClassification, num_labels=3)
    loss = classes(**batch, labels=torch.tensor([2, 0, 1])).loss
    expected = nn.functional.cross_entropy(classes(**batch).logits, torch.tensor([2, 0, 1]))
    torch.testing.assert_close(loss, expected)
    line = made(ValencyForSequenceClassification, num_labels=1)
    wanted = torch.tensor([0.5, 1.0, -1.0], dtype=torch.float64)
    torch.testing.assert_close(
        line(**batch, labels=wanted).loss, nn.functional.mse_loss(line(**batch).logits[:, 0], wanted)
    )


def test_layers_show_what_goes_through_them(tokenizer: Any) -> None:
    model, batch = made(), read(tokenizer)
    out = model(**batch, output_hidden_states=True, output_attentions=True)
    assert len(out.hidden_states) == 3
    torch.testing.assert_close(model.lm_head(out.hidden_states[-1]), out.logits)
    assert [weights.shape[1] for weights in out.attentions] == [4, 4]
    mixed = out.attentions[0]
    torch.testing.assert_close(mixed.sum(-1), torch.ones_like(mixed[..., 0]))
    with pytest.raises(ValueError, match="use_cache=False"):
        model(**batch, output_attentions=True, use_cache=True)
    assert not (mixed.triu(1)[valid(batch)[:, None].expand(-1, 4, -1)] != 0).any()


def test_layers_that_are_computed_again_give_the_same_gradient(tokenizer: Any) -> None:
    gradients = []
    for again in (False, True):
        model, batch = made(dropout=0.3).train(), read(tokenizer)
        if again:
            enable = getattr(model, "activation_checkpointing_enable", None)  # its name in later versions
            (enable or model.gradient_checkpointing_enable)()
        torch.manual_seed(5)
        model(**batch, labels=batch["input_ids"]).loss.backward()
        gradients.append([weight.grad for weight in model.parameters()])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=0, atol=0)


def test_first_weights_are_those_of_the_decoder(tokenizer: Any, tmp_path: Path) -> None:
    torch.manual_seed(3)
    fresh = ValencyForCausalLM(settings(dim=64))
    made(ValencyModel, dim=64).float().save_pretrained(tmp_path)
    # A head that the folder lacks is drawn; the decoder comes from the folder.
    loaded = ValencyForSequenceClassification.from_pretrained(tmp_path)
    assert 0.01 < float(loaded.score.weight.detach().std()) < 0.03
    for name, weight in fresh.model.decoder.named_parameters():
        if weight.ndim == 2:
            expected = 0.01 if name.endswith("out.weight") else 0.02  # of two layers: 0.02 / sqrt(4)
            assert float(weight.detach().std()) == pytest.approx(expected, rel=0.1), name
        else:
            assert bool((weight == 1).all()), name


def test_more_pieces_than_the_tokenizer_has(tokenizer: Any) -> None:
    model, batch = made(), read(tokenizer)
    before = model(**batch).logits
    model.resize_token_embeddings(8200, mean_resizing=False)
    after = model(**batch).logits
    torch.testing.assert_close(after[..., :8192], before)
    assert after.shape[-1] == 8200 == model.config.vocab_size
    batch["input_ids"][0, 2] = 8199
    assert model(**batch).logits.isfinite().all()


def test_what_does_not_fit_says_what_would(tokenizer: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="did you mean 'sentence'"):
        settings(views=["sentense"])
    with pytest.raises(ValueError, match="causal=True"):
        ValencyForCausalLM(settings(causal=False))
    small = ValencyForCausalLM(settings(vocab_size=100))
    with pytest.raises(ValueError, match=r"model\.reader"):
        small(torch.tensor([[0, 5]]))
    with pytest.raises(ValueError, match=r"model\.reader"):
        small.save_pretrained(tmp_path / "none")
    assert not (tmp_path / "none").exists()
    model, batch = made(), read(tokenizer)
    with pytest.raises(ValueError, match="give input_ids"):
        model(inputs_embeds=torch.zeros(1, 2, 16))
    with pytest.raises(ValueError, match="has 4 dimensions"):
        model(batch["input_ids"], attention_mask=batch["attention_mask"][:, None, None])
    with pytest.raises(ValueError, match="use_cache=False"):
        made(ValencyForMaskedLM)(batch["input_ids"], use_cache=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_it_loads_in_any_precision(dtype: torch.dtype, tokenizer: Any, tmp_path: Path) -> None:
    made().save_pretrained(tmp_path)
    model = ValencyForCausalLM.from_pretrained(tmp_path, dtype=dtype)
    logits = model(**read(tokenizer)).logits
    assert logits.dtype == dtype
    assert logits[valid(read(tokenizer))].isfinite().all()
