"""`valency leaktest`: law 1 from ids to logits, for a recipe, a trained run, or every view there is.

Documents are real ones, random pieces, and texts of hostile characters; weights are random, unless a run brings its
own. The same test is then run with each leak of `model.evaluate.planted` in it: an instrument that does not catch them
all proves nothing, and says so.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import numpy as np
from numpy.typing import NDArray

from model.config import ModelConfig
from model.evaluate.leak import Annotator, LeakResult, measure_leak, randomised
from model.evaluate.planted import PLANTED, Leaky, LeakyBonds, Plant
from model.masks import MASKS
from model.transformer import Decoder
from pipeline.pieces import Tokenizer

CAUGHT = 1e-6
"""Least change of a logit, relative to the largest, that a planted leak must bring about."""
BAIT = (
    "Anna came. She saw the house! Nobody was there, and the door stood open. Why?\n\nShe went in.",
    "A word of many pieces, " + "qzxvkjwphg" * 12 + ", ends at last. It was long.",
)
"""Texts in which every planted leak shows at some cut: sentences that end, a word of more pieces than the anchors
show."""
ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyz .,",
    "ABC abc 0123456789 .:,;-/$%@<>#&'\"()[]!?\n",
    "ÀéñøßΩжЯ漢字かな한글…“”‘’— \u0e01\u0e33\u0661\u202e\u200f\u200d\u200b\ufeff\u00a0\U0001f600\U0001f469\U0001f680",
)
"""Characters that random texts are drawn from: plain, full of marks, of many scripts with joiners and directions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakTest:
    """What the test found."""

    max_prefix_change: float
    """Largest change of a logit at or before a cut, relative to the largest logit."""
    leak_free: bool
    first_violation: str | None
    """Where a leak entered: document, cut, what came after it, and the attribute, keys or logits that moved."""
    views: tuple[str, ...]
    documents: int
    cuts: int
    planted: dict[str, LeakResult]
    """By name, what the same test found with that leak in it."""
    missed: tuple[str, ...]
    """Planted leaks that were not caught, or moved no logit by more than CAUGHT."""

    @property
    def passed(self) -> bool:
        return self.leak_free and not self.missed


def every_view() -> tuple[str, ...]:
    """Each mask of the table, alone, negated, numbered, joined with another, and the random control of each kind."""
    names = [f"{name}({count})" for name, mask in MASKS.items() if mask.counted for count in (1, 3, 64)]
    names += [name for name, mask in MASKS.items() if not mask.counted]
    joined = [f"{one} & {other}" for one, other in pairwise(names)]
    joined += [f"({one} & sentences(2)) | window(4)" for one in names]
    negated = [f"~{name}" for name in names if name != "dense"]
    return tuple(dict.fromkeys([*names, *negated, *joined, "random(sentence)", "random(pos)", "random(window(8))"]))


def leaktest(
    model: Decoder | None,
    annotators: Annotator | Sequence[Annotator],
    tokenizer: Tokenizer,
    documents: Sequence[NDArray[np.int32]],
    *,
    cuts: int = 3,
    length: int = 96,
    seed: int = 0,
) -> LeakTest:
    """Test a model, or random weights under every view (model: None).

    annotators: one, or one for each document, with bonds (model.bond_reader.Bonded); documents: ids, begin first. About
    a second a document for every view, on one core.
    """
    if model is None:
        seen = every_view()
        model = randomised(Decoder(view_config(seen), tokenizer.size), seed)
    closers = tokenizer.encode('."\n”').tolist()
    each = list(annotators) if isinstance(annotators, Sequence) else [annotators] * len(documents)
    found = measure_leak(model, each, documents, closers=closers, cuts=cuts, length=length, seed=seed)
    planted = {name: _with(plant, each[0], tokenizer, closers, seed) for name, plant in PLANTED.items()}
    return LeakTest(
        max_prefix_change=found.max_change,
        leak_free=found.leak_free,
        first_violation=found.first_violation,
        views=tuple(model.config.distinct_views()),
        documents=len(documents),
        cuts=found.cuts,
        planted=planted,
        missed=tuple(name for name, one in planted.items() if one.leak_free or not one.max_change > CAUGHT),
    )


def _with(plant: Plant, annotator: Annotator, tokenizer: Tokenizer, closers: Sequence[int], seed: int) -> LeakResult:
    """The test with a leak in it, on the bait, at every cut; it ends with the text that shows the leak."""
    seen = ("dense", "sentence", "pos", "pos & sentences(2)", *(["bonds"] if plant.bonds else []))
    model = randomised(Decoder(view_config(seen), tokenizer.size), seed)
    leaky = Leaky(annotator, plant.change) if plant.change else LeakyBonds(annotator) if plant.bonds else annotator
    bait = [tokenizer.document(text) for text in BAIT]
    with cast(AbstractContextManager[None], plant.entered()):
        for place in range(len(bait)):
            turned = [*bait[place:], *bait[:place]]  # the next one is what may follow a cut
            found = measure_leak(model, [leaky, leaky], turned[:2], closers=closers, cuts=64, length=80, seed=seed)
            if not found.leak_free:
                break
    return found


def view_config(views: tuple[str, ...]) -> ModelConfig:
    """A small decoder with a head for each view, in two layers, so that what one layer lets in the next passes on."""
    return ModelConfig(layers=2, dim=8 * len(views), heads=len(views), views=views, tags=True)


def random_documents(tokenizer: Tokenizer, number: int, real: Sequence[str], seed: int = 0) -> list[NDArray[np.int32]]:
    """Ids of `number` documents by turns: a stretch of a real text, of random characters, of random pieces."""
    random, documents = np.random.default_rng(seed), []
    for place in range(number):
        if place % 3 == 0 and real:
            text = real[int(random.integers(len(real)))]
            begin = int(random.integers(max(len(text) - 600, 1)))
            documents.append(tokenizer.document(text[begin : begin + 600]))
        elif place % 3 == 1:
            signs = list(ALPHABETS[int(random.integers(len(ALPHABETS)))])
            documents.append(tokenizer.document("".join(random.choice(signs, size=300))))
        else:
            ids = random.integers(tokenizer.size, size=120).astype(np.int32)
            documents.append(np.append(np.int32(tokenizer.begin), ids).astype(np.int32))
    return documents
