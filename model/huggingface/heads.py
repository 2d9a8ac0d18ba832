"""The decoder with a head: the next piece, the hidden pieces, or one of a few classes.

Letters: B rows, N pieces of a row, M width of the model, V vocabulary, C labels.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationMixin
from transformers.modeling_outputs import CausalLMOutputWithPast, MaskedLMOutput, SequenceClassifierOutput
from transformers.utils.generic import can_return_tuple

from model.batches import NO_TARGET
from model.context import Context
from model.huggingface.base import ValencyModel, ValencyPreTrainedModel
from model.huggingface.config import ValencyConfig


class _WithVocabulary(ValencyPreTrainedModel):
    """One matrix for the embeddings and the output."""

    _tied_weights_keys = {"lm_head.weight": "model.decoder.embedding.weight"}  # noqa: RUF012

    def __init__(self, config: ValencyConfig) -> None:
        super().__init__(config)
        self.model = ValencyModel(config)
        self.lm_head: nn.Module = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        self.lm_head = new_embeddings


class ValencyForCausalLM(_WithVocabulary, GenerationMixin):
    """Says the next piece; reads back only."""

    _reads_back_only = True

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        past_key_values: Any = None,
        use_cache: bool | None = None,
        context: Context | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """input_ids, attention_mask: [B,N]. labels: the ids themselves, [B,N]; the model shifts them, and leaves out
        -100, padding and what begins a document. logits_to_keep: of so many last places, or of these; 0: of all."""
        if labels is not None and context is None and past_key_values is None:
            context = self.model.context_of(input_ids, attention_mask)
        out = self.model(
            input_ids, attention_mask, past_key_values=past_key_values, use_cache=use_cache, context=context, **kwargs
        )
        keep = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits_BNV = self.lm_head(out.last_hidden_state[:, keep])
        loss = None
        if labels is not None:
            if context is not None:
                labels = _predictable(labels, context)
            loss = self.loss_function(logits_BNV, labels, vocab_size=self.config.vocab_size, **_of_loss(kwargs))
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits_BNV,
            past_key_values=out.past_key_values,
            hidden_states=out.hidden_states,
            attentions=out.attentions,
        )


class ValencyForMaskedLM(_WithVocabulary):
    """Says which piece stood where one is hidden; reads both ways.

    It annotates what it is given, which is the text with pieces hidden already: what was hidden has no say in words,
    sentences or tags.
    """

    _reads_back_only = False

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        context: Context | None = None,
        **kwargs: Any,
    ) -> MaskedLMOutput:
        """input_ids, attention_mask: [B,N]. labels: [B,N], the piece at each place and -100 where none is asked for."""
        out = self.model(input_ids, attention_mask, context=context, **kwargs)
        logits_BNV = self.lm_head(out.last_hidden_state)
        loss = None
        if labels is not None:
            loss = self.loss_function(logits_BNV, labels, vocab_size=self.config.vocab_size, **_of_loss(kwargs))
        return MaskedLMOutput(loss=loss, logits=logits_BNV, hidden_states=out.hidden_states, attentions=out.attentions)


class ValencyForSequenceClassification(ValencyPreTrainedModel):
    """Says which of `config.num_labels` a row is, off the mean of what the decoder makes of its pieces.

    Reads both ways, unless the settings say `causal=True`, as those of a trained causal model do.
    """

    def __init__(self, config: ValencyConfig) -> None:
        config.causal = bool(config.causal)
        super().__init__(config)
        self.num_labels = config.num_labels or 2
        self.model = ValencyModel(config)
        self.score = nn.Linear(config.hidden_size, self.num_labels, bias=False)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        context: Context | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """input_ids, attention_mask: [B,N]. labels: int64 [B] classes, float [B] or [B,C] for regression, or float
        [B,C] of 0 and 1, as `config.problem_type` says or the labels tell. logits: [B,C]."""
        if context is None:
            context = self.model.context_of(input_ids, attention_mask)
        out = self.model(input_ids, attention_mask, context=context, **kwargs)
        logits_BC = self.score(mean_of_pieces(out.last_hidden_state, context))
        loss = None
        if labels is not None:
            loss = self.loss_function(labels=labels, pooled_logits=logits_BC, config=self.config, **_of_loss(kwargs))
        return SequenceClassifierOutput(
            loss=loss, logits=logits_BC, hidden_states=out.hidden_states, attentions=out.attentions
        )


def mean_of_pieces(hidden_BNM: Tensor, context: Context) -> Tensor:
    """[B,M]: the mean over the places that hold a piece; 0 for a row without any."""
    valid_BN1 = context.valid()[:, :, None]
    return (hidden_BNM * valid_BN1).sum(1) / valid_BN1.sum(1).clamp(min=1)  # to the bit as Decoder.class_logits


def _predictable(labels_BN: Tensor, context: Context) -> Tensor:
    """The labels without padding and without what begins a document: nothing before it is of its document."""
    other = torch.ones_like(context.document, dtype=torch.bool)
    other[:, 1:] = context.document[:, 1:] != context.document[:, :-1]
    return labels_BN.masked_fill(other | ~context.valid(), NO_TARGET)


def _of_loss(kwargs: dict[str, Any]) -> dict[str, Any]:
    """What Trainer says of the loss: how many targets a step has over all its batches."""
    return {name: kwargs[name] for name in ("num_items_in_batch",) if name in kwargs}
