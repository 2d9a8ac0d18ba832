"""Reading the pieces layer of a cache."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from model.columns import ATTRIBUTES, read_layer
from pipeline.errors import Failure
from pipeline.pieces import Tokenizer
from pipeline.prefix import PrefixAnnotator
from tests.model.tiny_cache import STORIES, write_cache


def test_blocks_of_all_shards_are_joined_to_documents_in_the_order_of_their_ids(tmp_path: Path) -> None:
    layer = read_layer(write_cache(tmp_path / "cache", block=16))
    train = layer.splits["train"]
    assert train.documents == ("train#0", "train#1", "train#2", "train#3")
    assert train.bytes.tolist() == [len(text.encode()) for text in STORIES[:4]]
    tokenizer = Tokenizer.load(layer.tokenizer)
    annotator = PrefixAnnotator.load(layer.annotator, tokenizer.piece_bytes, tokenizer.begin, tokenizer.end)
    for document, text in enumerate(STORIES[:4]):
        part = slice(train.offset[document], train.offset[document + 1])
        ids = train.columns["pieces"][part]
        assert ids.tolist() == tokenizer.document(text).tolist()
        attributes = annotator.annotate(ids)
        assert all(np.array_equal(train.columns[name][part], getattr(attributes, name)) for name in ATTRIBUTES)


def test_the_digest_is_of_the_content_and_not_of_its_blocks(tmp_path: Path) -> None:
    one, other = (read_layer(write_cache(tmp_path / str(block), block=block)) for block in (16, 4096))
    changed = read_layer(write_cache(tmp_path / "changed", {"train": [*STORIES[:3], "Another story."]}))
    assert one.digest() == other.digest()
    assert one.digest() != changed.digest()


def test_a_missing_shard_and_a_missing_block_are_named(tmp_path: Path) -> None:
    cache = write_cache(tmp_path / "cache")
    shard = next(cache.glob("pieces/*/shard-00001.parquet"))
    content = shard.read_bytes()
    shard.unlink()
    with pytest.raises(Failure, match=r"shard-00001\.parquet is (missing|damaged)"):
        read_layer(cache)
    shard.write_bytes(content[:-100])
    with pytest.raises(Failure, match=r"shard-00001\.parquet is (missing|damaged)"):
        read_layer(cache)
    shard.write_bytes(content)
    table = pq.read_table(shard)
    pq.write_table(table.slice(1), shard)
    with pytest.raises(Failure, match="the pieces of train#1 are incomplete"):
        read_layer(cache)
    pq.write_table(table.slice(0, len(table) - 1), shard)
    with pytest.raises(Failure, match="the pieces of train#3 are incomplete"):
        read_layer(cache)


def test_a_cache_without_pieces_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no cache"):
        read_layer(tmp_path)
