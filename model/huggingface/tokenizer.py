"""A run's tokenizer as transformers takes it: begin, end and padding named, begin put before every text."""

from tokenizers import Tokenizer as HFTokenizer
from tokenizers import processors
from transformers import PreTrainedTokenizerFast

from model.masked import mask_piece
from pipeline.pieces import PAD, Tokenizer

PADS = (PAD, "<pad>", "[PAD]")


def fast_tokenizer(tokenizer: Tokenizer, objective: str = "causal") -> PreTrainedTokenizerFast:
    """Texts to ids as the models were trained to read them: begin, then the text's pieces; no end, which nobody reads.

    objective: of model.config.OBJECTIVES; causal models are padded on the left, so that they can go on, and masked ones
    have a piece for what is hidden. A text that spells a special piece does not make one. A tokenizer without a piece
    for padding pads with its end: the attention mask tells them apart.
    """
    model = HFTokenizer.from_str(tokenizer.json)
    names = {number: piece for piece, number in model.get_vocab(with_added_tokens=True).items()}
    first = names[tokenizer.begin]
    model.post_processor = processors.TemplateProcessing(
        single=f"{first} $A", pair=None, special_tokens=[(first, tokenizer.begin)]
    )
    hides = {"mask_token": names[mask_piece(tokenizer)]} if objective == "masked" else {}
    return PreTrainedTokenizerFast(
        tokenizer_object=model,
        bos_token=first,
        eos_token=names[tokenizer.end],
        pad_token=names[padding_of(tokenizer)],
        padding_side="left" if objective == "causal" else "right",
        split_special_tokens=True,
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
        **hides,
    )


def padding_of(tokenizer: Tokenizer) -> int:
    """The id that pads rows; the end piece where the tokenizer has none for it."""
    found = (tokenizer.special(name) for name in PADS)
    return next((number for number in found if number is not None), tokenizer.end)
