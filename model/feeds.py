"""What a training job reads and how it is scored, by what the model learns to say (ModelConfig.objective).

A feed is made of a cache's splits as the recipe wants them. `rows` are its endless batches, `score` says how well a
model does on a split, `leak` whether it is told anything that it should not be.
"""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from model.batches import NO_TARGET, Batch, TrainingRows, evaluation_batches
from model.classify import ClassRows, Labelled, score_classes
from model.columns import PiecesLayer, Split
from model.config import Recipe, TrainConfig
from model.context import PER_PIECE, Context
from model.evaluate.leak import EQUAL_SHAPES, Annotator, LeakResult, measure_leak
from model.evaluate.perplexity import Score, evaluate
from model.inputs import recipe_annotators
from model.masked import mask_piece, masked
from model.transformer import Decoder
from pipeline.pieces import Tokenizer
from pipeline.prefix import PrefixAnnotator

LEAK_DOCUMENTS = 4
HELD_OUT_SEED = 0x5EED
"""Of the masks in evaluation: the same for every run, so that runs are asked for the same pieces."""

GIVEN = (*PER_PIECE, "bonds", "facts")
"""What a context tells a model."""

Logits = Callable[[Tensor, Context], Tensor]


class Rows(Protocol):
    """Endless batches that can be left and come back to."""

    def state(self) -> dict[str, int]: ...
    def resume(self, state: dict[str, Any]) -> None: ...
    def next(self) -> Any: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What feeds are made of."""

    layer: PiecesLayer
    recipe: Recipe
    splits: Mapping[str, Split]
    tokenizer: Tokenizer
    annotator: PrefixAnnotator
    labels: Mapping[str, int]
    """Class by document id; empty unless the objective is classify."""

    def told(self, split: str, documents: int) -> dict[str, Annotator]:
        """What makes attributes of ids, for the first documents of a split."""
        names = self.splits[split].documents[:documents]
        return recipe_annotators(self.layer, self.recipe, self.annotator, names)

    def held_out(self) -> str:
        """The split that leaks are measured on: training documents where nothing is held out."""
        return next(name for name in ("validation", "test", "train") if self.splits[name].documents)


class Feed:
    """Of causal models: the next piece of the same document."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def rows(self, config: TrainConfig, rank: int, world: int) -> Rows:
        """Batches of training documents; rank, world: the part of them that a process reads."""
        split = self.source.splits["train"]
        return TrainingRows(split, rows=config.rows, length=config.length, seed=config.seed, rank=rank, world=world)

    def score(
        self, decoder: Decoder, logits: Logits, split: str, config: TrainConfig, device: Any, pieces: int | None
    ) -> Score | None:
        """Score on a split, None if it has no documents. logits: the decoder's, perhaps compiled."""
        settings: dict[str, Any] = {"rows": config.rows, "length": config.length, "device": device, "pieces": pieces}
        return evaluate(logits, self.source.splits[split], **settings)

    def leak(self, decoder: Decoder) -> LeakResult:
        """Law 1, measured on a few documents."""
        source, name = self.source, self.source.held_out()
        split = source.splits[name]
        stored = [split.document(number).columns for number in range(min(LEAK_DOCUMENTS, len(split.documents)))]
        closers = source.tokenizer.encode('."\n').tolist()
        documents = [columns["pieces"] for columns in stored]
        told = list(source.told(name, LEAK_DOCUMENTS).values())
        return measure_leak(decoder, told, documents, closers=closers, stored=stored)


class MaskedFeed(Feed):
    """Of models that say hidden pieces: the text is annotated after it is masked."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        mask_piece(source.tokenizer)  # its error should come before any work
        reader = source.told(source.held_out(), 1)
        self.annotator, self.rate = next(iter(reader.values())), source.recipe.model.mask_rate
        self.piece_bytes = [len(piece) for piece in source.tokenizer.piece_bytes]

    def ask(self, batch: Batch, seed: list[int]) -> Batch:
        return masked(batch, self.annotator, self.source.tokenizer, rate=self.rate, seed=seed)

    def rows(self, config: TrainConfig, rank: int, world: int) -> Rows:
        return _MaskedRows(super().rows(config, rank, world), self.ask, [config.seed, rank])

    def score(
        self, decoder: Decoder, logits: Logits, split: str, config: TrainConfig, device: Any, pieces: int | None
    ) -> Score | None:
        return evaluate(
            logits,
            self.source.splits[split],
            rows=config.rows,
            length=config.length,
            device=device,
            pieces=pieces,
            ask=lambda batch, number: self.ask(batch, [HELD_OUT_SEED, number]),
            piece_bytes=self.piece_bytes,
        )

    def leak(self, decoder: Decoder) -> LeakResult:
        """Law 1's second half: what stands under the masks changes nothing that the model is given, nor a logit."""
        exact = copy.deepcopy(decoder).to("cpu", torch.float64).eval()
        split = self.source.splits[self.source.held_out()]
        random, change, first = np.random.default_rng(0), 0.0, None
        batches = evaluation_batches(split, rows=1, length=96)
        for number, batch in zip(range(LEAK_DOCUMENTS), batches, strict=False):
            one = self.ask(batch, [HELD_OUT_SEED, number])
            hidden = ((one.targets != NO_TARGET) & (one.ids != batch.ids)).numpy()
            other = np.where(hidden, random.integers(3, exact.vocabulary, hidden.shape), batch.ids.numpy())
            two = self.ask(batch._replace(ids=torch.from_numpy(other)), [HELD_OUT_SEED, number])
            told = [(name, getattr(one.context, name), getattr(two.context, name)) for name in GIVEN]
            moved = [name for name, mine, yours in told if not _same(mine, yours)]
            with torch.no_grad():
                logits, others = (exact(each.ids, each.context) for each in (one, two))
            change = max(change, float((logits - others).abs().max() / logits.abs().max()))
            moved += ["logits"] if change > EQUAL_SHAPES else []
            first = first or (f"document {number}, other pieces under the masks: other {moved[0]}" if moved else None)
        return LeakResult(leak_free=first is None, max_change=change, cuts=LEAK_DOCUMENTS, first_violation=first)


class ClassFeed(Feed):
    """Of models that say a document's class, having read all of it."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        if not source.labels:
            raise ValueError("classes are learnt from labels; name the corpus that has them with --labels")
        classes = source.recipe.model.classes
        known = {name: split for name, split in source.splits.items() if set(split.documents) & source.labels.keys()}
        if "train" not in known:
            raise ValueError("no training document has a label; name the corpus that the cache was made of, --labels")
        self.labelled = {name: Labelled.of(split, source.labels, classes) for name, split in known.items()}

    def rows(self, config: TrainConfig, rank: int, world: int) -> Rows:
        if world > 1:
            raise ValueError(f"classes are learnt by one process yet, not by {world}; leave --devices out")
        return ClassRows(self.labelled["train"], rows=config.rows, length=config.length, seed=config.seed)

    def score(
        self, decoder: Decoder, logits: Logits, split: str, config: TrainConfig, device: Any, pieces: int | None
    ) -> Score | None:
        """Bits per byte are those of the labels, over the bytes of the documents. pieces: about so many at most."""
        labelled = self.labelled.get(split)
        if labelled is None:
            return None
        labelled = labelled if pieces is None else labelled.some(pieces, config.length)
        found = score_classes(decoder, labelled, rows=config.rows, length=config.length, device=device)
        size = float(labelled.split.bytes[labelled.document].sum()) / found.documents
        return Score(
            bits_per_byte=found.nats / math.log(2) / size,
            perplexity=math.exp(found.nats),
            pieces=found.documents,
            accuracy=found.accuracy,
        )

    def leak(self, decoder: Decoder) -> LeakResult:
        """Nothing is kept from such a model but the label, which is no input: there is nothing to measure."""
        return LeakResult(leak_free=True, max_change=0.0, cuts=0, first_violation=None)


FEEDS: Mapping[str, type[Feed]] = {"causal": Feed, "masked": MaskedFeed, "classify": ClassFeed}
"""By the names of model.config.OBJECTIVES."""


class _MaskedRows:
    """Rows whose masks follow from the seed and the place of the batch."""

    def __init__(self, rows: Rows, ask: Callable[[Batch, list[int]], Batch], seed: list[int]) -> None:
        self.plain, self.ask, self.seed = rows, ask, seed

    def state(self) -> dict[str, int]:
        return self.plain.state()

    def resume(self, state: dict[str, Any]) -> None:
        self.plain.resume(state)

    def next(self) -> Batch:
        place = self.plain.state()
        return self.ask(self.plain.next(), [*self.seed, place["epoch"], place["position"]])


def _same(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    parts, others = ([each] if isinstance(each, Tensor) else each for each in (one, other))
    return all(torch.equal(mine, yours) for mine, yours in zip(parts, others, strict=True))
