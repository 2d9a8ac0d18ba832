"""The decoder as a transformers model without a head: it reads ids, and annotates them itself.

A folder that it is saved to holds `tokenizer.json` and `annotator.safetensors` beside the weights, so that ids alone
are enough: what a layer is told of words, sentences and tags is made from them at every call.
Letters: B rows, N pieces of a row, n new ones, M width of the model.
"""

from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPast
from transformers.utils.generic import can_return_tuple
from transformers.utils.hub import cached_file

from model.context import Context
from model.dropout import Noise
from model.huggingface.config import ValencyConfig
from model.huggingface.streaming import ValencyCache, hidden_after
from model.layer import attention_weights
from model.reading import ANNOTATOR, TOKENIZER, Reader, Rows
from model.transformer import FIRST_STD, Decoder
from pipeline.pieces import Tokenizer

HUB = ("cache_dir", "force_download", "local_files_only", "token", "revision", "subfolder")
"""Of the arguments of `from_pretrained`, those that say where files come from."""


class ValencyPreTrainedModel(PreTrainedModel):
    """What all heads share: how weights are drawn, and the reader that goes with them."""

    config_class = ValencyConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _no_split_modules = ["Layer"]  # noqa: RUF012 - transformers declares it so
    _reads_back_only: bool | None = None
    """Whether the head needs a causal context; None: as the settings say, and causal if they do not."""

    def __init__(self, config: ValencyConfig, *args: Any, **kwargs: Any) -> None:
        """Errors: ValueError where the settings read in another direction than the head."""
        wanted = self._reads_back_only
        if wanted is not None and config.causal is (not wanted):
            raise ValueError(
                f"{type(self).__name__} reads {'back only' if wanted else 'both ways'} and these settings say "
                f"causal={config.causal}; give causal={wanted}"
            )
        if config.causal is None:
            config.causal = wanted is not False
        super().__init__(config, *args, **kwargs)

    @property
    def bare(self) -> "ValencyModel":
        """The model without its head."""
        return cast("ValencyModel", self.base_model)

    @property
    def reader(self) -> Reader:
        """Tokenizer and annotator. Errors: ValueError if the model came without, and the shipped ones do not fit."""
        base = self.bare
        if base._reader is None:
            shipped = Reader.shipped()
            if shipped.tokenizer.size != self.config.vocab_size:
                raise ValueError(
                    f"this model has {self.config.vocab_size:,} pieces and no tokenizer of its own (the shipped one "
                    f"has {shipped.tokenizer.size:,}); set `model.reader = Reader.load(folder)` (model.reading), or "
                    f"load the model from a folder with {TOKENIZER} and {ANNOTATOR}"
                )
            base._reader = shipped
        if base._reader.pieces < self.config.vocab_size:
            base._reader = base._reader.widened(self.config.vocab_size)
        return base._reader

    @reader.setter
    def reader(self, reader: Reader) -> None:
        if reader.tokenizer.size > self.config.vocab_size:
            raise ValueError(
                f"this tokenizer has {reader.tokenizer.size:,} pieces and the model {self.config.vocab_size:,}; "
                "take the one it was trained with"
            )
        self.bare._reader = reader

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """As every transformers model, with the folder's tokenizer and annotator where it has them."""
        where = {name: kwargs[name] for name in HUB if name in kwargs}
        loaded = super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        if pretrained_model_name_or_path is None:
            return loaded
        files = [
            cached_file(str(pretrained_model_name_or_path), name, _raise_exceptions_for_missing_entries=False, **where)
            for name in (TOKENIZER, ANNOTATOR)
        ]
        tokenizer, tables = files
        if tokenizer and tables:
            model.reader = Reader.of(Tokenizer.load(tokenizer), Path(tables))
        return loaded

    def save_pretrained(self, save_directory: Any, is_main_process: bool = True, *args: Any, **kwargs: Any) -> None:
        """As every transformers model, and the tokenizer and annotator beside the weights."""
        reader = self.reader  # first: a model without one must not leave half a folder
        super().save_pretrained(save_directory, is_main_process, *args, **kwargs)
        if is_main_process:
            reader.save(Path(save_directory))

    def get_input_embeddings(self) -> nn.Module:
        return self.bare.decoder.embedding

    def set_input_embeddings(self, value: nn.Module) -> None:
        assert isinstance(value, nn.Embedding)
        self.bare.decoder.embedding, self.bare.decoder.vocabulary = value, value.num_embeddings

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Weights that no file gave. A decoder draws its own when it is made; one that was made without memory, to be
        loaded, takes what is lacking from one that is made now."""
        if isinstance(module, Decoder):
            mine = dict(chain(module.named_parameters(), module.named_buffers()))
            lacking = [name for name, tensor in mine.items() if not getattr(tensor, "_is_hf_initialized", False)]
            if lacking and self.bare._made_empty:
                drawn = Decoder(module.config, module.vocabulary)
                given = dict(chain(drawn.named_parameters(), drawn.named_buffers()))
                for name in lacking:
                    mine[name].copy_(given[name])
        elif isinstance(module, nn.Linear) and any(module is head for head in self._heads()):
            nn.init.normal_(module.weight, std=FIRST_STD)
            if module.bias is not None:
                nn.init.zeros_(module.bias)

    def _heads(self) -> list[nn.Module]:
        return [head for name, head in self.named_children() if name != self.base_model_prefix]


class ValencyModel(ValencyPreTrainedModel):
    """What the logits are read off."""

    def __init__(self, config: ValencyConfig) -> None:
        if config.model_config().reads_words():
            raise ValueError(
                "this model is told bonds or features of words, and from ids alone there are words, sentences and tags "
                "only; use views without bonds, and no scores, kind_bias, kind_gates or features"
            )
        super().__init__(config)
        self._reader: Reader | None = None
        self.gradient_checkpointing = False
        # What it learns to say is the head's to know: the decoder itself gets no head for classes.
        self.decoder = Decoder(replace(config.model_config(), objective="causal"), config.vocab_size)
        self._made_empty = self.decoder.embedding.weight.is_meta
        self.post_init()

    def context_of(self, ids_BN: Tensor, attention_mask: Tensor | None = None) -> Context:
        """What the layers are told of these ids. Errors: ValueError for padding between pieces."""
        return self.reader.read(ids_BN, two_dimensional(attention_mask), causal=bool(self.config.causal))

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        past_key_values: Any = None,
        use_cache: bool | None = None,
        context: Context | None = None,
        inputs_embeds: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        **_kwargs: Any,
    ) -> BaseModelOutputWithPast:
        """input_ids: int64 [B,N]. attention_mask: [B,N], 0 at padding; with past_key_values [B, all places so far].
        context: of these ids, if it is known already. Places follow from the mask; `position_ids` are not read."""
        if input_ids is None or inputs_embeds is not None:
            raise ValueError("give input_ids: words, sentences and tags are read off the pieces, not off embeddings")
        shows = bool(self.config.output_hidden_states if output_hidden_states is None else output_hidden_states)
        weighs = bool(self.config.output_attentions if output_attentions is None else output_attentions)
        if shows and self.decoder.config.depth.reversible:
            raise ValueError("a reversible model has two streams and shows neither; give output_hidden_states=False")
        if past_key_values is not None or use_cache:
            if not self.config.causal:
                raise ValueError("a model that reads both ways keeps no cache; give use_cache=False")
            if shows or weighs:
                raise ValueError("hidden states and attentions are shown of whole rows only; give use_cache=False")
            return self._go_on(input_ids, two_dimensional(attention_mask), past_key_values)
        context = self.context_of(input_ids, attention_mask) if context is None else context
        ids_BN = torch.where(context.valid(), input_ids, 0)
        self.decoder.checkpoint_layers = self.gradient_checkpointing and self.training
        with Watch(self.decoder, shows, weighs) as seen:
            hidden_BNM = self.decoder.hidden(ids_BN, context, self._noise(ids_BN.device))
        return BaseModelOutputWithPast(
            last_hidden_state=hidden_BNM,
            hidden_states=(*seen.inputs, hidden_BNM) if shows else None,
            attentions=tuple(seen.weights) if weighs else None,
        )

    def _go_on(self, ids_Bn: Tensor, mask_BN: Tensor | None, past: Any) -> BaseModelOutputWithPast:
        if not isinstance(past, ValencyCache):
            if past is not None and past.get_seq_length() > 0:
                raise ValueError(
                    f"past_key_values is a {type(past).__name__} that holds pieces already; give none, and go on with "
                    "the ValencyCache that the first call returns"
                )
            past = ValencyCache(Rows(self.reader, len(ids_Bn)), self.decoder)
        new = None if mask_BN is None else mask_BN[:, mask_BN.shape[1] - ids_Bn.shape[1] :]
        hidden_BnM, _ = hidden_after(self.decoder, ids_Bn, new, past)
        return BaseModelOutputWithPast(last_hidden_state=hidden_BnM, past_key_values=past)

    def _noise(self, device: torch.device) -> Noise | None:
        """What dropout draws from: another key at every call in training."""
        rate = self.decoder.config.dropout
        if not self.training or not rate:
            return None
        return Noise(torch.randint(1 << 32, (), device=device), torch.tensor(rate, device=device))


class Watch:
    """While it is open, notes what goes into each layer, and how its heads spread their attention."""

    def __init__(self, decoder: Decoder, inputs: bool, weights: bool) -> None:
        self.decoder, self.wants_inputs, self.wants_weights = decoder, inputs, weights
        self.inputs, self.weights = list[Tensor](), list[Tensor]()
        self._hooks = list[Any]()

    def __enter__(self) -> Self:
        for layer in self.decoder.layers:
            if self.wants_inputs:
                self._hooks.append(layer.register_forward_pre_hook(self._see_input))
            if self.wants_weights:
                attention: Any = layer.attention
                self._hooks.append(attention.register_forward_pre_hook(self._see_weights))
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _see_input(self, _layer: nn.Module, given: tuple[Any, ...]) -> None:
        self.inputs.append(given[0])

    def _see_weights(self, attention: nn.Module, given: tuple[Any, ...]) -> None:
        self.weights.append(attention_weights(attention, *given))


def two_dimensional(attention_mask: Tensor | None) -> Tensor | None:
    """Errors: ValueError for a mask that says more than which places hold a piece."""
    if attention_mask is not None and attention_mask.ndim != 2:
        raise ValueError(
            f"attention_mask has {attention_mask.ndim} dimensions; give [rows, pieces], 0 at padding: who sees whom is "
            "the views' to say"
        )
    return attention_mask
