"""A run's tokenizer as transformers takes it: begin, end and padding named, begin put before every text."""

import json
from pathlib import Path

from tokenizers import Tokenizer as HFTokenizer
from tokenizers import processors
from transformers import PreTrainedTokenizerFast

from pipeline.pieces import PAD, Tokenizer

PADS = (PAD, "<pad>", "[PAD]")


def fast_tokenizer(tokenizer: Tokenizer, end: bool = False) -> PreTrainedTokenizerFast:
    """Texts to ids as the models were trained to read them: begin, the text's pieces, and the end piece if asked for.

    For generation a text has no end yet; for classes and hidden pieces it has. A text that spells a special piece does
    not make one. A tokenizer without a piece for padding pads with its end: masks tell them apart.
    """
    model = HFTokenizer.from_str(tokenizer.json)
    names = {number: piece for piece, number in model.get_vocab(with_added_tokens=True).items()}
    first, last = names[tokenizer.begin], names[tokenizer.end]
    model.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}" if end else f"{first} $A",
        pair=None,
        special_tokens=[(first, tokenizer.begin), *([(last, tokenizer.end)] if last != first else [])],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=model,
        bos_token=first,
        eos_token=last,
        pad_token=names[padding_of(tokenizer)],
        padding_side="right" if end else "left",
        split_special_tokens=True,
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )


def padding_of(tokenizer: Tokenizer) -> int:
    """The id that pads rows; the end piece where the tokenizer has none for it."""
    model = HFTokenizer.from_str(tokenizer.json)
    found = (model.token_to_id(name) for name in PADS)
    return next((number for number in found if number is not None), tokenizer.end)


def save_tokenizer(tokenizer: Tokenizer, folder: Path, end: bool = False) -> None:
    """Write what `AutoTokenizer.from_pretrained(folder)` reads."""
    fast_tokenizer(tokenizer, end).save_pretrained(folder)
    assert json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]  # both readers take this file
