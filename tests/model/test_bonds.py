"""Bonds and facts of words in memory: those of the cache, those made anew from ids, and what pieces get of them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from model.batches import TrainingRows, evaluation_batches
from model.bond_reader import BondReader
from model.columns import PiecesLayer, Split, read_layer
from model.facts import pair_scores, scores
from model.reader.loader import Loader
from model.reader.sequences import Sequences
from pipeline.bonds import BondConfig
from pipeline.cache.layout import Cache
from pipeline.cache.read import read_words
from pipeline.compatibility import score_block, score_columns
from pipeline.pieces import Tokenizer
from tests.model.tiny_cache import write_cache
from tests.pipeline.bonded_cache import CAUSAL, make


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        return make(tmp_path_factory.mktemp("bonds") / "cache", "causal", CAUSAL, 64, patch).folder


@pytest.fixture(scope="module")
def layer(folder: Path) -> PiecesLayer:
    return read_layer(folder, bonds=True, facts=True)


def document_ids(split: Split, number: int) -> np.ndarray:
    return split.columns["pieces"][split.offset[number] : split.offset[number + 1]]


def test_bonds_and_facts_made_of_ids_are_those_of_the_cache(layer: PiecesLayer) -> None:
    reader = BondReader.load(Tokenizer.load(layer.tokenizer))
    seen = 0
    for split in layer.splits.values():
        assert split.bonds is not None
        assert split.facts is not None
        for number in range(len(split.documents)):
            known = reader.known(document_ids(split, number))
            first, stop = split.bonds.first_word[number : number + 2]
            begin = split.bonds.begin[first:stop]
            np.testing.assert_array_equal(known.lists.begin, begin - begin[0])
            np.testing.assert_array_equal(known.lists.back, split.bonds.back[begin[0] : begin[-1]])
            np.testing.assert_array_equal(known.lists.kind, split.bonds.kind[begin[0] : begin[-1]])
            first, stop = split.facts.first_word[number : number + 2]
            np.testing.assert_array_equal(known.facts.features.view(np.int64), split.facts.features[first:stop])
            seen += len(known.lists.back)
    assert seen > 10_000


@pytest.mark.parametrize("length", [1, 50, 256])
def test_batches_have_the_lists_that_the_reader_gives(folder: Path, layer: PiecesLayer, length: int) -> None:
    rows = TrainingRows(layer.splits["train"], rows=3, length=length, seed=7)
    loader = Loader(Sequences(folder, length=length, seed=7), rows=3, epochs=1)
    pairs = 0
    for _, batch in zip(range(30), loader, strict=False):
        bonds = rows.next().context.bonds
        assert bonds is not None
        if len(batch.ids) < 3:  # the epoch's last
            continue
        for name in ("begin", "end", "key", "kind"):
            assert torch.equal(getattr(bonds, name), getattr(batch, name)), name
        pairs += len(bonds.key)
    assert pairs or length == 1


def test_evaluation_batches_have_lists_too(layer: PiecesLayer) -> None:
    split = layer.splits["train"]
    for batch in evaluation_batches(split, rows=2, length=100):
        bonds = batch.context.bonds
        assert bonds is not None
        assert (bonds.end >= bonds.begin).all()
        query = torch.arange(batch.ids.shape[1]).expand_as(bonds.begin)
        size = (bonds.end - bonds.begin).long()
        assert (bonds.end.max() if size.sum() else 0) <= len(bonds.key)
        for row, t in ((0, int(size[0].argmax())), (len(size) - 1, int(size[-1].argmax()))):
            assert (bonds.key[bonds.begin[row, t] : bonds.end[row, t]] < query[row, t] + 1).all()


def test_scores_are_those_of_the_words_once_both_are_closed(folder: Path, layer: PiecesLayer) -> None:
    cache, split = Cache.open(folder), layer.splits["train"]
    number = int(np.argmax(split.pieces()))
    name = split.documents[number]
    groups = [words for shard in range(cache.shards) for words in read_words(cache, shard) if name in words.documents]
    columns = score_columns(groups[0])
    first = int(np.searchsorted(groups[0].document, groups[0].documents.index(name)))
    size = min(120, int(split.pieces()[number]) - 1)
    batch = next(evaluation_batches(split.document(number), rows=1, length=size))
    found = scores(batch.context)[0]
    closed, last = batch.context.closed_word[0].tolist(), batch.context.last_word[0].tolist()
    assert (found != 0).any()
    for t in range(size):
        for s in range(size):
            known = closed[t] > 0 and 0 <= last[s] < closed[t]
            rows = np.array([first + closed[t] - 1]), np.array([first + last[s]])
            wanted = int(score_block(columns, *rows)[0, 0]) if known else 0
            assert found[t, s] == wanted, (t, s)
    some = torch.tensor([[5, 60], [9, 100]])
    assert torch.equal(pair_scores(batch.context, some, some.flip(0))[0], found[some, some.flip(0)])


def test_what_a_cache_does_not_have_is_asked_for(tmp_path: Path) -> None:
    plain = write_cache(tmp_path / "cache")
    with pytest.raises(ValueError, match="--piece-bonds causal"):
        read_layer(plain, bonds=True)
    with pytest.raises(ValueError, match="--piece-bonds causal"):
        read_layer(plain, facts=True)
    with pytest.raises(ValueError, match="mode `causal`"):
        BondReader.load(Tokenizer.load(), BondConfig())
