"""The teacher: the encoder, and on each word's vector its tag, features, lemma rule, whether a sentence starts, and by
deep biaffine attention its head and relation (Dozat and Manning 2017), within the sentence.

Letters: B windows, P pieces, W words, N = W + 1 heads (the root, then the words), D width, R relations.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.fit.teacher.config import TeacherConfig
from pipeline.fit.teacher.encoder import Encoder
from pipeline.fit.teacher.stream import Batch

NONE = -1e4
"""Score of an arc that cannot be; finite, so that no row of only such arcs becomes NaN."""
TAGS = ("upos", "feats", "lemma")


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many classes of each kind there are."""

    pieces: int
    upos: int
    feats: int
    lemma: int
    relation: int
    root: int
    """Which relation is the root's."""


class Perceptron(nn.Module):
    """One hidden layer, dropout on both sides of it."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.linear, self.dropout = nn.Linear(width, hidden), dropout

    def forward(self, x: Tensor) -> Tensor:
        return functional.dropout(functional.gelu(self.linear(x)), self.dropout, self.training)


class Parser(nn.Module):
    """Scores for batches of words; what can be an arc is told by the sentences that the caller gives."""

    def __init__(self, sizes: Sizes, config: TeacherConfig) -> None:
        super().__init__()
        width, drop = config.width, config.head_dropout
        self.sizes, self.head_dropout = sizes, drop
        self.encoder = Encoder(sizes.pieces, config, config.dropout)
        self.root = nn.Parameter(torch.randn(width) * 0.5)
        self.tags = nn.ModuleDict({
            name: nn.Sequential(Perceptron(width, config.class_width, drop),
                                nn.Linear(config.class_width, getattr(sizes, name)))
            for name in TAGS
        })  # fmt: skip
        self.start = nn.Sequential(Perceptron(width, config.class_width, drop), nn.Linear(config.class_width, 1))
        self.arc_word, self.arc_head = (Perceptron(width, config.arc_width, drop) for _ in range(2))
        self.relation_word, self.relation_head = (Perceptron(width, config.relation_width, drop) for _ in range(2))
        self.arc = nn.Parameter(torch.zeros(config.arc_width + 1, config.arc_width))
        side = config.relation_width + 1
        self.relation = nn.Parameter(torch.zeros(side, sizes.relation * side))

    def words(self, batch: Batch, hidden_BP: Tensor | None = None) -> Tensor:
        """Vectors [B, W, D]: the mean of the word's pieces. hidden_BP: pieces to look at instead of the batch's."""
        x_BPD = self.encoder(batch.pieces if hidden_BP is None else hidden_BP, batch.valid)
        number = torch.arange(batch.index.shape[1], device=x_BPD.device)
        belongs_BWP = batch.word[:, None, :] == number[:, None]
        share_BWP = belongs_BWP / belongs_BWP.sum(-1, keepdim=True).clamp(min=1)
        x_BWD = torch.bmm(share_BWP.to(x_BPD.dtype), x_BPD)
        return functional.dropout(x_BWD, self.head_dropout, self.training)

    def tag_scores(self, x_BWD: Tensor) -> dict[str, Tensor]:
        """[B, W, classes] of each of TAGS."""
        return {name: head(x_BWD).float() for name, head in self.tags.items()}

    def start_scores(self, x_BWD: Tensor) -> Tensor:
        """[B, W]: log-odds that a sentence starts with the word."""
        scores: Tensor = self.start(x_BWD).float()
        return scores.squeeze(-1)

    def arc_scores(self, x_BWD: Tensor, allowed_BWN: Tensor) -> Tensor:
        """[B, W, N] of a word and its head, the root first."""
        word_BWE, head_BNE = self.arc_word(x_BWD), self.arc_head(self._with_root(x_BWD))
        return torch.bmm(_with_one(word_BWE) @ self.arc.to(word_BWE.dtype), head_BNE.mT).float().masked_fill(
            ~allowed_BWN, NONE
        )  # fmt: skip

    def relation_scores(self, x_BWD: Tensor, head_BW: Tensor) -> Tensor:
        """[B, W, R], given each word's head: 0 the root, w + 1 word w. The root's relation is the root's alone."""
        word = _with_one(self.relation_word(x_BWD)).flatten(0, 1)
        heads_BNE = _with_one(self.relation_head(self._with_root(x_BWD)))
        head = heads_BNE.gather(1, head_BW[..., None].expand(-1, -1, heads_BNE.shape[-1])).flatten(0, 1)
        sides = (word @ self.relation.to(word.dtype)).view(len(word), self.sizes.relation, -1)
        scores = torch.bmm(sides, head[..., None]).view(*head_BW.shape, -1).float()
        is_root = torch.arange(self.sizes.relation, device=scores.device) == self.sizes.root
        return scores.masked_fill(is_root != (head_BW == 0)[..., None], NONE)

    def _with_root(self, x_BWD: Tensor) -> Tensor:
        return torch.cat((self.root.to(x_BWD.dtype).expand(len(x_BWD), 1, -1), x_BWD), 1)


def allowed_arcs(sentence_BW: Tensor, present_BW: Tensor) -> Tensor:
    """bool [B, W, N]: a word's head is the root, or another word of its sentence. sentence_BW: numbers of sentences."""
    same = (sentence_BW[:, :, None] == sentence_BW[:, None, :]) & present_BW[:, None, :]
    itself = torch.eye(sentence_BW.shape[1], dtype=torch.bool, device=same.device)
    return functional.pad(same & ~itself, (1, 0), value=True)


def _with_one(x: Tensor) -> Tensor:
    """A last entry of 1, for the bias."""
    return functional.pad(x, (0, 1), value=1.0)
