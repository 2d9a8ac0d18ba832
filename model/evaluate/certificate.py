"""The streaming certificate: a run replayed piece by piece in a process that receives only the past.

One side is teacher-forced: attributes as the cache stores them, the keys that each query may read, float64 logits, all
of a document's beginning at once, as in training. What would leak only behind it shows in the attributes, which may be
compared to the document's end (`whole`), or is left to model.evaluate.leak. The other is a process
(model.evaluate.streaming) that is sent one piece at a time, makes the attributes by the annotator's `step`, the keys
from these, the logits from both, and answers before it gets the next. What it cannot know it cannot use: if all it says
is what the whole document gave, nothing was future.
"""

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from time import perf_counter
from typing import Any

import numpy as np
import torch

from model.bonds import SplitBonds
from model.columns import Split
from model.config import Recipe
from model.controls import document_seed, honest
from model.controls.words import Change
from model.evaluate.leak import OTHER_SHAPES, observe
from model.evaluate.past import attributes_told, keys_told
from model.evaluate.planted import PLANTED, next_words_bonds
from model.evaluate.streaming import Setup, Stream, entered, planted_change
from model.toml import write
from model.transformer import Decoder
from pipeline.bonds.config import BondConfig
from pipeline.errors import Failure
from pipeline.pieces import Tokenizer
from pipeline.prefix import PrefixAnnotator
from pipeline.provenance import provenance

BOUND = OTHER_SHAPES
"""Largest difference of a logit that rounding explains, relative to the document's largest, in float64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateConfig:
    """How much is replayed, and how it is drawn."""

    documents: int = 4
    """Held-out documents."""
    pieces: int = 256
    """Pieces of each, from its beginning; learned positions must be as many."""
    whole: bool = False
    """Compare attributes to the end of each document, keys and logits of its first `pieces` alone.

    About 3 s of one core for a document of 4,000 pieces, 13 s for one of 16,000 (0.8 ms a piece). Keys and logits cost
    more, and more with every piece: a piece's keys are cut out of the mask of all pairs so far, so that the first 256
    pieces take about 2 s and the first 512 about 20.
    """
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("documents", "pieces"):
            if getattr(self, name) < 1:
                raise ValueError(f"certificate: {name} is {getattr(self, name)}; give at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """Where the two sides first said different things."""

    document: str
    piece: int
    what: str
    """attributes, keys or logits."""

    def __str__(self) -> str:
        return f"{self.what} at piece {self.piece} of {self.document}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What the replay found; certified only if nothing differed."""

    certified: bool
    first_break: Break | None
    documents: int
    pieces: int
    """Of all documents: those whose keys and logits were compared."""
    attribute_pieces: int
    """Of all documents: those whose attributes were compared; more, if the documents were taken whole."""
    attributes: str
    """SHA-256 over what was given at each piece, by the cache."""
    attributes_streamed: str
    """The same by the process that had only the past: equal, if the run is certified."""
    keys: str
    """SHA-256 over the keys that each query may read under each view, all at once."""
    keys_streamed: str
    max_difference: float | None
    """Largest difference of a logit, relative to its document's largest; None if some logit was no number."""
    bound: float
    dtype: str
    weights: str
    """SHA-256 of the model's weights."""
    recipe: str
    """Twelve hex digits of the recipe, as in a run's `made_from`."""
    annotator: str
    tokenizer: str
    seed: int
    """By which the documents were drawn."""
    seconds: float
    command: str
    commit: str
    versions: dict[str, str]
    device: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def drawn(split: Split, config: CertificateConfig) -> dict[str, Split]:
    """Some documents, drawn by the seed: what the cache stores of their beginnings, or of all of them, by id.

    Errors: Failure if the split is empty.
    """
    if not split.documents:
        raise Failure("the cache holds no held-out documents to replay; add text, or files whose names say -valid")
    order = np.random.default_rng(config.seed).permutation(len(split.documents))[: config.documents]
    end = None if config.whole else config.pieces
    return {split.documents[at]: split.document(at, end) for at in sorted(order.tolist())}


def certify(
    model: Decoder,
    recipe: Recipe,
    tokenizer: Tokenizer,
    annotator: PrefixAnnotator,
    documents: Mapping[str, Split],
    *,
    bonds: BondConfig | None = None,
    pieces: int | None = None,
    change: Change = honest,
    seed: int = 0,
    planted: str = "",
    whole_prefix: bool = False,
) -> Certificate:
    """Replay documents, and compare.

    documents: each a split of its own, as the recipe's model reads it from a cache (`drawn`). bonds: settings of the
    cache's bonds. pieces: from the beginning of each, those whose keys and logits are compared, and bonds with them;
    None: all. change: what the recipe makes of honest columns (`model.inputs.recipe_change`); the process makes it too,
    of what it knows. seed: of the draw, to be told. planted: the name of a leak to be caught. About 5 ms a piece for a
    model of 7M parameters, and some seconds to start. Errors: ValueError for more pieces than learned positions;
    Failure if the process fails.
    """
    began, config = perf_counter(), recipe.model
    sizes = [int(document.offset[-1]) for document in documents.values()]
    compared = [min(size, size if pieces is None else pieces) for size in sizes]
    longest = max(compared)
    if config.positions == "learned" and longest > config.context:
        raise ValueError(
            f"{longest} pieces of a document are to be replayed, and the model has {config.context} learned positions; "
            f"give at most so many"
        )
    exact = copy.deepcopy(model).to("cpu", torch.float64).eval()
    setup = Setup.of(model, annotator, tokenizer, change)
    setup = replace(setup, bonds=bonds, pieces=pieces, planted=planted, whole_prefix=whole_prefix)
    record = _Record(pieces)
    with Stream(setup) as stream, entered(planted):
        for name, stored in documents.items():
            record.document(name, _planted(planted, stored), exact, stream)
    made: dict[str, Any] = provenance()
    return Certificate(
        certified=record.first is None,
        first_break=record.first,
        documents=len(documents),
        pieces=sum(compared),
        attribute_pieces=sum(sizes),
        attributes=record.given["attributes"].hexdigest(),
        attributes_streamed=record.streamed["attributes"].hexdigest(),
        keys=record.given["keys"].hexdigest(),
        keys_streamed=record.streamed["keys"].hexdigest(),
        max_difference=record.difference if np.isfinite(record.difference) else None,
        bound=BOUND,
        dtype="float64",
        weights=weights_digest(model),
        recipe=sha256(write(recipe).encode()).hexdigest()[:12],
        annotator=annotator.digest,
        tokenizer=tokenizer.digest,
        seed=seed,
        seconds=round(perf_counter() - began, 3),
        **made,
    )


class _Record:
    """What the two sides said so far."""

    def __init__(self, pieces: int | None) -> None:
        """pieces: of each document, whose keys and logits are compared; None: all."""
        self.pieces = pieces
        self.given = {"attributes": sha256(), "keys": sha256()}
        self.streamed = {"attributes": sha256(), "keys": sha256()}
        self.difference = 0.0
        self.first: Break | None = None

    def document(self, name: str, stored: Split, exact: Decoder, stream: Stream) -> None:
        """Replay one document, to its end even if the two sides differ: how much is worth knowing."""
        columns, whole = stored.columns, observe(exact, stored.document(0, self.pieces))
        largest = float(whole.logits.abs().max()) or 1.0
        stream.begin(document_seed(name))
        for t, piece in enumerate(columns["pieces"].tolist()):
            answer, compared = stream.read(piece), t < len(whole.logits)
            context = whole.context if compared else None
            told = {"attributes": sha256(attributes_told(columns, t, context)).digest()}
            if compared:
                told["keys"] = sha256(keys_told(whole.views, whole.masks[:, t])).digest()
            same = {each: told[each] == getattr(answer, each) for each in told}
            if compared:
                change = float(np.abs(whole.logits[t].numpy() - answer.logits).max()) / largest
                self.difference = float(np.maximum(self.difference, change))  # unlike max, it keeps what is no number
                same["logits"] = change <= BOUND
            for each, digest in told.items():
                self.given[each].update(digest)
                self.streamed[each].update(getattr(answer, each))
            if self.first is None and not all(same.values()):
                self.first = Break(document=name, piece=t, what=next(each for each in same if not same[each]))


def weights_digest(model: Decoder) -> str:
    """SHA-256 over the weights in the order of their names."""
    digest = sha256()
    for name, weight in sorted(model.state_dict().items()):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}\n".encode())
        digest.update(weight.detach().cpu().double().numpy().tobytes())  # exact, and numpy has no bfloat16
    return digest.hexdigest()


def _planted(name: str, stored: Split) -> Split:
    """What a leak makes of a whole document."""
    change = planted_change(name)
    if change:
        return replace(stored, columns={**stored.columns, **change(0, stored.columns)})
    if name and PLANTED[name].bonds and stored.bonds:
        return replace(stored, bonds=SplitBonds.of([next_words_bonds(stored.bonds.lists())]))
    return stored
