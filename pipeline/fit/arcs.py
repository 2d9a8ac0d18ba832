"""Training of the left-to-right network: on a treebank, and on raw text that another parser has annotated.

The treebank's sentences are read in its own words and in the annotator's. A parser that sees the whole sentence labels
raw text (tri-training's simplest form, Zhou and Li 2005): the network thus meets a million words more, and the last
steps are the treebank's alone. Then numbers are rounded as they will be in use, and the last steps learn with that.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor

from lexicons.upos import UPOS
from pipeline.corpus import Document
from pipeline.fit.arc_data import IGNORED, Batch, Prepared, batch_of, batches, prepare, truth_of
from pipeline.fit.arc_network import ArcNetwork, arrays_of
from pipeline.fit.arc_score import score_arcs
from pipeline.fit.examples import Examples, annotators_words, own_words, read_treebank
from pipeline.fit.lemmas import fit_lemmas
from pipeline.fit.vectors import load_vectors
from pipeline.parsers import load_parser
from pipeline.prefix.annotator import SHIPPED as SHIPPED_TABLES
from pipeline.prefix.arcs import ArcReader
from pipeline.prefix.features import word_keys
from pipeline.prefix.network import ARC, LATER_IS_HEAD, OPEN, TANH_BITS, TANH_TOP, Sizes
from pipeline.prefix.tables import Tables
from pipeline.prefix.text import Alphabet
from pipeline.records import Words, no_words

LEAST_LABEL = 3
"""Occurrences from which a tag with its features is a label."""
VECTOR_SCALE = 4.0
"""Vectors of length 1 are stretched so that their numbers, most under 0.25, fill the grid up to 1."""
PROPOSALS, OPEN_WORDS = 2.45, 3.9
"""A word, on the treebank that scores are chosen on; a little under 2.5 and 4, as other texts differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArcConfig:
    """How to train."""

    steps: int = 5000
    words: int = 2000
    """Words a step."""
    rate: float = 2e-3
    gold_from: float = 0.95
    """Share of the steps after which only gold sentences are read."""
    grid_from: float = 0.75
    """Share of the steps after which numbers are rounded as they will be in use."""
    gold_share: float = 0.4
    """Share of gold sentences before."""
    dropout: float = 0.1
    seed: int = 0
    sizes: Sizes = field(default_factory=Sizes)


def fit_arcs(
    train: Path,
    dev: Path,
    out: Path,
    *,
    vectors: Path | None = None,
    raw: Iterable[Document] = (),
    config: ArcConfig | None = None,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> dict[str, float]:
    """Learn on one treebank file, choose scores on `dev`, write `out`; returns what `score_arcs` says of dev.

    vectors: what `save_vectors` wrote. raw: documents for the shipped spaCy parser to annotate.
    """
    config = config or ArcConfig()
    alphabet = Alphabet.of(Tables.load(SHIPPED_TABLES))
    words, documents = read_treebank(train)
    labels = _labels(words)
    known, rows = _known_words(alphabet, vectors)
    gold = prepare(_both(words, documents, alphabet), alphabet, known, labels)
    annotated = _annotated(list(raw))
    silver = prepare(_both(*annotated, alphabet), alphabet, known, labels) if len(annotated[0]) else None
    network = learn(gold, silver, torch.from_numpy(rows), len(labels), config, on_step)
    held_out = own_words(read_treebank(dev)[0])
    reader = with_scores_chosen(_arrays(network, known, labels, words), alphabet, held_out)
    reader.save(out)
    return score_arcs(reader, held_out)


def with_scores_chosen(arrays: dict[str, NDArray[Any]], alphabet: Alphabet, dev: Examples) -> ArcReader:
    """The reader that proposes PROPOSALS arcs a word on dev, and has OPEN_WORDS open."""
    lowest = np.iinfo(np.int32).min
    said = ArcReader(alphabet, arrays | {"thresholds": np.array([lowest, lowest], np.int32)}).read(dev.form, dev.first)
    chosen = [
        np.sort(pairs.score)[-min(int(mean * len(dev)), len(pairs))] if len(pairs) else 0
        for pairs, mean in ((said.arcs, PROPOSALS), (said.open, OPEN_WORDS))
    ]
    return ArcReader(alphabet, arrays | {"thresholds": np.array(chosen, np.int32)})


def _annotated(documents: list[Document]) -> tuple[Words, list[Document]]:
    """The shipped parser's words of raw text; those that it cannot take are left out."""
    if not documents:
        return no_words(), []
    words, failed = load_parser("spacy").parse(documents)
    return words, [document for document in documents if document.id not in failed]


def _both(words: Words, documents: Sequence[Document], alphabet: Alphabet) -> list[Examples]:
    return [own_words(words), annotators_words(words, documents, alphabet)]


def _labels(words: Words) -> dict[tuple[int, str], int]:
    """Number of each tag with its features, in order; a tag without features always is one."""
    counts = Counter(zip(words.upos.tolist(), words.feats.to_list(), strict=True))
    said = {each for each, count in counts.items() if count >= LEAST_LABEL} | {(tag, "") for tag in range(len(UPOS))}
    return {each: number for number, each in enumerate(sorted(said))}


def _known_words(alphabet: Alphabet, path: Path | None) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Keys of the words that have a vector, sorted, and vectors on the grid, that of all other words first."""
    if path is None:
        return np.empty(0, np.int64), np.zeros((1, 1), np.float32)
    words, vectors = load_vectors(path)
    keys, row = np.unique(word_keys(alphabet, words), return_index=True)
    units = np.clip(np.rint(vectors[row] * (VECTOR_SCALE * 2**TANH_BITS)), -TANH_TOP, TANH_TOP)
    none = np.zeros((1, vectors.shape[1]), np.float32)
    return keys, np.concatenate([none, units / 2**TANH_BITS]).astype(np.float32)


def _arrays(
    network: ArcNetwork, known: NDArray[np.int64], labels: dict[tuple[int, str], int], words: Words
) -> dict[str, NDArray[Any]]:
    """All that `ArcReader` is made from, but for its scores."""
    said = zip(words.upos.tolist(), words.feats.to_list(), strict=True)
    number = [labels.get(each, -1) for each in said]
    told = zip(words.text.to_list(), words.lemma.to_list(), number, strict=True)
    lemmas = fit_lemmas([each for each in told if each[2] >= 0], [UPOS[tag] for tag, _ in labels])
    feats = json.dumps([feats for _, feats in labels]).encode()
    return arrays_of(network) | {
        "known": known,
        "label_tag": np.array([tag for tag, _ in labels], np.uint8),
        "feats": np.frombuffer(feats, np.uint8),
        "lemmas": np.frombuffer(lemmas.to_json(), np.uint8),
    }


def loss_of(network: ArcNetwork, batch: Batch, chance: torch.Generator) -> Tensor:
    share = 1.0 / (1.0 + batch.count) + 0.02  # of a rare word's occurrences, more are taken for an unknown one's
    unknown = torch.rand(batch.count.shape, generator=chance) < share
    tag, label, score = network(batch.rows, unknown)
    truth, words = truth_of(batch.head), (batch.tag >= 0).sum()
    loss = F.cross_entropy(tag.flatten(0, 1), batch.tag.flatten(), ignore_index=IGNORED)
    loss = loss + 0.3 * F.cross_entropy(label.flatten(0, 1), batch.label.flatten(), ignore_index=IGNORED)
    for number, wanted, where, weight in (
        (ARC, truth.arc, truth.below, 0.15),
        (LATER_IS_HEAD, truth.later_is_head, truth.arc, 0.1),
        (OPEN, truth.open, truth.upto, 0.15),
    ):
        found, right = score[:, number][where], wanted[where].float()
        loss = loss + weight * F.binary_cross_entropy_with_logits(found, right, reduction="sum") / words
    return loss


def learn(
    gold: Prepared,
    silver: Prepared | None,
    vectors: Tensor,
    labels: int,
    config: ArcConfig,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> ArcNetwork:
    torch.manual_seed(config.seed)
    chance, torch_chance = np.random.default_rng(config.seed), torch.Generator().manual_seed(config.seed)
    network = ArcNetwork(config.sizes, vectors, labels, config.dropout)
    tables = [network.rows.weight, network.distance]
    rest = [each for each in network.parameters() if all(each is not table for table in tables)]
    groups = [{"params": tables, "weight_decay": 0.0}, {"params": rest, "weight_decay": 0.02}]
    optimizer = torch.optim.AdamW(groups, lr=config.rate, betas=(0.9, 0.98), fused=True)
    gold_batches = batches(gold, chance, config.words)
    silver_batches = batches(silver or gold, chance, config.words)
    for step in range(config.steps):
        done = step / config.steps
        warm = min(1.0, step / min(200, config.steps / 10))
        for group in optimizer.param_groups:
            group["lr"] = config.rate * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))
        network.on_grid = done >= config.grid_from
        use_gold = silver is None or done >= config.gold_from or chance.random() < config.gold_share
        data, source = (gold, gold_batches) if use_gold or silver is None else (silver, silver_batches)
        batch = batch_of(data, next(source))
        loss = loss_of(network, batch, torch_chance)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        on_step(step + 1, loss.item())
    network.on_grid = True
    return network
