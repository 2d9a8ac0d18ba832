"""The encoder: a pre-norm transformer over pieces, with rotary positions (Su et al. 2021) and gated feed-forward parts
(Shazeer 2020). No biases and no gains: matrices only, which is what Muon moves.

Letters: B windows, P pieces, D width, H heads, F feed-forward width, V pieces of the vocabulary.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.fit.teacher.config import TeacherConfig

LONGEST = 4096
"""Pieces of the longest window; rotations are kept for so many places."""


def normed(x: Tensor) -> Tensor:
    """Root mean square 1 over the last dimension (Zhang and Sennrich 2019)."""
    return functional.rms_norm(x, (x.shape[-1],))


class Layer(nn.Module):
    """Attention over all pieces of the window, then the feed-forward part."""

    def __init__(self, config: TeacherConfig, dropout: float) -> None:
        super().__init__()
        width, self.heads, self.dropout = config.width, config.heads, dropout
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.attended = nn.Linear(width, width, bias=False)
        self.gate_and_value = nn.Linear(width, 2 * config.hidden, bias=False)
        self.out = nn.Linear(config.hidden, width, bias=False)
        for matrix in (self.query_key_value, self.gate_and_value):
            nn.init.normal_(matrix.weight, std=width**-0.5)
        for matrix in (
            self.attended,
            self.out,
        ):  # a layer begins as nothing: the sum of layers is as large as the first
            nn.init.zeros_(matrix.weight)

    def forward(self, x_BPD: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        size = x_BPD.shape
        split = self.query_key_value(normed(x_BPD)).view(*size[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = split.unbind(0)
        query, key = rotated(normed(query), turn), rotated(normed(key), turn)
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        attended = self.attended(seen.transpose(1, 2).reshape(size))
        x_BPD = x_BPD + functional.dropout(attended, self.dropout, self.training)
        gate, value = self.gate_and_value(normed(x_BPD)).chunk(2, -1)
        out: Tensor = self.out(functional.gelu(gate) * value)
        return x_BPD + functional.dropout(out, self.dropout, self.training)


class Encoder(nn.Module):
    """Pieces to vectors."""

    cos: Tensor
    sin: Tensor

    def __init__(self, pieces: int, config: TeacherConfig, dropout: float = 0.0) -> None:
        super().__init__()
        self.embed = nn.Embedding(pieces, config.width)
        nn.init.normal_(self.embed.weight, std=0.02)
        self.dropout = dropout
        self.layers = nn.ModuleList(Layer(config, dropout) for _ in range(config.layers))
        half = config.width // config.heads // 2
        angle = torch.outer(torch.arange(LONGEST).float(), 10_000.0 ** -torch.arange(half).float().div(half))
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    def forward(self, pieces_BP: Tensor, valid_BP: Tensor | None = None) -> Tensor:
        """[B, P, D], of root mean square 1. valid_BP: which pieces are no padding; None: all."""
        x_BPD = normed(self.embed(pieces_BP))
        if torch.is_autocast_enabled(x_BPD.device.type):
            x_BPD = x_BPD.to(torch.get_autocast_dtype(x_BPD.device.type))
        x_BPD = functional.dropout(x_BPD, self.dropout, self.training)
        places = pieces_BP.shape[1]
        turn = (self.cos[:places].to(x_BPD.dtype), self.sin[:places].to(x_BPD.dtype))
        mask = None if valid_BP is None else valid_BP[:, None, None, :]
        for layer in self.layers:
            x_BPD = layer(x_BPD, turn, mask)
        return normed(x_BPD)


class MaskedModel(nn.Module):
    """The encoder, and which piece stands at a place, by the embeddings themselves."""

    def __init__(self, pieces: int, config: TeacherConfig) -> None:
        super().__init__()
        self.encoder = Encoder(pieces, config)
        self.guess = nn.Linear(config.width, config.width, bias=False)
        nn.init.normal_(self.guess.weight, std=config.width**-0.5)
        self.bias = nn.Parameter(torch.zeros(pieces))

    def forward(self, pieces_BP: Tensor, place_BK: Tensor) -> Tensor:
        """Scores [B, K, V] at K places of each window."""
        x_BPD = self.encoder(pieces_BP)
        x_BKD = x_BPD.gather(1, place_BK[..., None].expand(-1, -1, x_BPD.shape[-1]))
        guess = normed(functional.gelu(self.guess(x_BKD)))
        return functional.linear(guess, self.encoder.embed.weight, self.bias)


def rotated(x_BHPE: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Turn each pair of entries (i, i + E/2) by its place's angle; E entries of a head."""
    cos, sin = turn
    one, other = x_BHPE.chunk(2, -1)
    return torch.cat((one * cos - other * sin, one * sin + other * cos), -1)
