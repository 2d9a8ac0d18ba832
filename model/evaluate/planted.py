"""Leaks planted on purpose: what an instrument must catch before anyone believes it. PLANTED names them all.

Each changes the attributes that an honest annotator gives, or a mask, so that something at piece t depends on later
pieces. `valency leaktest` runs every one of them beside the test proper.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray

from model import masks, views
from model.bond_reader import Known
from model.context import Context
from model.evaluate.leak import Annotator, known_of
from pipeline.cache.lists import WordLists
from pipeline.prefix import NO_TAG, Attributes

Change = Callable[[NDArray[np.int32], Attributes], Attributes]


@dataclass(frozen=True, slots=True)
class Leaky:
    """An annotator whose honest attributes are changed by something that knows the whole document."""

    annotator: Annotator
    change: Change

    def annotate(self, ids: NDArray[np.int32]) -> Attributes:
        return self.change(ids, self.annotator.annotate(ids))

    def known(self, ids: NDArray[np.int32]) -> Known | None:
        return known_of(self.annotator, ids)


def next_words_bonds(honest: WordLists) -> WordLists:
    """Every word gets the bonds of the next one, as far as they reach behind the word."""
    kept = honest.back > 1
    word = np.repeat(np.arange(len(honest)), np.diff(honest.begin))[kept] - 1
    begin = np.searchsorted(word, np.arange(len(honest) + 1))
    return WordLists(begin=begin, back=honest.back[kept] - 1, kind=honest.kind[kept])


@dataclass(frozen=True, slots=True)
class LeakyBonds:
    """An annotator that makes bonds so."""

    annotator: Annotator

    def annotate(self, ids: NDArray[np.int32]) -> Attributes:
        return self.annotator.annotate(ids)

    def known(self, ids: NDArray[np.int32]) -> Known | None:
        known = known_of(self.annotator, ids)
        return known and known._replace(lists=next_words_bonds(known.lists))


def whole_word_tag(_ids: NDArray[np.int32], honest: Attributes) -> Attributes:
    """A piece carries the tag of its whole word: the leak of the seed paper's kind."""
    return replace(honest, input_tag=honest.key_tag)


def next_sentence(_ids: NDArray[np.int32], honest: Attributes) -> Attributes:
    """A piece knows already that its successor begins a sentence."""
    ahead, here = np.append(honest.sentence_start[1:], honest.sentence_start[-1:]), np.arange(len(honest))
    return replace(honest, sentence_start=np.where(ahead > here, here, honest.sentence_start).astype(np.int32))


def length_told(ids: NDArray[np.int32], honest: Attributes) -> Attributes:
    """A tag that depends on how long the document is."""
    tag = np.where(honest.input_tag < NO_TAG, len(ids) % NO_TAG, NO_TAG)
    return replace(honest, input_tag=tag.astype(np.uint8))


def content_seed(ids: NDArray[np.int32], honest: Attributes) -> Attributes:
    """Sentence starts drawn under a seed from the whole document."""
    starts = np.random.default_rng(int(ids.sum())).integers(0, 20, size=len(ids))
    drawn = np.minimum(np.maximum.accumulate(starts), np.arange(len(ids)))
    return replace(honest, sentence_start=drawn.astype(np.int32))


@contextmanager
def cap_per_key() -> Iterator[None]:
    """A key that more than 12 pieces of the row see is dropped: counting them looks ahead."""

    def capped(context: Context, _count: int) -> torch.Tensor:
        seen = masks.pos(context, 0) & views.allowed(context)
        return seen & (seen.sum(1, keepdim=True) <= 12)

    with patch.dict(masks.MASKS, pos=masks.MASKS["pos"]._replace(fast=capped)):
        yield


@contextmanager
def full_tag_early() -> Iterator[None]:
    """A mask that reads the full tags of words that are still open."""

    def whole(context: Context) -> torch.Tensor:
        return context.key_tag[:, None, :].expand(-1, context.key_tag.shape[1], -1)

    with patch.object(Context, "seen_tag", whole):
        yield


@dataclass(frozen=True, slots=True)
class Plant:
    """One planted leak: in the attributes, in the bonds, or in a mask while `entered`."""

    change: Change | None = None
    bonds: bool = False
    """Whether a word gets the bonds of the next one."""
    entered: Callable[[], object] = nullcontext


PLANTED: Mapping[str, Plant] = {
    "whole-word tag": Plant(whole_word_tag),
    "next sentence": Plant(next_sentence),
    "length": Plant(length_told),
    "content seed": Plant(content_seed),
    "cap per key": Plant(entered=cap_per_key),
    "full tag early": Plant(entered=full_tag_early),
    "next word's bonds": Plant(bonds=True),
}
