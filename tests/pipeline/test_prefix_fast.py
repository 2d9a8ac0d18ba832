"""Law 2 for the annotator: a document or block at a time, it says what it says piece by piece."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tokenizers import Tokenizer as HFTokenizer
from tokenizers import decoders, models, pre_tokenizers

from pipeline.pieces import Tokenizer
from pipeline.prefix import NO_TAG, Attributes, PrefixAnnotator, PrefixState
from pipeline.prefix.characters import BREAK_CODE, decode, read_bytes

PHRASES = [
    "Mr. Smith", "U.S. Navy", "e.g. this", "at 5 p.m. The", "I. Then", "don't", "DON'T", "'Hello'", "O’Brien’s",
    "“Quoted.” She", '" Quoted . " Then', '."', "3.14", "1,000,000", "10:30", ".5", " .5", "...", "… And", "--", "?!",
    "<unk>", " <unk> ", "a<b>", "@-@", " @-@ ", " @.@ ", "@,@", "0 @.@ 7", " = Head = \n", "\n", " \n \n ", "\n\n",
    "end. Next", "end. next", "end.Next", ". )", ".) And", "!” “Yes", "etc. The", "etc., the", "x" * 300, "ab " * 300,
    "a. " * 90, "don't", "Can’t", "cannot", "CANNOTS", "gonna", "dont'", "'don't", "'such", "'tis", "''so", "'", "n't",
    "3.", "3,5", "10:", "5pm", "7:30PM", "10km", "9/", "/11", "713-853-3989", "5-10", "1234-5", "12.5k.", "3...", "2?",
    "http://a.b/c?d=e#f", "https:", "ftp://", "://", "www.", "www.a.org.", "a@b", "@", "@c.d", "a.b@c-d.e_f!",
    "mail@x.uk,", "http://" + "a/don't." * 50, "x" * 250 + "@" + "y." * 20, "5" * 254 + ".", "." * 255 + "don't",
    "www." + "b" * 300 + "@c", "e-mail", "non-", "well-known", "Non-U.S.", ".doc", "a.com", "AT&T", "A&", "?!", ":-)",
    ":)", ";-", "d'" + "x" * 300, "->", ".?", "Mr.?", "10:30 PM Then", "x 2. Then", ". 2. Then", "a@b> Then",
    "é", "e\u0301", "中文字", "👩‍👩‍👧", "🇫🇷", "\ufffd", "\x00", "\u2028", "\u00a0", "İSTANBUL", "Ǆ", "ß",
]  # fmt: skip

texts = st.lists(
    st.sampled_from(PHRASES) | st.text(max_size=8) | st.sampled_from(" .'\"\n@<>aA1,:-!/wn?&"), max_size=25
).map("".join)


def byte_tokenizer() -> tuple[tuple[bytes, ...], int, int]:
    """Every byte a piece, then a few longer ones that cut characters; 300 begins, 301 ends."""
    longer = [
        b"",
        b" the",
        b"\xe2\x80",
        b"\x9d She",
        b"\xf0\x9f\x91",
        b". ",
        b"\n\n",
        b"a \xc3",
        b"\xff\xfe",
        b" Mr",
        b"   ",
    ]
    filled = [bytes([byte]) for byte in range(256)] + longer
    return tuple(filled + [b"x"] * (300 - len(filled)) + [b"", b""]), 300, 301


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.load()


@pytest.fixture(scope="module")
def annotator(tokenizer: Tokenizer) -> PrefixAnnotator:
    return PrefixAnnotator.load(None, tokenizer.piece_bytes, tokenizer.begin, tokenizer.end)


@pytest.fixture(scope="module")
def byte_annotator() -> PrefixAnnotator:
    return PrefixAnnotator.load(None, *byte_tokenizer())


def stepped(annotator: PrefixAnnotator, ids: NDArray[np.int32]) -> Attributes:
    """The document's attributes from single steps; key tags from the words that later steps close."""
    state, rows, tags = annotator.start(), [], list[int]()
    for piece in ids.tolist():
        state, row = annotator.step(PrefixState.from_json(state.to_json()), piece)  # all that counts survives JSON
        rows.append(row)
        tags += row.closed_tags
        assert row.closed_word == len(tags)

    def column(name: str) -> NDArray[np.int32]:
        return np.array([getattr(row, name) for row in rows], dtype=np.int32)

    key_tag = [tags[row.last_word] if 0 <= row.last_word < len(tags) else NO_TAG for row in rows]
    return Attributes(
        first_word=column("first_word"),
        last_word=column("last_word"),
        closed_word=column("closed_word"),
        sentence_start=column("sentence_start"),
        input_tag=column("input_tag").astype(np.uint8),
        key_tag=np.array(key_tag, dtype=np.uint8),
    )


def assert_equal(one: Attributes, other: Attributes) -> None:
    for column in fields(Attributes):
        ours, theirs = getattr(one, column.name), getattr(other, column.name)
        assert ours.dtype == theirs.dtype, column.name
        np.testing.assert_array_equal(ours, theirs, err_msg=column.name)


@settings(deadline=None, max_examples=300)
@given(text=texts)
def test_text_read_at_once_equals_text_read_piece_by_piece(
    text: str, annotator: PrefixAnnotator, tokenizer: Tokenizer
) -> None:
    ids = tokenizer.document(text)
    assert_equal(annotator.annotate(ids), stepped(annotator, ids))


@settings(deadline=None, max_examples=300)
@given(text=texts)
def test_bytes_as_pieces(text: str, byte_annotator: PrefixAnnotator) -> None:
    ids = np.array([300, *text.encode(), 301], dtype=np.int32)
    assert_equal(byte_annotator.annotate(ids), stepped(byte_annotator, ids))


@settings(deadline=None, max_examples=300)
@given(
    ids=st.lists(
        st.integers(0, 266) | st.sampled_from([300, 301, 257, 258, 259, 260, 226, 128, 46, 32, 65]), max_size=60
    )
)
def test_pieces_that_are_no_text(ids: list[int], byte_annotator: PrefixAnnotator) -> None:
    array = np.array(ids, dtype=np.int32)
    assert_equal(byte_annotator.annotate(array), stepped(byte_annotator, array))


@settings(deadline=None, max_examples=100)
@given(seed=st.integers(0, 2**32 - 1))
def test_random_pieces(seed: int, annotator: PrefixAnnotator, tokenizer: Tokenizer) -> None:
    ids = np.random.default_rng(seed).integers(0, tokenizer.size, 200).astype(np.int32)
    assert_equal(annotator.annotate(ids), stepped(annotator, ids))


@settings(deadline=None, max_examples=200)
@given(text=texts, data=st.data())
def test_a_block_goes_on_from_the_state_before_it(
    text: str, data: st.DataObject, byte_annotator: PrefixAnnotator
) -> None:
    ids = np.array([300, *text.encode(), 301], dtype=np.int32)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(ids)), max_size=5)))
    whole, state, tags = byte_annotator.annotate(ids), byte_annotator.start(), list[int]()
    for begin, end in zip([0, *cuts], [*cuts, len(ids)], strict=True):
        stepwise = state
        for piece in ids[begin:end].tolist():
            stepwise, _ = byte_annotator.step(stepwise, piece)
        block = byte_annotator.annotate_block(ids[begin:end], state)
        assert block.state == stepwise
        state = PrefixState.from_json(block.state.to_json())
        tags += block.closed_tags.tolist()
        for column in fields(Attributes):
            ours, theirs = getattr(block.attributes, column.name), getattr(whole[begin:end], column.name)
            if column.name == "key_tag":  # a word that a later block closes has no tag yet
                open_here = block.attributes.last_word >= state.closed
                assert (ours[open_here] == NO_TAG).all()
                ours, theirs = ours[~open_here], theirs[~open_here]
            np.testing.assert_array_equal(ours, theirs, err_msg=column.name)
    known = whole.last_word[whole.key_tag != NO_TAG]
    assert [tags[word] for word in known] == whole.key_tag[whole.key_tag != NO_TAG].tolist()


@pytest.mark.parametrize(
    "text",
    [
        "One" + "\n" + " " * 30 + "\nTwo",  # the blank line begins before the tail
        "One." + " " * 30 + "Two",
        'He said "' + "so " * 12 + '. " Then',
        "x" * 250 + "." + "x" * 20,
        "a " * 250 + "b c d e f g h. I",
        '"' * 3 + " (" * 15 + "Then They",  # no letter for longer than the tail
    ],
)
def test_what_was_long_ago_is_carried(text: str, byte_annotator: PrefixAnnotator) -> None:
    ids = np.array([300, *text.encode(), 301], dtype=np.int32)
    whole = stepped(byte_annotator, ids)
    assert_equal(byte_annotator.annotate(ids), whole)
    for cut in range(len(ids)):
        state = byte_annotator.annotate_block(ids[:cut], byte_annotator.start()).state
        rest = byte_annotator.annotate_block(ids[cut:], state)
        for name in ("first_word", "last_word", "closed_word", "sentence_start", "input_tag"):
            np.testing.assert_array_equal(getattr(rest.attributes, name), getattr(whole, name)[cut:], err_msg=name)


def test_a_long_document_is_read_in_chunks(
    annotator: PrefixAnnotator, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = tokenizer.document("He said: “It’s 3.5 p.m., Mr. Smith.” Then\n\nthey left… " * 40)
    whole = annotator.annotate(ids)
    monkeypatch.setattr("pipeline.prefix.annotator.CHUNK", 7)
    assert_equal(annotator.annotate(ids), whole)


def test_state_stays_small(annotator: PrefixAnnotator, tokenizer: Tokenizer) -> None:
    """At most 256 characters of the open word, each at most 12 bytes in JSON."""
    for text in ("x" * 100_000, "👩" * 1_000, " " * 100_000, "\n" * 1_000, "a b. " * 10_000):
        ids = tokenizer.document(text)[:-1]
        assert len(annotator.annotate_block(ids, annotator.start()).state.to_json()) < 3_500


@settings(deadline=None, max_examples=500)
@given(data=st.binary(max_size=40) | texts.map(str.encode).map(lambda data: data[:50]))
@example(data=b"\xed\xa0\x80\xe0\x80\x80\xf4\x90\x80\x80\xc1\xbf\xf0\x9f\x91")
def test_characters_at_once_are_those_byte_by_byte(data: bytes) -> None:
    codes, complete, pending = list[int](), list[int](), b""
    for place in range(len(data)):
        text, pending = read_bytes(pending + data[place : place + 1])
        codes += [ord(char) for char in text]
        complete += [place] * len(text)
    read = decode(np.frombuffer(data, dtype=np.uint8), np.empty(0, np.int64))
    assert (read.code.tolist(), read.complete.tolist(), data[read.used :]) == (codes, complete, pending)
    whole = "".join(chr(code) for code in codes) + "\ufffd" * bool(pending)
    assert whole == data.decode(errors="replace")


def test_a_break_ends_a_broken_character() -> None:
    read = decode(np.array([0xE2, 0x82, 0, 0x41], dtype=np.uint8), np.array([2]))
    assert read.code.tolist() == [0xFFFD, BREAK_CODE, ord("A")]


def other_tokenizers() -> dict[str, HFTokenizer]:
    """Two other makes: pieces that bring their space, and pieces that lack it inside words."""
    specials = {"<s>": 0, "</s>": 1, "[UNK]": 2}
    letters = {char: 3 + place for place, char in enumerate("▁abcdeht.'MrSsin")}
    spaced = HFTokenizer(models.BPE(vocab=specials | letters, merges=[], unk_token="[UNK]"))
    spaced.pre_tokenizer, spaced.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    pieces = {piece: 3 + place for place, piece in enumerate(["the", "cat", "sat", "##s", "##t", ".", "'", "mr", "s"])}
    inside = HFTokenizer(models.WordPiece(vocab=specials | pieces, unk_token="[UNK]"))
    inside.pre_tokenizer, inside.decoder = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    for made in (spaced, inside):
        made.add_special_tokens(["<s>", "</s>"])
    return {"metaspace": spaced, "wordpiece": inside}


@pytest.mark.parametrize("make", ["metaspace", "wordpiece"])
def test_other_tokenizers(make: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp(make) / "tokenizer.json"
    other_tokenizers()[make].save(str(path))
    tokenizer = Tokenizer.load(path)
    annotator = PrefixAnnotator.load(None, tokenizer.piece_bytes, tokenizer.begin, tokenizer.end)
    for text in ("the cats sat. the cat's mr. s sat.", "", " the  cat", "Mr. Smith isn't here.\n\nthe"):
        ids = tokenizer.document(text)
        assert_equal(annotator.annotate(ids), stepped(annotator, ids))
