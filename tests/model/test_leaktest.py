"""The leak test passes what is honest, names where a leak enters, and does not trust itself blindly."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.bond_reader import Bonded, BondReader
from model.evaluate import leaktest as tested
from model.evaluate.leak import WholeWordTags, randomised
from model.evaluate.leaktest import PLANTED, every_view, leaktest, random_documents, view_config
from model.evaluate.planted import Plant
from model.masks import MASKS
from model.parse import parse
from model.transformer import Decoder
from pipeline.pieces import Tokenizer
from pipeline.prefix import PrefixAnnotator
from tests.model.tiny_cache import STORIES, small_tokenizer


@pytest.fixture
def tools(tmp_path: Path) -> tuple[Tokenizer, Bonded]:
    file = tmp_path / "tokenizer.json"
    file.write_text(small_tokenizer(), encoding="utf-8")
    tokenizer = Tokenizer.load(file)
    annotator = PrefixAnnotator.load(None, tokenizer.piece_bytes, tokenizer.begin, tokenizer.end)
    return tokenizer, Bonded(annotator, BondReader.load(tokenizer))


@pytest.fixture
def one_plant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every plant takes some seconds; the test of them all is slow."""
    monkeypatch.setattr(tested, "PLANTED", {"length": PLANTED["length"]})


@pytest.mark.slow
def test_every_view_is_tested_and_all_plants_are_caught(tools: tuple[Tokenizer, Bonded]) -> None:
    tokenizer, annotator = tools
    found = leaktest(None, annotator, tokenizer, random_documents(tokenizer, 6, STORIES), cuts=2, length=64)
    assert found.passed, (found.first_violation, found.missed)
    assert found.max_prefix_change <= 1e-9
    assert {str(parse(view)) for view in every_view()} == set(found.views)
    assert (found.documents, found.cuts) == (6, 12)
    assert found.planted.keys() == PLANTED.keys()
    for one in found.planted.values():
        assert one.max_change > 1e-6
        assert one.first_violation


def test_every_mask_of_the_table_is_among_the_views() -> None:
    views = every_view()
    for name, mask in MASKS.items():
        assert any(view.startswith(f"{name}(" if mask.counted else name) for view in views)


@pytest.mark.usefixtures("one_plant")
def test_every_view_is_leak_free(tools: tuple[Tokenizer, Bonded]) -> None:
    tokenizer, annotator = tools
    found = leaktest(None, annotator, tokenizer, random_documents(tokenizer, 3, STORIES), cuts=1, length=48)
    assert found.passed, (found.first_violation, found.missed)


@pytest.mark.usefixtures("one_plant")
def test_a_leaky_recipe_is_told_where_its_leak_enters(tools: tuple[Tokenizer, Bonded]) -> None:
    tokenizer, annotator = tools
    model = randomised(Decoder(view_config(("dense", "pos")), tokenizer.size), 0)
    documents = random_documents(tokenizer, 4, STORIES)
    found = leaktest(
        model, [replace(annotator, annotator=WholeWordTags(annotator.annotator))] * 4, tokenizer, documents, length=64
    )
    assert not found.passed
    assert found.first_violation is not None
    assert "input_tag at piece" in found.first_violation
    assert found.max_prefix_change > 1e-6


def test_a_test_that_misses_a_planted_leak_does_not_pass(
    tools: tuple[Tokenizer, Bonded], monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer, annotator = tools
    monkeypatch.setattr(tested, "PLANTED", {"no leak at all": Plant(entered=nullcontext)})
    model = randomised(Decoder(view_config(("dense", "sentence")), tokenizer.size), 0)
    found = leaktest(model, annotator, tokenizer, random_documents(tokenizer, 2, STORIES), cuts=1, length=40)
    assert found.leak_free
    assert found.missed == ("no leak at all",)
    assert not found.passed


def test_random_documents_are_of_all_sorts_and_the_same_for_a_seed(tools: tuple[Tokenizer, Bonded]) -> None:
    tokenizer, _ = tools
    one, other = (random_documents(tokenizer, 9, STORIES, seed=3) for _ in range(2))
    for mine, yours in zip(one, other, strict=True):
        np.testing.assert_array_equal(mine, yours)
        assert mine[0] == tokenizer.begin
        assert mine.dtype == np.int32
    assert not np.array_equal(one[1], random_documents(tokenizer, 9, STORIES, seed=4)[1])
