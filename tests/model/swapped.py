"""Small models of other people's, with random weights, for the tests of swapping."""

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
