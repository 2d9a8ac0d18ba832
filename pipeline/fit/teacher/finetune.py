"""Fine-tuning on the treebank: every class of every word, sentence starts and trees, from windows of documents.

Half the documents of an epoch are cut at sentences, half anywhere, and the windows are of several sizes: so sentence
starts are learnt as running text shows them. A tree counts if its sentence lies whole in the window, a sentence start
unless the window begins with it.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.fit.teacher.clock import Clock, warm_cosine
from pipeline.fit.teacher.config import TeacherConfig
from pipeline.fit.teacher.parser import Parser, allowed_arcs
from pipeline.fit.teacher.pretrain import autocast
from pipeline.fit.teacher.stream import Batch, Ints, Stream, gather, pack
from pipeline.fit.teacher.subwords import MASK

Report = Callable[[str], None]
IGNORED = -100
"""torch's own number for targets that do not count."""
SIZES = (0.25, 0.5, 1.0, 1.0)
"""Of windows, in shares of the context."""
WEIGHTS = {"upos": 1.0, "feats": 0.5, "lemma": 0.5, "start": 0.5, "arc": 1.0, "relation": 1.0}
DECAY = 0.01


@dataclass(frozen=True, slots=True)
class Gold:
    """A stream and the treebank's classes of its words; all tensors int64 [W], on the device."""

    stream: Stream
    tags: dict[str, Tensor]
    """By the parser's TAGS; -1 for what train does not have."""
    relation: Tensor
    head: Tensor
    """Counted from 1 in the sentence, 0 is the root."""
    begin: Tensor
    end: Tensor
    """First word of the word's sentence, and the one past its last."""
    sentences: Ints
    """First word of each sentence."""


def finetune(
    parser: Parser, golds: Sequence[Gold], config: TeacherConfig, member: int, report: Report = print
) -> Parser:
    """The running average of the parser's weights after training it, whose encoder is pretrained, in place.

    golds: the treebank, and the same documents in other dress. member: its seed and learning rate.
    """
    torch.manual_seed(config.seed + 1 + member)
    chance = np.random.default_rng(config.seed + 1 + member)
    groups = _groups(parser, config, config.finetune_rates[member % len(config.finetune_rates)])
    on_gpu = golds[0].head.is_cuda
    adam = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=DECAY, fused=on_gpu)
    average = copy.deepcopy(parser).eval()
    pairs: tuple[list[Tensor], list[Tensor]] = list(average.parameters()), list(parser.parameters())
    parser.train()
    steps = config.finetune_epochs * len(_epoch(golds, config, np.random.default_rng(0)))
    clock = Clock(steps, config.finetune_seconds)
    told = torch.zeros((), device=golds[0].head.device)
    for batch, gold in _batches(golds, config, chance):
        if (part := clock.part()) >= 1:
            break
        for group in adam.param_groups:
            group["lr"] = group["top"] * warm_cosine(part)
        adam.zero_grad(set_to_none=True)
        with autocast(golds[0].head.device):
            loss = sum_of_losses(parser, batch, gold, config.word_dropout)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parser.parameters(), 1.0)
        adam.step()
        with torch.no_grad():  # an early average is mostly of late weights too
            torch._foreach_lerp_(*pairs, 1 - min(config.average, (clock.step + 1) / (clock.step + 10)))
        told += loss.detach()
        clock.step += 1
        if clock.step % max(1, steps // 10) == 0:
            mean = told.item() / max(1, steps // 10)
            report(f"member {member}  {part:4.0%}  step {clock.step:5d}  loss {mean:.3f}  {clock.elapsed():4.0f} s")
            told.zero_()
    return average


def sum_of_losses(parser: Parser, batch: Batch, gold: Gold, word_dropout: float = 0.0) -> Tensor:
    """The losses that WEIGHTS names, weighted."""
    x_BWD = parser.words(batch, _with_hidden(batch, word_dropout) if word_dropout else None)
    begin, index = gold.begin[batch.index], batch.index
    whole = batch.present & (begin >= batch.first) & (gold.end[index] <= batch.first + batch.present.sum(1)[:, None])
    head = torch.where(whole & (gold.head[index] > 0), begin - batch.first + gold.head[index], 0)
    losses = {
        name: _loss(scores, gold.tags[name][index], batch.present)
        for name, scores in parser.tag_scores(x_BWD).items()
    }  # fmt: skip
    losses["arc"] = _loss(parser.arc_scores(x_BWD, allowed_arcs(begin, batch.present)), head, whole)
    losses["relation"] = _loss(parser.relation_scores(x_BWD, head), gold.relation[index], whole)
    counts = batch.present & (index > batch.first)
    starts = functional.binary_cross_entropy_with_logits(
        parser.start_scores(x_BWD), (begin == index).float(), reduction="none"
    )
    losses["start"] = (starts * counts).sum() / counts.sum().clamp(min=1)
    return torch.stack([WEIGHTS[name] * loss for name, loss in losses.items()]).sum()


def _loss(scores: Tensor, target: Tensor, counts: Tensor) -> Tensor:
    """Mean over the words that count and have a class; 0 where there is none."""
    target = torch.where(counts & (target >= 0), target, IGNORED).flatten()
    total = functional.cross_entropy(scores.flatten(0, 1), target, ignore_index=IGNORED, reduction="sum")
    return total / (target != IGNORED).sum().clamp(min=1)


def _with_hidden(batch: Batch, share: float) -> Tensor:
    """The batch's pieces with some words hidden."""
    lots = torch.rand(batch.index.shape, device=batch.pieces.device)
    hidden = lots.gather(1, batch.word.clamp(min=0)) < share
    return torch.where(hidden & (batch.word >= 0), MASK, batch.pieces)


def _groups(parser: Parser, config: TeacherConfig, rate: float) -> list[dict[str, object]]:
    """Parameters with their highest learning rates: a layer less than the one above it, the heads most."""
    rates = {f"encoder.layers.{n}.": rate * config.layer_decay ** (config.layers - 1 - n) for n in range(config.layers)}
    rates["encoder.embed."] = rate * config.layer_decay**config.layers
    groups: dict[float, list[Tensor]] = {}
    for name, weight in parser.named_parameters():
        own = next((rates[begin] for begin in rates if name.startswith(begin)), config.head_rate)
        groups.setdefault(own, []).append(weight)
    return [{"params": weights, "lr": top, "top": top} for top, weights in groups.items()]


def _batches(golds: Sequence[Gold], config: TeacherConfig, chance: np.random.Generator) -> Iterator[tuple[Batch, Gold]]:
    while True:
        for number, windows in _epoch(golds, config, chance):
            yield gather(golds[number].stream, windows), golds[number]


def _epoch(golds: Sequence[Gold], config: TeacherConfig, chance: np.random.Generator) -> list[tuple[int, Ints]]:
    """Batches of one epoch as (which of `golds`, windows): each document once, in one of its dresses."""
    documents = len(golds[0].stream.document)
    dress = chance.integers(1, max(2, len(golds)), documents) * (chance.random(documents) < config.wiki_share)
    if len(golds) == 1:
        dress[:] = 0
    batches = []
    for number, gold in enumerate(golds):
        ends = np.append(gold.stream.document[1:], gold.stream.words)
        windows = [
            _windows(gold, int(gold.stream.document[document]), int(ends[document]), config, chance)
            for document in np.flatnonzero(dress == number)
        ]
        if windows:
            # windows of one length together: less padding
            every = chance.permutation(np.concatenate(windows))
            size = gold.stream.begin[every[:, 1]] - gold.stream.begin[every[:, 0]]
            every = every[np.argsort(size // (config.context // 4), kind="stable")]
            parts = np.split(every, range(config.finetune_windows, len(every), config.finetune_windows))
            batches += [(number, part) for part in parts]
    return [batches[place] for place in chance.permutation(len(batches))]


def _windows(gold: Gold, first: int, last: int, config: TeacherConfig, chance: np.random.Generator) -> Ints:
    """Windows [n, 2] that cover a document's words, from `first` to `last`."""
    limits = (config.context * chance.choice(SIZES, 16)).astype(np.int64)
    if chance.random() < config.flow_share:
        anywhere = np.arange(first + 1, last)
        return pack(gold.stream, anywhere, limits, first, last)
    begin, end = np.searchsorted(gold.sentences, (first, last))
    return pack(gold.stream, gold.sentences[begin:end], limits, first, last)
