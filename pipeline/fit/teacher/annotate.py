"""Annotation of running words by several parsers together: their probabilities are averaged.

First sentence starts, from windows that overlap by half, each word judged in the middle of one; then classes and one
tree a sentence, from windows of whole sentences.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.fit.teacher.config import TeacherConfig
from pipeline.fit.teacher.parser import TAGS, Parser, allowed_arcs
from pipeline.fit.teacher.pretrain import autocast
from pipeline.fit.teacher.stream import Batch, Ints, Stream, gather, pack
from pipeline.fit.teacher.tree import best_heads

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Annotation:
    """What is said of each word of a stream, W of them."""

    tags: dict[str, Ints]
    """Classes by TAGS."""
    relation: Ints
    head: Ints
    """Counted from 1 in the sentence, 0 is the root."""
    start: Bools
    confidence: NDArray[np.float32]
    """Log-probability of the word's arc."""


@torch.inference_mode()
def sentence_starts(parsers: Sequence[Parser], stream: Stream, config: TeacherConfig) -> Bools:
    """bool [W]. Documents and paragraphs always start a sentence, and none is longer than a window."""
    device = stream.pieces.device
    chance = torch.zeros(stream.words + 1, device=device)  # the last takes what is not kept
    windows = overlapping(stream, config.context)
    for part in np.split(windows, range(config.annotate_windows, len(windows), config.annotate_windows)):
        batch = gather(stream, part[:, :2])
        first, last = torch.from_numpy(part[:, 2:]).to(device).unbind(1)
        with autocast(device):
            each = torch.stack([parser.start_scores(parser.words(batch)).sigmoid() for parser in parsers])
        kept = batch.present & (batch.index >= first[:, None]) & (batch.index < last[:, None])
        chance[torch.where(kept, batch.index, stream.words)] = each.mean(0)
    return cut(stream, chance[:-1].cpu().numpy(), config.context)


def overlapping(stream: Stream, context: int) -> Ints:
    """Windows [n, 4]: first word and the one past the last, and the same of the part that is judged there."""
    windows = []
    for first, last in zip(stream.document, np.append(stream.document[1:], stream.words), strict=True):
        begin, end = stream.begin[first], stream.begin[last]
        places = begin + np.arange(max(1, math.ceil((end - begin - context) / (context // 2)) + 1)) * (context // 2)
        starts = first + np.searchsorted(stream.begin[first:last], places)
        room = stream.begin[starts] + context
        ends = first + np.searchsorted(stream.begin[first : last + 1], room, side="right") - 1
        judged = first + np.searchsorted(stream.begin[first:last], places + context // 4)
        judged[0] = first
        windows.append(np.stack([starts, ends, judged, np.append(judged[1:], last)], 1))
    return np.concatenate(windows)


def cut(stream: Stream, chance: NDArray[np.float32], context: int) -> Bools:
    """Sentence starts: where the probability is above a half, where documents and paragraphs begin, and at the
    likeliest word inside whatever is longer than `context` pieces."""
    start = chance > 0.5
    start[stream.document] = start[stream.paragraph] = True
    while True:
        bounds = np.append(np.flatnonzero(start), len(start))
        size = np.diff(stream.begin[bounds])
        long = np.flatnonzero((size > context) & (np.diff(bounds) > 1))
        if not len(long):
            return start
        for first, last in zip(bounds[long], bounds[long + 1], strict=True):
            start[first + 1 + chance[first + 1 : last].argmax()] = True


@torch.inference_mode()
def annotate(parsers: Sequence[Parser], stream: Stream, start: Bools, config: TeacherConfig) -> Annotation:
    """Classes and trees of the sentences that `start` gives. start: bool [W]."""
    device = stream.pieces.device
    first_of, end_of = sentence_edges(start)
    begin, end = torch.from_numpy(first_of).to(device), torch.from_numpy(end_of).to(device)
    said = {
        name: torch.zeros(stream.words + 1, dtype=torch.long, device=device) for name in (*TAGS, "relation", "head")
    }
    confidence = torch.zeros(stream.words + 1, device=device)
    windows = sentence_windows(stream, np.flatnonzero(start), config.context)
    for part in np.split(windows, range(config.annotate_windows, len(windows), config.annotate_windows)):
        batch = gather(stream, part)
        place = torch.where(batch.present, batch.index, stream.words)
        sentence = begin[batch.index]
        with autocast(device):
            words = [parser.words(batch) for parser in parsers]
            allowed = allowed_arcs(sentence, batch.present)
            arcs = mean_of([parser.arc_scores(x, allowed) for parser, x in zip(parsers, words, strict=True)]).log()
            head = _trees(arcs, allowed, batch, sentence, end[batch.index])
            relation = mean_of([parser.relation_scores(x, head) for parser, x in zip(parsers, words, strict=True)])
            tags = [parser.tag_scores(x) for parser, x in zip(parsers, words, strict=True)]
        for name in TAGS:
            said[name][place] = mean_of([scores[name] for scores in tags]).argmax(-1)
        said["relation"][place] = relation.argmax(-1)
        said["head"][place] = torch.where(head > 0, head + batch.first - sentence, 0)
        confidence[place] = arcs.gather(-1, head[..., None]).squeeze(-1)
    found = {name: tensor[:-1].cpu().numpy() for name, tensor in said.items()}
    return Annotation(
        tags={name: found[name] for name in TAGS}, relation=found["relation"], head=found["head"], start=start,
        confidence=confidence[:-1].cpu().numpy(),
    )  # fmt: skip


def sentence_edges(start: Bools) -> tuple[Ints, Ints]:
    """int64 [W] each: the first word of every word's sentence, and the one past its last."""
    bounds = np.append(np.flatnonzero(start), len(start))
    size = np.diff(bounds)
    return np.repeat(bounds[:-1], size), np.repeat(bounds[1:], size)


def sentence_windows(stream: Stream, sentences: Ints, context: int) -> Ints:
    """Windows [n, 2] of whole sentences of one document, those of like length next to each other."""
    ends = np.append(stream.document[1:], stream.words)
    limit = np.array([context])
    windows = []
    for first, last in zip(stream.document, ends, strict=True):
        inside = sentences[np.searchsorted(sentences, first) : np.searchsorted(sentences, last)]
        windows.append(pack(stream, inside, limit, int(first), int(last)))
    every = np.concatenate(windows)
    return every[np.argsort(stream.begin[every[:, 1]] - stream.begin[every[:, 0]], kind="stable")]


def mean_of(scores: Sequence[Tensor]) -> Tensor:
    """Mean of the probabilities over the last dimension."""
    return torch.stack([each.softmax(-1) for each in scores]).mean(0).clamp(min=1e-30)


def _trees(arcs_BWN: Tensor, allowed_BWN: Tensor, batch: Batch, begin_BW: Tensor, end_BW: Tensor) -> Tensor:
    """Heads [B, W], 0 the root and w + 1 word w: each word's likeliest, and where these are no tree, the best tree."""
    head_BW = torch.where(batch.present, arcs_BWN.argmax(-1), 0)
    up_BN = torch.nn.functional.pad(head_BW, (1, 0))
    for _ in range(up_BN.shape[1].bit_length()):  # twice as far each time: whoever is not at the root turns in a circle
        up_BN = up_BN.gather(1, up_BN)
    is_root = ((head_BW == 0) & batch.present).float()
    roots_BW = (allowed_BWN[..., 1:].float() @ is_root[..., None]).squeeze(-1) + is_root
    bad_BW = batch.present & ((up_BN[:, 1:] > 0) | (roots_BW != 1))
    rows = bad_BW.any(1).nonzero()[:, 0]
    if len(rows):
        head_BW[rows] = torch.from_numpy(_repaired(
            *(tensor[rows].cpu().numpy() for tensor in (head_BW, arcs_BWN, bad_BW, begin_BW - batch.first,
                                                        end_BW - batch.first))
        )).to(head_BW.device)  # fmt: skip
    return head_BW


def _repaired(heads: Ints, arcs: NDArray[Any], bad: Bools, begin: Ints, end: Ints) -> Ints:
    """heads [B, W] with those of the sentences that have a bad word replaced by the best tree's."""
    for row in range(len(heads)):
        for first, last in {(int(begin[row, word]), int(end[row, word])) for word in np.flatnonzero(bad[row])}:
            columns = np.append(0, np.arange(first + 1, last + 1))
            tree = best_heads(arcs[row, first:last][:, columns].astype(np.float64))
            heads[row, first:last] = np.where(tree > 0, tree + first, 0)
    return heads
