"""Controls: the same shape, no content; law 1 holds as before, and a document's columns are its own."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.columns import ATTRIBUTES, Split, read_layer, split_of
from model.config import ModelConfig, Recipe, TrainConfig
from model.context import NO_TAG
from model.controls import CONTROLS, Controlled, document_seed, with_control
from model.controls.other import donors_of, other_tags, other_tags_slow
from model.controls.permuted import BAND, permutation, permuted_tags, tables, types_so_far, types_so_far_slow, word_ends
from model.controls.sentences import random_sentences, random_sentences_slow, sentence_lengths
from model.controls.words import Columns, document_columns, sentence_bases, words_of
from model.inputs import recipe_annotators, recipe_splits
from model.train import train
from pipeline.chance import draws, mix
from pipeline.pieces import Tokenizer
from pipeline.prefix import Attributes, PrefixAnnotator
from pipeline.prefix.law import prefix_violations
from tests.model.tiny_cache import STORIES, small_tokenizer, write_cache
from tests.model.toy import VOCABULARY, ToyAnnotator, toy_document, toy_split

REAL = [name for name in CONTROLS if name != "none"]
LENGTHS = (300, 1, 2, 63, 200, 128, 5, 40)


def two_splits() -> dict[str, Split]:
    return {"train": toy_split(LENGTHS), "validation": toy_split([150, 3, 77], seed=50), "test": toy_split([])}


def columns_equal(one: Mapping[str, NDArray[np.int32]], other: Mapping[str, NDArray[np.int32]]) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in ATTRIBUTES)


@pytest.mark.parametrize("name", REAL)
def test_a_control_changes_its_columns_alone_and_keeps_their_types(name: str) -> None:
    honest, made = two_splits(), with_control(two_splits(), name)
    changing = {"random-sentences": {"sentence_start"}}.get(name, {"input_tag", "key_tag"})
    for each in honest:
        for column, array in made[each].columns.items():
            assert array.dtype == honest[each].columns[column].dtype
            assert np.array_equal(array, honest[each].columns[column]) == (column not in changing or each == "test")
    for column in changing - {"sentence_start"}:
        assert np.array_equal(made["train"].columns[column] == NO_TAG, honest["train"].columns[column] == NO_TAG)


def test_no_control_changes_nothing() -> None:
    honest, made = two_splits(), with_control(two_splits(), "none")
    assert all(columns_equal(made[name].columns, honest[name].columns) for name in honest)


@pytest.mark.parametrize("name", REAL)
def test_a_document_gets_the_same_whatever_stands_beside_it(name: str) -> None:
    splits = two_splits()
    alone = {name: split_of_one(splits["validation"], 2), "train": splits["train"]}
    made, single = with_control(splits, name)["validation"], with_control(alone, name)[name]
    assert single.documents == (made.documents[2],)
    assert columns_equal(document_columns(made, 2), single.columns)
    again = with_control(two_splits(), name)["validation"]
    assert columns_equal(made.columns, again.columns)


def split_of_one(split: Split, number: int) -> Split:
    columns = document_columns(split, number)
    attributes = Attributes(**{name: columns[name] for name in ATTRIBUTES})
    return split_of({split.documents[number]: (columns["pieces"], attributes)})


@pytest.mark.parametrize("name", ["random-sentences", "other-tags"])
def test_draws_follow_the_document_s_id_and_not_its_content(name: str) -> None:
    ids = toy_document(200, 3)
    split = split_of({each: (ids, ToyAnnotator().annotate(ids)) for each in ("a", "b")})
    made = with_control({"train": toy_split(LENGTHS), "test": split}, name)["test"]
    assert not columns_equal(document_columns(made, 0), document_columns(made, 1))


@settings(deadline=None)
@given(st.sampled_from(REAL), st.integers(0, 5), st.integers(0, 149), st.integers(0, 40), st.booleans())
def test_a_piece_is_told_nothing_of_later_ones(name: str, seed: int, cut: int, rest: int, long_words: bool) -> None:
    annotator = Controlled(ToyAnnotator(), CONTROLS[name](TRAIN), seed=seed)
    replacement = np.random.default_rng(seed).integers(VOCABULARY, size=rest).astype(np.int32)
    assert prefix_violations(annotator.annotate, toy_document(150, seed, long_words), cut, replacement) == []


TRAIN = toy_split(LENGTHS)


def test_shuffling_a_document_s_own_sentences_would_tell_of_the_future() -> None:
    def own_lengths(seed: int, columns: Columns) -> dict[str, NDArray[np.int32]]:
        attributes = Attributes(**{name: columns[name] for name in ATTRIBUTES})
        return random_sentences(split_of({"": (columns["pieces"], attributes)}))(seed, columns)

    ids, annotator = toy_document(150, 0), Controlled(ToyAnnotator(), own_lengths, seed=0)
    assert any("sentence_start" in said for said in prefix_violations(annotator.annotate, ids, 90, ids[:0]))


@pytest.mark.parametrize("name", REAL)
def test_the_shipped_annotator_under_control_tells_nothing_of_later_pieces(name: str, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(small_tokenizer(), encoding="utf-8")
    tokenizer = Tokenizer.load(tmp_path / "tokenizer.json")
    shipped = PrefixAnnotator.load(None, tokenizer.piece_bytes, tokenizer.begin, tokenizer.end)
    documents = {str(at): tokenizer.document(text + " naïve 🙂 café…”") for at, text in enumerate(STORIES)}
    change = CONTROLS[name](split_of({at: (ids, shipped.annotate(ids)) for at, ids in documents.items()}))
    random = np.random.default_rng(0)
    for at, ids in documents.items():
        annotator = Controlled(shipped, change, document_seed(at))
        for cut in range(0, len(ids), 3):
            replacement = random.integers(tokenizer.size, size=20).astype(np.int32)
            assert prefix_violations(annotator.annotate, ids, cut, replacement) == []


def test_random_sentences_are_those_of_the_definition() -> None:
    lengths, change = sentence_lengths(TRAIN), random_sentences(TRAIN)
    for number, name in enumerate(TRAIN.documents):
        columns, seed = document_columns(TRAIN, number), document_seed(name)
        assert change(seed, columns)["sentence_start"].tolist() == random_sentences_slow(lengths, seed, columns)


def test_random_sentences_are_as_long_as_true_ones() -> None:
    splits = {"train": toy_split([4000] * 6)}
    true, made = sentence_lengths(splits["train"]), sentence_lengths(with_control(splits, "random-sentences")["train"])
    assert abs(len(made) / len(true) - 1) < 0.1  # a toy piece of two words may pass a sentence of one
    marks = (0.1, 0.25, 0.5, 0.75, 0.9)
    assert np.abs(np.quantile(made, marks) / np.quantile(true, marks) - 1).max() < 0.26  # of lengths 1, 2, 3, 4 …
    assert abs(made.mean() / true.mean() - 1) < 0.1


def test_lengths_of_sentences_are_counted_in_words() -> None:
    # begin, word, full stop, word, space, full stop, word: three sentences, the first with begin.
    ids = np.array([0, 6, 2, 11, 5, 2, 6], np.int32)
    split = split_of({"a": (ids, ToyAnnotator().annotate(ids))})
    assert split.columns["sentence_start"].tolist() == [0, 0, 0, 3, 3, 3, 6]
    assert sentence_bases(split.columns).tolist() == [0, 2, 4]
    assert sentence_lengths(split).tolist() == [1, 2, 2]


def test_permuted_tags_follow_the_rolling_hash_of_the_definition() -> None:
    for number in range(len(TRAIN.documents)):
        columns = document_columns(TRAIN, number)
        assert types_so_far(columns).tolist() == types_so_far_slow(columns)


def test_permuted_tags_are_one_a_string_and_one_a_word() -> None:
    """From the definition: strings by their pieces, the most frequent tag of each, another type's told."""
    splits = two_splits()
    made = with_control(splits, "permuted-tags")
    told: dict[tuple[str, tuple[int, ...]], set[int]] = {}
    honest: dict[tuple[int, ...], list[int]] = {}
    for split, name in ((splits[each], each) for each in ("train", "validation")):
        for number in range(len(split.documents)):
            columns, changed = document_columns(split, number), document_columns(made[name], number)
            words = strings(columns)
            ends = word_ends(columns)
            for t in np.flatnonzero(columns["input_tag"] != NO_TAG):
                told.setdefault(("input", words[t]), set()).add(int(changed["input_tag"][t]))
                if name == "train":
                    honest.setdefault(words[t], []).append(int(columns["input_tag"][t]))
            for t in np.flatnonzero((columns["key_tag"] != NO_TAG) & (columns["last_word"] >= 0)):
                told.setdefault(("key", words[ends[t]]), set()).add(int(changed["key_tag"][t]))
    assert {len(tags) for tags in told.values()} == {1}
    so_far, _ = tables(splits["train"])
    assert len(so_far.types) == len(honest)
    likely = sorted(int(np.bincount(tags).argmax()) for tags in honest.values())
    assert sorted(so_far.given.tolist()) == likely  # the same tags, on other types


def strings(columns: Mapping[str, NDArray[np.int32]]) -> list[tuple[int, ...]]:
    """The pieces of each piece's last word up to it."""
    found: list[tuple[int, ...]] = []
    for t, (last, piece) in enumerate(zip(columns["last_word"].tolist(), columns["pieces"].tolist(), strict=True)):
        before = found[-1] if t and columns["last_word"][t - 1] == last else ()
        found.append((*before, piece))
    return found


@given(st.integers(0, 400), st.integers(0, 9))
def test_a_type_gets_the_tag_of_another_of_its_band(types: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    frequency, hashes = random.integers(1, 50, size=types), mix(np.arange(types, dtype=np.uint64))
    donor = permutation(frequency, hashes)
    assert sorted(donor.tolist()) == list(range(types))
    rank = np.empty(types, np.int64)
    rank[np.lexsort((hashes, -frequency))] = np.arange(types)
    moved = donor != np.arange(types)
    assert (~moved).sum() <= 1  # a last band of one
    assert (np.abs(rank - rank[donor]) < BAND).all()
    assert (rank[donor] <= 2 * rank + 1).all()
    assert (rank <= 2 * rank[donor] + 1).all()


def zipf_split(seed: int, documents: int = 20) -> Split:
    """Words of one piece with a tag each, frequent ones first, as in a text: shares that can be compared."""
    random, kept = np.random.default_rng(seed), {}
    odds = 1 / (np.arange(2000) + 2.5)
    for number in range(documents):
        ids = random.choice(2000, size=1000, p=odds / odds.sum()).astype(np.int32)
        place = np.arange(len(ids), dtype=np.int32)
        tag = (mix(ids.astype(np.uint64)) % np.uint64(6)).astype(np.uint8)
        starts = np.maximum.accumulate(np.where(random.random(len(ids)) < 0.06, place, 0)).astype(np.int32)
        kept[f"z{number}"] = (
            ids,
            Attributes(
                first_word=place, last_word=place, closed_word=place, sentence_start=starts, input_tag=tag, key_tag=tag
            ),
        )
    return split_of(kept)


@pytest.mark.parametrize(("name", "far"), [("permuted-tags", 0.1), ("other-tags", 0.02)])
def test_tags_keep_their_shares_and_lose_what_they_say(name: str, far: float) -> None:
    splits = {"train": zipf_split(0), "validation": zipf_split(1)}
    made = with_control(splits, name)
    for each, split in splits.items():
        for column in ("input_tag", "key_tag"):
            one, other = split.columns[column], made[each].columns[column]
            shares = [np.bincount(tags, minlength=17) / len(tags) for tags in (one, other)]
            assert np.abs(shares[0] - shares[1]).sum() / 2 < far
            assert (one == other).mean() < 0.5


def test_other_tags_are_those_of_the_definition() -> None:
    donors, change = donors_of(TRAIN), other_tags(TRAIN)
    for split in (TRAIN, toy_split([90, 30], seed=9)):
        for number, name in enumerate(split.documents):
            columns, seed = document_columns(split, number), document_seed(name)
            slow = np.array(other_tags_slow(donors, seed, columns))
            made = change(seed, columns)
            for column in ("input_tag", "key_tag"):
                assert made[column].tolist() == np.where(columns[column] == NO_TAG, NO_TAG, slow).tolist()


def test_donors_are_the_sentences_of_the_training_split() -> None:
    ids = np.array([0, 6, 2, 11, 5, 2, 6, 1], np.int32)
    donors = donors_of(split_of({"a": (ids, ToyAnnotator().annotate(ids))}))
    assert donors.tags.tolist() == [6, 2, 11, 2, 6]
    assert donors.offset.tolist() == [0, 2, 4, 5]


@pytest.mark.parametrize("name", REAL)
def test_a_training_split_without_a_word_gives_a_control_all_the_same(name: str) -> None:
    made = with_control({"train": toy_split([1, 2]), "test": toy_split([50])}, name)
    assert len(made["test"].columns["input_tag"]) == 50
    with_control({"train": toy_split([]), "test": toy_split([50])}, name)


def test_draws_do_not_depend_on_how_many_there_are() -> None:
    assert draws(7, np.arange(10)).tolist() == draws(7, np.arange(100)).tolist()[:10]
    assert draws(7, np.arange(10)).tolist() != draws(8, np.arange(10)).tolist()
    assert document_seed("a") != document_seed("b")
    even = draws(2**64 - 1, np.arange(30_000)) % np.uint64(10)
    assert np.abs(np.bincount(even.astype(np.int64)) / 3000 - 1).max() < 0.1


@pytest.mark.parametrize("name", REAL)
def test_a_recipe_under_control_trains_and_is_measured_leak_free(name: str, tmp_path: Path) -> None:
    cache = write_cache(tmp_path / "cache")
    recipe = Recipe(
        name=f"small-{name}",
        control=name,
        model=ModelConfig(layers=1, dim=32, heads=2, views=("dense", "pos & sentence"), tags=True),
        train=TrainConfig(steps=2, rows=2, length=32, warmup=1),
    )
    result = train(cache, recipe, tmp_path / "run", threads=1)
    assert result.leak_free, result.first_violation
    layer = read_layer(cache)
    splits = recipe_splits(layer, recipe)
    assert not columns_equal(splits["train"].columns, layer.splits["train"].columns)
    tokenizer = Tokenizer.load(layer.tokenizer)
    annotator = PrefixAnnotator.load(layer.annotator, tokenizer.piece_bytes, tokenizer.begin, tokenizer.end)
    names = splits["validation"].documents
    annotators = recipe_annotators(layer, recipe, annotator, names)
    assert list(annotators) == list(names)
    stored = document_columns(splits["validation"], 0)
    rebuilt = annotators[names[0]].annotate(stored["pieces"])
    assert columns_equal(stored, {column: getattr(rebuilt, column) for column in ATTRIBUTES})
    honest = recipe_annotators(layer, replace(recipe, control="none"), annotator, names)
    assert set(honest.values()) == {annotator}


def test_whole_types_are_those_of_a_word_s_last_piece() -> None:
    columns = document_columns(TRAIN, 0)
    ends = word_ends(columns)
    assert words_of(columns) == columns["last_word"].max() + 1
    for t in np.flatnonzero(columns["input_tag"] != NO_TAG):
        same = np.flatnonzero((columns["last_word"] == columns["last_word"][t]) & (columns["input_tag"] != NO_TAG))
        assert ends[t] == same[-1]
    change = permuted_tags(TRAIN)(0, columns)
    closed = columns["key_tag"] != NO_TAG
    assert np.array_equal(change["key_tag"][closed], change["key_tag"][ends][closed])
