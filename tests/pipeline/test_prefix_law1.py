"""Law 1 for the annotator: nothing at a piece tells of later pieces; and what does tell is found by the same check."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lexicons.upos import UPOS
from pipeline.pieces import Tokenizer
from pipeline.prefix import NO_TAG, Attributes, PrefixAnnotator
from pipeline.prefix.law import prefix_violations

Ids = NDArray[np.int32]
Annotate = Callable[[Ids], Attributes]

STORY = (
    "“Mr. Smith isn’t here,” she said. ‘Try… or go!’ He paid $3.50 at 5 p.m. The U.S. Navy came\n"
    'unhappily; naïve cafés 👩‍👩‍👧. \n \n = Head = \n \n Then <unk> sold 10 @,@ 000 " re @-@ made . " \nA last one'
    " cannot, won't 'such 'tis: 12.5k, 3. See www.a.org. or me@b.uk, http://c.d/e?f=g!"
)
OTHER = "In the beginning, there was no punctuation at all; then came 1,000 commas. (Nobody knew why.)\n\n" * 5
CLOSERS = (
    ".",
    "\n",
    "\n\n",
    '"',
    "”",
    "'",
    " ",
    "s",
    "'s",
    ". The",
    ">",
    "@",
    "5",
    "/",
    "-",
    "’t",
    "t",
    "not",
    "pm",
    ":",
)

texts = st.lists(
    st.sampled_from(
        [
            *CLOSERS,
            *STORY.split(" "),
            "<unk",
            "@-",
            " @",
            "U.S",
            "e\u0301",
            "é",
            "中",
            "don",
            "n't",
            "'so",
            "canno",
            "5p",
        ]
    )
    | st.text(max_size=4),
    max_size=20,
).map("".join)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.load()


@pytest.fixture(scope="module")
def annotator(tokenizer: Tokenizer) -> PrefixAnnotator:
    return PrefixAnnotator.load(None, tokenizer.piece_bytes, tokenizer.begin, tokenizer.end)


def byte_ids(text: str) -> Ids:
    """One piece a byte, so that cuts fall inside characters; 256 begins, 257 ends."""
    return np.array([256, *text.encode(), 257], dtype=np.int32)


@pytest.fixture(scope="module")
def byte_annotator() -> PrefixAnnotator:
    return PrefixAnnotator.load(None, [*(bytes([byte]) for byte in range(256)), b"", b""], 256, 257)


def replacements(encode: Callable[[str], Ids], size: int, end: int, cut: int) -> list[Ids]:
    """What may stand after a cut: nothing, the end, a closer, another document, random pieces."""
    random = np.random.default_rng(cut).integers(0, size, 40).astype(np.int32)
    nothing, ended = np.empty(0, np.int32), np.array([end], dtype=np.int32)
    return [nothing, ended, encode(CLOSERS[cut % len(CLOSERS)]), encode(OTHER), random]


def violations(annotate: Annotate, ids: Ids, tokenizer: Tokenizer) -> Iterator[str]:
    """Of every cut of a document."""
    for cut in range(len(ids)):
        for replacement in replacements(tokenizer.encode, tokenizer.size, tokenizer.end, cut):
            yield from prefix_violations(annotate, ids, cut, replacement)


def test_a_story_cut_anywhere(annotator: PrefixAnnotator, tokenizer: Tokenizer) -> None:
    assert list(violations(annotator.annotate, tokenizer.document(STORY), tokenizer)) == []


def test_a_story_cut_inside_characters(byte_annotator: PrefixAnnotator) -> None:
    ids = byte_ids(STORY)
    for cut in range(len(ids)):
        for replacement in replacements(lambda text: byte_ids(text)[1:-1], 258, 257, cut):
            assert prefix_violations(byte_annotator.annotate, ids, cut, replacement) == []


@pytest.mark.parametrize("closer", CLOSERS)
def test_every_closer_after_every_kind_of_cut(closer: str, annotator: PrefixAnnotator, tokenizer: Tokenizer) -> None:
    for text in (
        "end",
        "end.",
        "end. ",
        "Mr",
        "U.S.",
        "3",
        "3.",
        "don",
        "‘",
        '. "',
        "<unk",
        "10 @,",
        "\n",
        "x" * 256,
        "canno",
        "'d",
        "7:30p",
        "5,",
        "www",
        "http:",
        "a@b.",
        "a@b.c?",
    ):
        ids = tokenizer.document("So it was. " + text + " and Then")
        for cut in range(len(ids) - 4, len(ids)):
            assert prefix_violations(annotator.annotate, ids, cut, tokenizer.encode(closer)) == []


@settings(deadline=None, max_examples=100)
@given(text=texts, following=texts, data=st.data())
def test_any_text_cut_anywhere(
    text: str, following: str, data: st.DataObject, annotator: PrefixAnnotator, tokenizer: Tokenizer
) -> None:
    ids = tokenizer.document(text)
    cut = data.draw(st.integers(0, len(ids) - 1))
    assert prefix_violations(annotator.annotate, ids, cut, tokenizer.encode(following)) == []


@settings(deadline=None, max_examples=100)
@given(ids=st.lists(st.integers(0, 257), min_size=1, max_size=60), following=st.lists(st.integers(0, 257), max_size=9))
def test_any_bytes_cut_anywhere(ids: list[int], following: list[int], byte_annotator: PrefixAnnotator) -> None:
    for cut in range(len(ids)):
        array, replacement = np.array(ids, dtype=np.int32), np.array(following, dtype=np.int32)
        assert prefix_violations(byte_annotator.annotate, array, cut, replacement) == []


# Leaks, each planted on purpose


def whole_word_tag(annotate: Annotate) -> Annotate:
    """The leak of the pilot: the first piece of a word carries the tag of the whole."""

    def leaky(ids: Ids) -> Attributes:
        honest = annotate(ids)
        return replace(honest, input_tag=np.where(honest.key_tag != NO_TAG, honest.key_tag, honest.input_tag))

    return leaky


def next_sentence_bit(annotate: Annotate) -> Annotate:
    """The sentence begins one piece before its first word is read."""

    def leaky(ids: Ids) -> Attributes:
        honest = annotate(ids)
        begins = np.append(np.diff(honest.sentence_start) > 0, False)
        early = np.where(begins, np.arange(len(ids)), honest.sentence_start)
        return replace(honest, sentence_start=np.maximum.accumulate(early).astype(np.int32))

    return leaky


def closed_with_its_last_piece(annotate: Annotate) -> Annotate:
    """A word counts as closed from its last piece on, not from the piece that proves it."""

    def leaky(ids: Ids) -> Attributes:
        honest = annotate(ids)
        return replace(honest, closed_word=np.append(honest.closed_word[1:], honest.closed_word[-1:]))

    return leaky


def shown_while_open(annotate: Annotate) -> Annotate:
    """Every word is visible as a key from its first piece on."""

    def leaky(ids: Ids) -> Attributes:
        honest = annotate(ids)
        return replace(honest, closed_word=np.maximum.accumulate(honest.last_word + 1).astype(np.int32))

    return leaky


def closed_by_the_end_of_input(annotate: Annotate, end: int) -> Annotate:
    """Where the pieces stop, the word is taken to stop."""

    def leaky(ids: Ids) -> Attributes:
        honest, ended = annotate(ids), annotate(np.append(ids, end).astype(np.int32))
        closed_word = np.append(honest.closed_word[:-1], ended.closed_word[-1:])
        return replace(honest, closed_word=closed_word, key_tag=ended.key_tag[:-1])

    return leaky


def counted_from_the_end(annotate: Annotate) -> Annotate:
    """A cap that depends on the length of the input."""

    def leaky(ids: Ids) -> Attributes:
        honest = annotate(ids)
        return replace(honest, sentence_start=np.maximum(honest.sentence_start, len(ids) - 64).astype(np.int32))

    return leaky


LEAKS: dict[str, Callable[[Annotate], Annotate]] = {
    "whole-word tag": whole_word_tag,
    "next-sentence bit": next_sentence_bit,
    "closed with its last piece": closed_with_its_last_piece,
    "shown while open": shown_while_open,
    "closed by the end of input": lambda annotate: closed_by_the_end_of_input(annotate, end=1),
    "counted from the end": counted_from_the_end,
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_planted_leak_is_found(leak: str, annotator: PrefixAnnotator, tokenizer: Tokenizer) -> None:
    found = violations(LEAKS[leak](annotator.annotate), tokenizer.document(STORY), tokenizer)
    assert next(found, None), f"the leak {leak!r} went through"


def test_a_boundary_that_moves_back_is_found(annotator: PrefixAnnotator, tokenizer: Tokenizer) -> None:
    """Masks compare with closed_word and sentence_start, so neither may ever decrease."""
    ids = tokenizer.document("One. Two. Three.")

    def leaky(ids: Ids) -> Attributes:
        honest = annotator.annotate(ids)
        return replace(honest, sentence_start=honest.sentence_start[::-1])

    assert any("decreases" in said for said in prefix_violations(leaky, ids, len(ids) - 1, ids[:0]))


def test_a_violation_names_column_and_piece(annotator: PrefixAnnotator, tokenizer: Tokenizer) -> None:
    ids = np.concatenate([tokenizer.document("It was un")[:-1], tokenizer.encode("believably so")])
    cut = next(place for place, piece in enumerate(ids) if tokenizer.piece_bytes[piece] == b" un")
    said = prefix_violations(whole_word_tag(annotator.annotate), ids, cut, tokenizer.encode("expected ones"))
    adverb, adjective = UPOS.index("ADV"), UPOS.index("ADJ")
    assert f"input_tag[{cut}] is {adverb}, but {adjective} when later pieces differ" in said
