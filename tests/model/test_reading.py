"""Rows read from ids alone: what is known of a piece is what the annotator says of its document, however it is read."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.batches import read_places
from model.columns import split_of
from model.context import PER_PIECE, Context
from model.reading import Reader, Rows, rows_of
from model.whole import whole_split
from pipeline.pieces import Tokenizer
from tests.model.tiny_cache import small_tokenizer

TEXTS = [
    "Anna gave Tom the letter. He read it twice, folded it and said nothing. “Well?” she asked.\nHe smiled.",
    "We met (a fisherman) near the café. !!\n\n 3.14  - ---  don't\n\n\n * * *  and",
    "",
]
READER = Reader.shipped()
DOCUMENTS = [READER.tokenizer.document(text) for text in TEXTS]


def stored(number: int) -> Context:
    """The context that a cache of these documents would give."""
    split = split_of({str(at): (ids, READER.annotator.annotate(ids)) for at, ids in enumerate(DOCUMENTS)})
    place = np.arange(len(DOCUMENTS[number]))[None]
    return read_places(split, place * 0 + number, place)[1]


@pytest.mark.parametrize("left", [True, False])
def test_padded_rows_know_what_a_cache_would_say(left: bool) -> None:
    ids, valid = rows_of(DOCUMENTS, left=left)
    context = READER.read(ids, valid)
    assert torch.equal(context.valid(), valid)
    for row in range(len(DOCUMENTS)):
        known = stored(row)
        begin = int(valid[row].nonzero()[0])
        for name in PER_PIECE[1:]:
            shift = begin if name == "sentence_start" else 0
            assert torch.equal(getattr(context, name)[row][valid[row]] - shift, getattr(known, name)[0]), name


@pytest.mark.parametrize("left", [True, False])
def test_models_that_read_the_whole_input_know_every_word(left: bool) -> None:
    """What a split says of documents that were read to their end (model.whole); their end pieces are not needed."""
    known = {str(at): (ids, READER.annotator.annotate(ids)) for at, ids in enumerate(DOCUMENTS)}
    split = whole_split(split_of(known, causal=False))
    cut = [ids[:-1] for ids in DOCUMENTS]
    ids, valid = rows_of(cut, left=left)
    context = READER.read(ids, valid, causal=False)
    assert not context.causal
    assert torch.equal(context.valid(), valid)
    for row, pieces in enumerate(cut):
        place = np.arange(len(pieces))[None]
        _, stored = read_places(split, place * 0 + row, place)
        begin = int(valid[row].nonzero()[0])
        for name in PER_PIECE[1:]:
            shift = begin if name == "sentence_start" else 0
            assert torch.equal(getattr(context, name)[row][valid[row]] - shift, getattr(stored, name)[0]), name
    packed = torch.from_numpy(np.concatenate(cut[:2]).astype(np.int64))[None]
    both = READER.read(packed, causal=False)
    assert both.document[0].tolist() == [0] * len(cut[0]) + [1] * len(cut[1])


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 30), max_size=8), st.booleans(), st.integers(0, 60))
def test_reading_on_gives_what_reading_at_once_gives(sizes: list[int], left: bool, kept: int) -> None:
    ids, valid = rows_of(DOCUMENTS, left=left)
    whole, width = READER.read(ids, valid), ids.shape[1]
    rows = Rows(READER, len(ids))
    cuts = [0, *np.minimum(np.cumsum(sizes, dtype=int), width).tolist(), width]
    for low, high in pairwise(cuts):
        rows.append(ids[:, low:high], valid[:, low:high])
    same(rows.context(), whole)
    rows.keep(min(kept, width))
    rows.append(ids[:, rows.places :], valid[:, rows.places :])
    same(rows.context(), whole)
    rows.pick([1, 1, 0])
    same(rows.context(), whole._replace(**{name: getattr(whole, name)[[1, 1, 0]] for name in PER_PIECE}))


def same(ours: Context, theirs: Context) -> None:
    assert all(torch.equal(getattr(ours, name), getattr(theirs, name)) for name in PER_PIECE)


def test_a_piece_that_begins_a_document_begins_another() -> None:
    packed = torch.from_numpy(np.concatenate(DOCUMENTS[:2]).astype(np.int64))[None]
    context, size = READER.read(packed), len(DOCUMENTS[0])
    assert context.document[0].tolist() == [0] * size + [1] * len(DOCUMENTS[1])
    known = stored(1)
    assert torch.equal(context.sentence_start[0, size:] - size, known.sentence_start[0])
    assert torch.equal(context.last_word[0, size:], known.last_word[0])
    assert torch.equal(context.key_tag[0, size:], known.key_tag[0])


def test_what_cannot_be_read_says_why() -> None:
    ids, valid = rows_of(DOCUMENTS)
    with pytest.raises(ValueError, match="encode with its own"):
        READER.read(ids + READER.pieces)
    hole = valid.clone()
    hole[1, 3] = False
    with pytest.raises(ValueError, match="row 1 has padding between"):
        READER.read(ids, hole)
    with pytest.raises(ValueError, match="row 1 has padding between"):
        READER.read(ids, hole, causal=False)
    with pytest.raises(ValueError, match="one entry a piece"):
        READER.read(ids, valid[:, 1:])


def test_ids_that_the_tokenizer_lacks_add_nothing() -> None:
    wide = READER.widened(READER.pieces + 3)
    assert wide.pieces == READER.pieces + 3
    ids = torch.from_numpy(DOCUMENTS[0].astype(np.int64))[None]
    same(wide.read(ids), READER.read(ids))
    more = wide.read(torch.cat([ids[:, :-1], torch.tensor([[READER.pieces + 1]])], dim=1))
    assert int(more.last_word[0, -1]) == int(more.last_word[0, -2])


def test_a_tokenizer_whose_one_special_begins_and_ends(tmp_path: Path) -> None:
    """As GPT-2's: its piece does not say that another document begins, and rows are read as one."""
    content = json.loads(small_tokenizer())
    kept = content["added_tokens"][0]
    content["added_tokens"] = [{**kept, "content": "<|endoftext|>"}]
    vocabulary = content["model"]["vocab"]
    vocabulary["<|endoftext|>"], vocabulary["unused"] = vocabulary.pop("<|begin|>"), vocabulary.pop("<|end|>")
    (tmp_path / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    reader = Reader.of(Tokenizer.load(tmp_path / "tokenizer.json"))
    assert reader.tokenizer.begin == reader.tokenizer.end == 0
    ids = reader.tokenizer.document(TEXTS[0])
    context = reader.read(torch.from_numpy(np.append(ids, ids[1:]).astype(np.int64))[None])
    assert context.document.unique().tolist() == [0]
    known = reader.annotator.annotate(np.append(ids, ids[1:]))
    assert context.last_word[0].tolist() == known.last_word.tolist()
    assert context.sentence_start[0].tolist() == known.sentence_start.tolist()
