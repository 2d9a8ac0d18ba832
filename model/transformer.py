"""The model: a decoder that reads pieces of text from left to right and says, at each, which piece comes next.

RMSNorm before each sublayer (Zhang and Sennrich 2019), attention through views, SwiGLU (Shazeer 2020), and one matrix
for the embeddings and the output (Press and Wolf 2017). No bias anywhere.

Letters: B rows, N pieces of a row, M width of the model, F width of the feed-forward layer, V vocabulary.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from model.attention import MECHANISMS
from model.config import ModelConfig
from model.context import TAGS, Context
from model.dropout import Noise, drop
from model.facts import facts_of

FEATURE_BITS = 64
"""Bits of what is known of a word (lexicons.features), each with an embedding."""

FIRST_STD = 0.02
"""Spread of first weights (Radford et al. 2019); what writes to the residual stream gets less, by its depth."""


class Decoder(nn.Module):
    """Pieces and what is known of them in; logits of the next piece out."""

    layers: list["Layer"]

    def __init__(self, config: ModelConfig, vocabulary: int) -> None:
        """vocabulary: number of pieces of the tokenizer. First weights are drawn from torch's global generator."""
        super().__init__()
        self.config, self.vocabulary = config, vocabulary
        self.checkpoint_layers = False
        """Whether a backward pass computes layers again instead of finding all that they made in memory."""
        self.embedding = nn.Embedding(vocabulary, config.dim)
        self.layers = nn.ModuleList(Layer(config, layer) for layer in range(config.layers))  # type: ignore[assignment]
        self.norm = nn.RMSNorm(config.dim, eps=1e-6)
        self.draw_first_weights()
        # Last, so that models with and without them draw the same first weights elsewhere.
        self.place_embedding = _embedding(config.context, config.dim) if config.positions == "learned" else None
        self.tag_embedding = _embedding(TAGS, config.dim) if config.tags else None
        self.feature_embedding = _embedding(FEATURE_BITS, config.dim) if config.features else None
        self.class_out = _embedding(config.classes, config.dim) if config.objective == "classify" else None
        self.tag_out = _embedding(TAGS, config.dim) if config.tag_loss else None

    def draw_first_weights(self) -> None:
        """Normal for matrices, narrower for the two of a layer that write to the residual stream; norms stay 1.

        Under `base_dim` the spread of matrices and the last norm's gain fall with width (model.optimizer says why).
        """
        width = (self.config.base_dim or self.config.dim) / self.config.dim
        writing = (2 * self.config.layers) ** -0.5
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                inside = 1.0 if isinstance(module, nn.Embedding) else width**0.5
                nn.init.normal_(module.weight, std=FIRST_STD * inside * (writing if name.endswith("out") else 1.0))
        nn.init.constant_(self.norm.weight, width)

    def forward(self, ids_BN: Tensor, context: Context, noise: Noise | None = None) -> Tensor:
        """ids_BN: int64. Returns [B,N,V]: logits of the piece that follows each; at padding they mean nothing.

        noise: what dropout draws from, in training; None drops nothing.
        """
        return functional.linear(self.hidden(ids_BN, context, noise), self.embedding.weight)

    def class_logits(self, hidden_BNM: Tensor, context: Context) -> Tensor:
        """[B,C]: logits of the classes, read off the mean over a row's pieces. Only where the objective is classify."""
        assert self.class_out is not None
        valid_BN1 = context.valid()[:, :, None]
        mean_BM = (hidden_BNM * valid_BN1).sum(1) / valid_BN1.sum(1).clamp(min=1)
        return functional.linear(mean_BM, self.class_out.weight)

    def prepare(self, context: Context) -> Context:
        """The context with masks and plans of all layers; those that are alike share them. What is there is kept."""
        for layer in self.layers:
            context = layer.attention.prepare(context)
        return context

    def hidden(self, ids_BN: Tensor, context: Context, noise: Noise | None = None) -> Tensor:
        """[B,N,M]: what the logits are read off."""
        x_BNM = self.embedding(ids_BN)
        if self.place_embedding is not None:
            place = torch.arange(ids_BN.shape[1], device=ids_BN.device)
            x_BNM = x_BNM + self.place_embedding(place - context.sequence_start())
        if self.tag_embedding is not None:
            tag_BNM = self.tag_embedding(context.input_tag)
            x_BNM = x_BNM + (tag_BNM if context.opened is None else tag_BNM * (1 - context.opened).to(tag_BNM.dtype))
        if self.feature_embedding is not None:
            known_BNF = facts_of(context).query_features[:, :, None] >> torch.arange(FEATURE_BITS, device=x_BNM.device)
            known_BNM = (known_BNF & 1).to(x_BNM.dtype) @ self.feature_embedding.weight
            x_BNM = x_BNM + (known_BNM if context.opened is None else known_BNM * (1 - context.opened).to(x_BNM.dtype))
        # Zeros, not a mask alone: a weight of 0 times a NaN is NaN, and would carry it out of the padding.
        x_BNM = x_BNM.masked_fill(~context.valid()[:, :, None], 0.0)
        noises = noise.spread(len(self.layers)) if noise else [None] * len(self.layers)
        context = self.prepare(context)
        for layer, its_noise in zip(self.layers, noises, strict=True):
            if self.checkpoint_layers and torch.is_grad_enabled():
                x_BNM = checkpoint(layer, x_BNM, context, its_noise, use_reentrant=False, preserve_rng_state=False)
            else:
                x_BNM = layer(x_BNM, context, its_noise)
        normed_BNM: Tensor = self.norm(x_BNM)
        return normed_BNM


class Layer(nn.Module):
    """One storey: the pieces look at each other, then each thinks for itself."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(config.dim, eps=1e-6)
        self.attention = MECHANISMS[config.mechanism(layer)].make(config, layer)
        self.feed_norm = nn.RMSNorm(config.dim, eps=1e-6)
        self.feed = FeedForward(config)

    def forward(self, x_BNM: Tensor, context: Context, noise: Noise | None) -> Tensor:
        return self.think(x_BNM, self.attention(self.attention_norm(x_BNM), context), noise)

    def think(self, x_BNM: Tensor, looked_BNM: Tensor, noise: Noise | None) -> Tensor:
        """All that follows attention."""
        x_BNM = x_BNM + (looked_BNM if noise is None else drop(looked_BNM, noise, 0))
        thought_BNM = self.feed(self.feed_norm(x_BNM))
        return x_BNM + (thought_BNM if noise is None else drop(thought_BNM, noise, 1))


class FeedForward(nn.Module):
    """SwiGLU: one half of a wide layer opens and shuts the other."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_and_value = nn.Linear(config.dim, 2 * config.hidden(), bias=False)
        self.out = nn.Linear(config.hidden(), config.dim, bias=False)

    def forward(self, x_BNM: Tensor) -> Tensor:
        gate_BNF, value_BNF = self.gate_and_value(x_BNM).chunk(2, dim=-1)
        x_BNM = self.out(functional.silu(gate_BNF) * value_BNF)
        return x_BNM


def _embedding(entries: int, dim: int) -> nn.Embedding:
    made = nn.Embedding(entries, dim)
    nn.init.normal_(made.weight, std=FIRST_STD)
    return made
