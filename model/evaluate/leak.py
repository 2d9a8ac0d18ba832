"""Law 1 measured: what a causal model says at a piece must not change when the pieces after it do.

Documents are cut at pieces, inside words too. What follows a cut is replaced by random ids, another document's ids or
closers, or dropped, and the attributes are rebuilt from the ids alone. Then, for all pieces up to the cut, attributes
and visible keys must be the same, and the logits but for rounding in float64.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.batches import read_places
from model.columns import ATTRIBUTES, Split, split_of
from model.context import Context
from model.transformer import Decoder
from model.views import view_masks

if TYPE_CHECKING:
    from model.bond_reader import Known
    from pipeline.prefix import Attributes

EQUAL_SHAPES, OTHER_SHAPES = 1e-12, 1e-9
"""Largest change of a logit that rounding explains, relative to the largest logit, in float64."""


class Annotator(Protocol):
    """What makes attributes of ids: pipeline.prefix.PrefixAnnotator, or one with a leak planted."""

    def annotate(self, ids: NDArray[np.int32]) -> "Attributes": ...


def known_of(annotator: Annotator, ids: NDArray[np.int32]) -> "Known | None":
    """What is known of the words of these ids, if the annotator says it (model.bond_reader.Bonded)."""
    make = getattr(annotator, "known", None)
    return make(ids) if make else None


@dataclass(frozen=True, slots=True)
class WholeWordTags:
    """Leaky on purpose: an annotator that tells every piece the tag of its whole word."""

    annotator: Annotator

    def annotate(self, ids: NDArray[np.int32]) -> "Attributes":
        honest = self.annotator.annotate(ids)
        return replace(honest, input_tag=honest.key_tag)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakResult:
    """What `measure_leak` found."""

    leak_free: bool
    max_change: float
    """Largest change of a logit at or before a cut, relative to the largest logit."""
    cuts: int
    """Cuts tried, each with all replacements."""
    first_violation: str | None
    """Where the future first came in: document, cut, replacement, and the attribute, keys or logits that changed."""


def measure_leak(
    model: Decoder,
    annotator: Annotator | Sequence[Annotator],
    documents: Sequence[NDArray[np.int32]],
    *,
    closers: Sequence[int] = (),
    stored: Sequence[Mapping[str, NDArray[Any]]] = (),
    cuts: int = 6,
    length: int = 96,
    seed: int = 0,
) -> LeakResult:
    """Measure whether a model, with the annotator that feeds it, looks ahead.

    annotator: one for all documents, or one for each. documents: ids, begin first; only the first `length` pieces are
    used. closers: ids that end sentences (full stop, newline, quotation marks). stored: attributes as a cache has them,
    by name, one mapping a document; they must equal the rebuilt ones. cuts: places tried in each document. The model is
    copied to float64 on the CPU.
    """
    exact = copy.deepcopy(model).to("cpu", torch.float64).eval()
    random = np.random.default_rng(seed)
    tried, max_change, violations = 0, 0.0, []
    each = annotator if isinstance(annotator, Sequence) else [annotator] * len(documents)
    for number, (whole, reader) in enumerate(zip(documents, each, strict=True)):
        ids, other = whole[:length], documents[(number + 1) % len(documents)]
        base = observe(exact, read_by(reader, ids, exact))
        if stored and (said := attribute_change(stored[number], base.attributes, len(ids) - 1)):
            violations.append(f"document {number}: the cache stores another {said}")
        for t in sorted(random.permutation(len(ids) - 1)[:cuts].tolist()):
            tried += 1
            for ending, changed in _endings(ids, t, other, closers, exact.vocabulary, random):
                change, found = differences(base, observe(exact, read_by(reader, changed, exact)), t)
                max_change = float(np.maximum(max_change, change))  # what is no number stays so
                violations += [f"document {number}, {ending} after piece {t}: another {said}" for said in found]
    first = violations[0] if violations else None
    return LeakResult(leak_free=first is None, max_change=max_change, cuts=tried, first_violation=first)


def randomised(model: Decoder, seed: int) -> Decoder:
    """A float64 copy with random weights, none of them 0, large enough that every path carries a signal."""
    made = copy.deepcopy(model).to("cpu", torch.float64).eval()
    generator = torch.Generator().manual_seed(seed)
    for weight in made.parameters():
        noise = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        # Products keep the spread of their input; the embeddings are the input, and norms stay near 1.
        weight.data = 1 + 0.3 * noise if weight.ndim == 1 else noise * weight.shape[1] ** -0.5
    return made


def _endings(
    ids: NDArray[np.int32], t: int, other: NDArray[np.int32], closers: Sequence[int], vocabulary: int, random: Any
) -> Iterator[tuple[str, NDArray[np.int32]]]:
    """The ids up to t, with what may follow instead, by a name for it."""
    kept, rest = ids[: t + 1], len(ids) - t - 1
    yield "random ids", np.concatenate([kept, random.integers(vocabulary, size=rest)]).astype(np.int32)
    yield "another document", np.concatenate([kept, np.resize(other[1:], rest)]).astype(np.int32)
    if len(closers):
        yield "closers", np.concatenate([kept, random.choice(closers, size=rest)]).astype(np.int32)
    yield "nothing", kept


@dataclass(frozen=True, slots=True)
class Observation:
    """All that a model is given at the pieces of one document, and what it says there."""

    attributes: Mapping[str, NDArray[Any]]
    views: tuple[str, ...]
    """The distinct views of the model's heads."""
    masks: Tensor
    """bool [V,N,N]: visible keys under each of them."""
    context: Context
    logits: Tensor
    """float64 [N, vocabulary]."""


def read_by(annotator: Annotator, ids: NDArray[np.int32], model: Decoder) -> Split:
    """One document as the model reads it when there are only its ids."""
    known = known_of(annotator, ids) if model.config.reads_words() else None
    return split_of({"": (ids, annotator.annotate(ids))}, [known] if known else None)


@torch.no_grad()
def observe(model: Decoder, document: Split) -> Observation:
    """Run a model over one document. Alone in its batch, so that equal lengths mean equal arithmetic."""
    position_BN = np.arange(int(document.offset[-1]))[None]
    ids_BN, context = read_places(document, np.zeros_like(position_BN), position_BN)
    views = model.config.distinct_views()
    masks = view_masks(list(views.values()), context)[0]
    columns = {name: document.columns[name] for name in ATTRIBUTES}
    return Observation(columns, tuple(views), masks, context, model(ids_BN, context)[0])


def differences(base: Observation, other: Observation, t: int) -> tuple[float, list[str]]:
    """Two documents that agree up to piece t: largest relative change of a logit there, and all that should be equal
    and is not."""
    upto, found = slice(t + 1), []
    if said := attribute_change(base.attributes, other.attributes, t):
        found.append(said)
    for view, one_NN, other_NN in zip(base.views, base.masks, other.masks, strict=True):
        moved = (one_NN[upto, upto] != other_NN[upto, upto]).any(1) | one_NN[upto, t + 1 :].any(1)
        if moved.any():
            found.append(f"set of visible keys for piece {int(moved.nonzero()[0])} under the view {view!r}")
    scale = base.logits.abs().max()
    change_N = (base.logits[upto] - other.logits[upto]).abs().amax(1) / scale
    tolerance = EQUAL_SHAPES if base.logits.shape == other.logits.shape else OTHER_SHAPES
    beyond = ~(change_N <= tolerance)  # said so that NaN is a difference too
    if beyond.any():
        piece = int(beyond.nonzero()[0])
        found.append(f"set of logits at piece {piece}, by {float(change_N[piece]):.1e} of the largest")
    return float(change_N.max()), found


def attribute_change(one: Mapping[str, NDArray[Any]], other: Mapping[str, NDArray[Any]], t: int) -> str | None:
    """The first attribute that differs at a piece <= t. Full tags count once their word is closed at t, not before."""
    closed = one["last_word"][: t + 1] < one["closed_word"][t]
    for name in ATTRIBUTES:
        differs = one[name][: t + 1] != other[name][: t + 1]
        if name == "key_tag":
            differs &= closed
        if differs.any():
            return f"{name} at piece {int(differs.nonzero()[0][0])}"
    return None
