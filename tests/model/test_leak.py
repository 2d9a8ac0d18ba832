"""Law 1 at the level of logits: honest annotators pass, planted leaks are caught where they enter."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from model.config import ModelConfig
from model.evaluate.leak import Annotator, LeakResult, WholeWordTags, measure_leak, randomised
from model.evaluate.planted import Leaky, cap_per_key, content_seed, full_tag_early, length_told, next_sentence
from model.transformer import Decoder
from pipeline.pieces import Tokenizer
from pipeline.prefix import Attributes, PrefixAnnotator
from tests.model.tiny_cache import small_tokenizer
from tests.model.toy import VOCABULARY, ToyAnnotator, toy_document

STOPS = [2, 7, 12, 22]
"""Pieces of the toy annotator that are full stops."""

VIEWS = ("dense", "sentence", "pos & sentences(2)", "window(3) | pos")


def leak_of(annotator: Annotator, heads: tuple[str, ...] = VIEWS, long_words: bool = False) -> LeakResult:
    """The measurement on a decoder with random weights, over three documents."""
    config = ModelConfig(layers=2, dim=32, heads=4, views=heads, tags=True)
    decoder = randomised(Decoder(config, VOCABULARY), seed=0)
    documents = [toy_document(80, seed, long_words) for seed in range(3)]
    return measure_leak(decoder, annotator, documents, closers=STOPS, cuts=8, length=64)


def closed_too_early(_ids: NDArray[np.int32], honest: Attributes) -> Attributes:
    """A word counts as closed when it has begun."""
    return replace(honest, closed_word=honest.last_word + 1)


def test_an_honest_annotator_leaks_nothing() -> None:
    result = leak_of(ToyAnnotator())
    assert result == LeakResult(leak_free=True, max_change=result.max_change, cuts=24, first_violation=None)
    assert result.max_change < 1e-12


def test_long_words_leak_nothing_either() -> None:
    assert leak_of(ToyAnnotator(), long_words=True).leak_free


@pytest.mark.parametrize(
    ("annotator", "said"),
    [
        (WholeWordTags(ToyAnnotator()), "input_tag at piece"),
        (Leaky(ToyAnnotator(), next_sentence), "sentence_start at piece"),
        (Leaky(ToyAnnotator(), closed_too_early), "key_tag at piece"),
        (Leaky(ToyAnnotator(), length_told), "input_tag at piece"),
        (Leaky(ToyAnnotator(), content_seed), "sentence_start at piece"),
    ],
    ids=["whole-word tag", "next sentence", "closed too early", "length", "content seed"],
)
def test_planted_leaks_are_caught_as_attributes_and_in_the_logits(annotator: Annotator, said: str) -> None:
    # Long words, since within 16 pieces anchors show an open word whatever its tag.
    result = leak_of(annotator, long_words=isinstance(annotator, Leaky) and annotator.change is closed_too_early)
    assert not result.leak_free
    assert result.first_violation is not None
    assert said in result.first_violation
    assert result.max_change > 1e-6


def test_a_mask_that_shows_full_tags_too_early_is_caught_at_its_keys() -> None:
    with full_tag_early():
        result = leak_of(ToyAnnotator(), heads=("pos",), long_words=True)
    assert result.first_violation is not None
    assert "set of visible keys" in result.first_violation
    assert "'pos'" in result.first_violation
    assert result.max_change > 1e-6


def test_a_cap_per_key_is_caught_at_its_keys() -> None:
    with cap_per_key():
        result = leak_of(ToyAnnotator(), heads=("pos",))
    assert result.first_violation is not None
    assert "set of visible keys" in result.first_violation
    assert result.max_change > 1e-6


def test_a_model_that_reads_ahead_is_caught_in_its_logits() -> None:
    config = ModelConfig(layers=1, dim=16, heads=2)
    decoder = randomised(Decoder(config, VOCABULARY), seed=0)
    decoder.norm.register_forward_hook(lambda _module, _inputs, x_BNM: x_BNM + 1e-5 * x_BNM.roll(-1, dims=1))
    result = measure_leak(decoder, ToyAnnotator(), [toy_document(30, 0)])
    assert result.first_violation is not None
    assert "set of logits at piece" in result.first_violation


def test_a_cache_that_stores_other_attributes_is_caught() -> None:
    decoder = randomised(Decoder(ModelConfig(layers=1, dim=16, heads=2), VOCABULARY), seed=0)
    ids = toy_document(40, 0)
    honest = ToyAnnotator().annotate(ids)
    stored = {
        name: getattr(honest, name).copy() for name in ("first_word", "last_word", "closed_word", "sentence_start")
    }
    stored |= {"input_tag": honest.input_tag.copy(), "key_tag": honest.key_tag.copy()}
    measure = partial(measure_leak, decoder, ToyAnnotator(), [ids], stored=[stored], length=30)
    assert measure().leak_free
    stored["input_tag"][20] += 1
    assert measure().first_violation == "document 0: the cache stores another input_tag at piece 20"


def test_each_document_may_have_an_annotator_of_its_own() -> None:
    decoder = randomised(Decoder(ModelConfig(layers=1, dim=16, heads=2, tags=True), VOCABULARY), seed=0)
    documents = [toy_document(60, seed) for seed in range(3)]
    honest = ToyAnnotator()
    assert measure_leak(decoder, [honest] * 3, documents).leak_free
    mixed = measure_leak(decoder, [honest, WholeWordTags(honest), honest], documents, cuts=20)
    assert mixed.first_violation is not None
    assert mixed.first_violation.startswith("document 1, ")


TEXTS = (
    "“Unbelievable,” said Zoë… The naïve 🙂 engineer re-opened gate no. 3. It didn’t help!\n\nNobody knew why.",
    "In 1999 Dr. Müller’s counterexample — 12,000 lines — was refuted. Was it? (Perhaps.)\n“No.”",
)


def test_the_shipped_annotator_leaks_nothing_inside_words_and_characters(tmp_path: Path) -> None:
    # A tokenizer of single bytes and few merges: nearly every cut is inside a word, many inside a character.
    file = tmp_path / "tokenizer.json"
    file.write_text(small_tokenizer(), encoding="utf-8")
    tokenizer = Tokenizer.load(file)
    annotator = PrefixAnnotator.load(None, tokenizer.piece_bytes, tokenizer.begin, tokenizer.end)
    decoder = randomised(
        Decoder(ModelConfig(layers=2, dim=32, heads=4, views=VIEWS, tags=True), tokenizer.size), seed=0
    )
    documents = [tokenizer.document(text) for text in TEXTS]
    closers = tokenizer.encode('."\n”').tolist()
    honest = measure_leak(decoder, annotator, documents, closers=closers, cuts=200, length=120)
    assert honest.leak_free, honest.first_violation
    assert honest.cuts > 150
    leaky = measure_leak(decoder, WholeWordTags(annotator), documents, closers=closers, length=120)
    assert not leaky.leak_free
    assert leaky.max_change > 1e-6
