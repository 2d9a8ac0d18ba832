"""What the compatibility score asks of words, for the documents of a split and for the pieces of a batch.

A key shows its word's facts once the word is closed, a causal query has those of the last word that is closed at it, as
with bonds; in a model that reads the whole input all words are closed, and a query has its own. Where either side has
no facts the score is 0. Letters: B rows, N pieces of a row, D documents, W words, S verbs' classes, F nouns' features.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.context import Context, Facts
from pipeline.cache.layout import Cache
from pipeline.cache.read import read_words
from pipeline.compatibility import GROUPS, NOMINAL, score_columns_of
from pipeline.records import Strings, Words, concatenate_strings

if TYPE_CHECKING:
    from pathlib import Path

    from model.columns import Split

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class WordFacts:
    """Of the words of one document [W]."""

    features: NDArray[np.uint64]
    nominal: NDArray[np.bool_]
    verb_class: Strings

    @classmethod
    def of(cls, words: Words, part: slice = slice(None)) -> "WordFacts":
        """Of annotated words, or some of them."""
        classes = Strings(words.verb_class.code[part], words.verb_class.values)
        return cls(features=words.features[part], nominal=np.isin(words.upos[part], NOMINAL), verb_class=classes)


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitFacts:
    """Of the words of D documents, one after another."""

    first_word: Ints
    """[D + 1]"""
    features: Ints
    """[W]: the 64 bits, as a signed number; torch has no other."""
    selects: NDArray[np.int32]
    fills: NDArray[np.int32]
    selection: NDArray[np.int8]
    """[S, F]: see pipeline.compatibility.ScoreColumns, also for the two above."""

    @classmethod
    def of(cls, documents: Sequence[WordFacts]) -> "SplitFacts":
        """Of documents in the order of their split. O(W + distinct classes · distinct features)."""
        columns = score_columns_of(
            np.concatenate([np.empty(0, np.uint64), *(each.features for each in documents)]),
            np.concatenate([np.empty(0, bool), *(each.nominal for each in documents)]),
            concatenate_strings([each.verb_class for each in documents]),
        )
        return cls(
            first_word=np.cumsum([0, *(len(each.features) for each in documents)]),
            features=columns.features.view(np.int64),
            selects=columns.selects,
            fills=columns.fills,
            selection=columns.selection,
        )

    def document(self, number: int) -> "SplitFacts":
        """Those of one document."""
        first, stop = self.first_word[number : number + 2].tolist()
        columns = {name: getattr(self, name)[first:stop] for name in ("features", "selects", "fills")}
        return replace(self, first_word=np.array([0, stop - first]), **columns)

    def update(self, digest: Any) -> None:
        """Add all of it to a digest."""
        for array in (self.first_word, self.features, self.selects, self.fills, self.selection):
            digest.update(np.ascontiguousarray(array).data)


def read_facts(folder: "Path", parser: str, documents: Sequence[Sequence[str]]) -> list[SplitFacts]:
    """Facts of the words that a parser made, for each of some lists of documents.

    parser: its digest, by which the layer of words is named. Errors: Failure if the words are damaged.
    """
    cache = Cache.open(folder)
    found: dict[str, WordFacts] = {}
    for shard in range(cache.shards):
        for words in read_words(cache, shard, f"words/parser={parser}"):
            ends = np.searchsorted(words.document, np.arange(len(words.documents)), side="right").tolist()
            for name, first, stop in zip(words.documents, [0, *ends[:-1]], ends, strict=True):
                found[name] = WordFacts.of(words, slice(first, stop))
    none = WordFacts(features=np.empty(0, np.uint64), nominal=np.empty(0, bool), verb_class=Strings.of([]))
    return [SplitFacts.of([found.get(name, none) for name in some]) for some in documents]


def piece_facts(split: "Split", document_BN: Ints, source_BN: Ints) -> Facts | None:
    """Facts of the pieces at these places; source_BN: where they lie in the split's columns. None without any."""
    if split.facts is None:
        return None
    facts = split.facts
    last, closed = (split.columns[name][source_BN] for name in ("last_word", "closed_word"))

    def of(word_BN: Ints) -> tuple[Tensor, Tensor, Tensor]:
        # Words that no parse holds, and those of padding, have an entry of zeros behind all others.
        first, stop = facts.first_word[document_BN], facts.first_word[document_BN + 1]
        known = (document_BN >= 0) & (word_BN >= 0) & (first + word_BN < stop)
        at = np.where(known, first + word_BN, len(facts.features))
        columns = (facts.features, facts.selects, facts.fills)
        return tuple(torch.from_numpy(np.append(each, 0)[at].astype(np.int64)) for each in columns)  # type: ignore[return-value]

    return Facts(*of(closed - 1 if split.causal else last), *of(last), torch.from_numpy(facts.selection))


def scores(context: Context) -> Tensor:
    """int8 [B,N,N]: the compatibility score of each query (row) with each key, -4 to 4. O(N*N)."""
    place = torch.arange(context.document.shape[1], device=context.document.device)
    return pair_scores(context, place[:, None], place[None, :])


def pair_scores(context: Context, query: Tensor, key: Tensor) -> Tensor:
    """int8 [B, …]: scores of the pieces at places `query` with those at places `key`, which broadcast together."""
    facts = facts_of(context)
    ours, theirs = facts.query_features[:, query], facts.key_features[:, key]
    total = facts.selection[facts.query_selects[:, query], facts.key_fills[:, key]]
    for group in GROUPS:
        both = ((ours & group) != 0) & ((theirs & group) != 0)
        total = total + torch.where((ours & theirs & group) != 0, 1, -1).to(torch.int8) * both
    total = total + facts.selection[facts.key_selects[:, key], facts.query_fills[:, query]]
    if not context.causal:
        return total
    return total * (context.last_word[:, key] < context.closed_word[:, query])


def facts_of(context: Context) -> Facts:
    """Errors: ValueError if the context has none."""
    if context.facts is None:
        raise ValueError(
            "this model scores pairs by the features of their words, and its pieces have none; preprocess with "
            "`--parser prefix --mode causal --piece-bonds causal`"
        )
    return context.facts
