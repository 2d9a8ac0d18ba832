"""The settings of a model as transformers keeps them: a `config.json` beside the weights."""

import json
from dataclasses import asdict, fields
from typing import Any

from transformers import PretrainedConfig

from model.config import ModelConfig
from model.toml import build

SETTINGS = tuple(field.name for field in fields(ModelConfig))


class ValencyConfig(PretrainedConfig):
    """A ModelConfig, the size of the vocabulary, and what transformers itself asks of every model.

    ValencyConfig(vocab_size=8192, layers=4, dim=128, heads=8, views=["dense", "sentence"])

    Errors: ValueError for an unfit setting, as ModelConfig says it.
    """

    model_type = "valency"
    keys_to_ignore_at_inference = ["past_key_values"]  # noqa: RUF012 - transformers declares it so

    def __init__(
        self,
        vocab_size: int = 8192,
        network: dict[str, Any] | None = None,
        causal: bool | None = None,
        use_cache: bool = True,
        bos_token_id: int | None = 0,
        eos_token_id: int | None = 1,
        pad_token_id: int | None = 2,
        tie_word_embeddings: bool = True,
        **kwargs: Any,
    ) -> None:
        """network: settings of ModelConfig by name; they may also be given by themselves. causal: whether a piece may
        read earlier pieces only; None: what the class of the model is for."""
        said = {name: kwargs.pop(name) for name in SETTINGS if name in kwargs}
        settings = {**(network or {}), **said}
        # Through JSON: as tuples and as lists they must be the same settings.
        checked = build(ModelConfig, json.loads(json.dumps(settings)), "the model's settings")
        self.network: dict[str, Any] = json.loads(json.dumps(asdict(checked)))
        self.vocab_size, self.causal, self.use_cache = vocab_size, causal, use_cache
        self.tie_word_embeddings = tie_word_embeddings
        self.bos_token_id, self.eos_token_id, self.pad_token_id = bos_token_id, eos_token_id, pad_token_id
        super().__init__(**kwargs)

    def model_config(self) -> ModelConfig:
        """The transformer's settings as the rest of Valency takes them."""
        return build(ModelConfig, self.network, "the model's settings")

    # What other people's code asks of any model's settings.
    @property
    def hidden_size(self) -> int:
        return self.model_config().dim

    @property
    def num_hidden_layers(self) -> int:
        return self.model_config().layers

    @property
    def num_attention_heads(self) -> int:
        return self.model_config().heads

    @property
    def num_key_value_heads(self) -> int:
        return self.model_config().key_heads()

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_attention_heads

    @property
    def intermediate_size(self) -> int:
        return self.model_config().hidden()
