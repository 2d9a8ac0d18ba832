"""Generation through transformers: with a cache or without, padded or alone, in steps or at once, it says the same."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("transformers", reason="transformers is not installed: pip install 'valency[hf]'")

from transformers import DynamicCache, TextStreamer

from model.context import PER_PIECE
from model.evaluate.leak import randomised
from model.huggingface import ValencyForCausalLM, streaming
from model.huggingface.rows import last_rows
from model.huggingface.streaming import ValencyCache
from model.parse import parse
from model.reading import Reader
from model.views import view_masks
from tests.model.test_huggingface import TEXTS, made, read, tokenizer, valid
from tests.model.tiny_cache import STORIES
from tests.model.toy import toy_context, with_toy_bonds

__all__ = ["tokenizer"]

ALL_VIEWS = [
    "dense",
    "window(3)",
    "sentence",
    "sentences(2)",
    "pos",
    "~pos & sentence",
    "role | window(2)",
    "random(pos)",
]


@pytest.mark.parametrize("first", [0, 1, 17, 29])
def test_the_last_rows_are_those_of_the_whole_mask(first: int) -> None:
    _, context = toy_context([[30], [7, 12, 4], [22]], seed=3)
    context = with_toy_bonds(context)
    views = [parse(view) for view in ALL_VIEWS]
    assert torch.equal(last_rows(views, context, first), view_masks(views, context)[:, :, first:])


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("positions", ["rotary", "learned", "alibi"])
@pytest.mark.parametrize("sizes", [[1] * 9, [3, 1, 5], [9]])
@torch.no_grad()
def test_logits_that_go_on_are_those_of_the_whole(side: str, positions: str, sizes: list[int], tokenizer: Any) -> None:
    model, batch = made(positions=positions), read(tokenizer, side=side)
    whole, past, place = model(**batch).logits, None, 0
    ids, mask = batch["input_ids"], batch["attention_mask"]
    parts = []
    for size in [*sizes, ids.shape[1] - sum(sizes)]:
        here = slice(place, place + size)
        out = model(ids[:, here], attention_mask=mask[:, : here.stop], past_key_values=past, use_cache=True)
        parts.append(out.logits)
        past, place = out.past_key_values, here.stop
    assert isinstance(past, ValencyCache)
    together = torch.cat(parts, dim=1)
    torch.testing.assert_close(together[valid(batch)], whole[valid(batch)], rtol=1e-11, atol=1e-11)


@torch.no_grad()
def test_shared_keys_and_long_rows_too(tokenizer: Any) -> None:
    """Rows this long take other paths than dense masks when read at once."""
    model, batch = made(kv_heads=2), read(tokenizer, [" ".join(STORIES) * 5, STORIES[0]], side="left")
    assert batch["input_ids"].shape[1] > 600
    whole, ids, mask = model(**batch).logits, batch["input_ids"], batch["attention_mask"]
    first = model(ids[:, :-3], attention_mask=mask[:, :-3], use_cache=True)
    rest = model(ids[:, -3:], attention_mask=mask, past_key_values=first.past_key_values, use_cache=True)
    together = torch.cat([first.logits, rest.logits], dim=1)
    torch.testing.assert_close(together[valid(batch)], whole[valid(batch)], rtol=1e-10, atol=1e-10)


def say(model: ValencyForCausalLM, batch: Any, **said: Any) -> Tensor:
    settings = {"max_new_tokens": 14, "do_sample": False, "pad_token_id": 2, **said}
    made: Tensor = model.generate(**batch, **settings)  # type: ignore[operator]
    return made


@pytest.mark.parametrize("said", [{}, {"num_beams": 3}, {"num_beams": 2, "num_return_sequences": 2}])
def test_generated_with_a_cache_and_without(said: dict[str, Any], tokenizer: Any) -> None:
    model, batch = made(), read(tokenizer, side="left")
    assert torch.equal(say(model, batch, **said), say(model, batch, **said, use_cache=False))


def test_a_mechanism_that_keeps_no_keys_is_run_anew(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = made(), read(tokenizer, side="left")
    expected = say(model, batch)
    monkeypatch.setattr(streaming, "keeps_keys", lambda _decoder: False)
    assert torch.equal(say(model, batch), expected)


def test_a_row_of_a_batch_is_continued_as_alone(tokenizer: Any) -> None:
    model, batch = made(), read(tokenizer, side="left")
    together = say(model, batch)
    for row, text in enumerate(TEXTS):
        alone = read(tokenizer, [text])
        said = say(model, alone)[0, alone["input_ids"].shape[1] :]
        assert together[row, batch["input_ids"].shape[1] :][: len(said)].tolist() == said.tolist()


def test_it_samples_streams_and_is_cut_back(tokenizer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    model, batch = made(), read(tokenizer, TEXTS[:1])
    torch.manual_seed(0)
    one = say(model, batch, do_sample=True, top_k=20, streamer=TextStreamer(tokenizer))
    torch.manual_seed(0)
    assert torch.equal(one, say(model, batch, do_sample=True, top_k=20, use_cache=False))
    assert capsys.readouterr().out.startswith("<|begin|>" + TEXTS[0])
    out = model(**batch, use_cache=True)
    cut = out.past_key_values
    cut.crop(-5)
    length = batch["input_ids"].shape[1]
    assert cut.get_seq_length() == length - 5
    again = model(batch["input_ids"][:, -5:], past_key_values=cut, use_cache=True)
    torch.testing.assert_close(again.logits, out.logits[:, -5:], rtol=1e-11, atol=1e-11)


def test_guessed_by_the_prompt_and_checked(tokenizer: Any) -> None:
    """Assisted generation reads several guessed pieces at once and takes back those that are wrong."""
    model, batch = made(), read(tokenizer, ["Rain fell. Rain fell. Rain fell. Rain"])
    assert torch.equal(say(model, batch, prompt_lookup_num_tokens=3), say(model, batch))


def test_going_on_from_a_cache_that_generate_returned(tokenizer: Any) -> None:
    model, batch = made(), read(tokenizer, TEXTS[:1])
    first = say(model, batch, max_new_tokens=6, return_dict_in_generate=True)
    more = {"input_ids": first.sequences, "attention_mask": torch.ones_like(first.sequences)}
    on = say(model, more, max_new_tokens=6, past_key_values=first.past_key_values)
    assert torch.equal(on, say(model, batch, max_new_tokens=12))


def test_the_cache_knows_what_was_known(tokenizer: Any) -> None:
    model, batch = made(), read(tokenizer, side="left")
    past = model(**batch, use_cache=True).past_key_values
    known = model.model.context_of(batch["input_ids"], batch["attention_mask"])
    assert all(torch.equal(getattr(past.rows.context(), name), getattr(known, name)) for name in PER_PIECE)
    past.reorder_cache(torch.tensor([2, 0, 0]))
    assert torch.equal(past.rows.context().last_word, known.last_word[[2, 0, 0]])
    past.batch_select_indices(torch.tensor([0, 1]))
    past.batch_repeat_interleave(2)
    assert torch.equal(past.rows.context().last_word, known.last_word[[2, 2, 0, 0]])


def test_another_kind_of_cache_says_what_to_give(tokenizer: Any) -> None:
    model, batch = made(), read(tokenizer)
    other = DynamicCache()
    other.update(torch.zeros(3, 4, 2, 4), torch.zeros(3, 4, 2, 4), 0)
    with pytest.raises(ValueError, match="ValencyCache"):
        model(**batch, past_key_values=other, use_cache=True)


def test_a_long_generation_is_what_the_whole_says(tmp_path: Path) -> None:
    """Each new piece's logits, over several sentences and words of many pieces, are those of all pieces at once."""
    model = made(layers=1)
    randomised(model, seed=2)
    ids = torch.tensor([Reader.shipped().tokenizer.document("It rained.")[:-1].tolist()])
    made_ = model.generate(
        ids, max_new_tokens=150, do_sample=True, eos_token_id=None, output_logits=True, return_dict_in_generate=True
    )
    whole = model(made_.sequences).logits[0, ids.shape[1] - 1 : -1]
    torch.testing.assert_close(torch.cat(made_.logits), whole.float().detach(), rtol=1e-5, atol=1e-6)
