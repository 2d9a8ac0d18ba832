"""The model: a decoder that reads pieces of text from left to right and says, at each, which piece comes next.

RMSNorm before each sublayer (Zhang and Sennrich 2019), attention through views, SwiGLU (Shazeer 2020), and one matrix
for the embeddings and the output (Press and Wolf 2017). No bias anywhere.

Letters: B rows, N pieces of a row, M width of the model, F width of the feed-forward layer, V vocabulary.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.attention import MECHANISMS
from model.config import ModelConfig
from model.context import TAGS, Context
from model.depth import climbed, storeys_of
from model.depth.ponder import Halting, Pondered
from model.dropout import Noise, drop
from model.facts import facts_of

FEATURE_BITS = 64
"""Bits of what is known of a word (lexicons.features), each with an embedding."""

FIRST_STD = 0.02
"""Spread of first weights (Radford et al. 2019); what writes to the residual stream gets less, by its depth."""


class Decoder(nn.Module):
    """Pieces and what is known of them in; logits of the next piece out."""

    layers: list["Layer"]
    """Those that have weights of their own; `storeys` are all, in the order in which they are applied."""

    def __init__(self, config: ModelConfig, vocabulary: int) -> None:
        """vocabulary: number of pieces of the tokenizer. First weights are drawn from torch's global generator."""
        super().__init__()
        self.config, self.vocabulary = config, vocabulary
        self.checkpoint_layers = False
        """Whether a backward pass computes layers again instead of finding all that they made in memory."""
        self.embedding = nn.Embedding(vocabulary, config.dim)
        own = sorted(set(map(config.depth.weights_of, range(config.layers))))
        self.layers = nn.ModuleList(Layer(config, layer) for layer in own)  # type: ignore[assignment]
        self.norm = nn.RMSNorm(config.dim, eps=1e-6)
        self.draw_first_weights()
        # Last, so that models with and without them draw the same first weights elsewhere.
        self.place_embedding = _embedding(config.context, config.dim) if config.positions == "learned" else None
        self.tag_embedding = _embedding(TAGS, config.dim) if config.tags else None
        self.feature_embedding = _embedding(FEATURE_BITS, config.dim) if config.features else None
        self.class_out = _embedding(config.classes, config.dim) if config.objective == "classify" else None
        self.tag_out = _embedding(TAGS, config.dim) if config.tag_loss else None
        self.halting = Halting(config.dim, config.depth, FIRST_STD) if config.depth.ponder else None

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

    def storeys(self) -> list["Layer"]:
        """All layers, from the first up; those that share weights are the same module."""
        depth, layers = self.config.depth, range(self.config.layers)
        own = sorted(set(map(depth.weights_of, layers)))
        return [self.layers[own.index(depth.weights_of(layer))] for layer in layers]

    def hidden(self, ids_BN: Tensor, context: Context, noise: Noise | None = None) -> Tensor:
        """[B,N,M]: what the logits are read off; of a model that ponders, what is to be expected of it."""
        if self.halting is not None:
            return self.pondered(ids_BN, context, noise).expected()
        normed_BNM: Tensor = self.norm(self.states(ids_BN, context, noise)[-1])
        return normed_BNM

    def pondered(self, ids_BN: Tensor, context: Context, noise: Noise | None = None) -> Pondered:
        """What is thought after each step, and where each piece halts. Only of a model that ponders."""
        assert self.halting is not None
        pondered: Pondered = self.halting([self.norm(state) for state in self.states(ids_BN, context, noise)])
        return pondered

    def states(self, ids_BN: Tensor, context: Context, noise: Noise | None = None) -> list[Tensor]:
        """The stream [B,N,M] after each step of pondering; without it, after all layers."""
        depth = self.config.depth
        return climbed(
            storeys_of(self.storeys(), context, noise),
            self.embedded(ids_BN, context),
            step=depth.step() if depth.ponder else self.config.layers,
            reversible=depth.reversible,
            again=self.checkpoint_layers,
        )

    def embedded(self, ids_BN: Tensor, context: Context) -> Tensor:
        """[B,N,M]: pieces, and what is known of them, as the first layer reads them."""
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
        embedded_BNM: Tensor = x_BNM.masked_fill(~context.valid()[:, :, None], 0.0)
        return embedded_BNM


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
        return x_BNM + self.thought(x_BNM, noise)

    def looked(self, x_BNM: Tensor, context: Context, noise: Noise | None) -> Tensor:
        """What attention adds to the stream."""
        looked_BNM = self.attention(self.attention_norm(x_BNM), context)
        return looked_BNM if noise is None else drop(looked_BNM, noise, 0)

    def thought(self, x_BNM: Tensor, noise: Noise | None) -> Tensor:
        """What the feed-forward layer adds to it."""
        thought_BNM: Tensor = self.feed(self.feed_norm(x_BNM))
        return thought_BNM if noise is None else drop(thought_BNM, noise, 1)


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
