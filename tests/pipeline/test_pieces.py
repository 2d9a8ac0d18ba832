"""Tokenizers: every text comes back, specials are never spelt, and the bytes of pieces add up to the text."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer as HFTokenizer
from tokenizers import decoders, models, pre_tokenizers

from pipeline.fit.tokenizer import book_body, fit_tokenizer, shipped_texts
from pipeline.pieces import SHIPPED, Tokenizer
from pipeline.prefix import PrefixAnnotator


@pytest.fixture(scope="module")
def shipped() -> Tokenizer:
    return Tokenizer.load()


@given(text=st.text())
@example(text="<|begin|> typed <|end|><|pad|>")
@example(text=" \n\n\t two  spaces, é, e\u0301, 👩‍👩‍👧, \x00, don't <unk> @-@ ")
def test_every_text_comes_back(shipped: Tokenizer, text: str) -> None:
    ids = shipped.encode(text)
    assert b"".join(shipped.piece_bytes[each] for each in ids) == text.encode()
    assert shipped.decode(shipped.document(text)) == text
    assert not set(ids.tolist()) & {0, 1, 2}, "a special is never spelt"


@given(text=st.text("aZ'é1. \n\t\u00a0\x1c\u3000<|end>", max_size=60), kept=st.sampled_from([0, 1_000_000]))
@example(text="we 'll don't 's  two \n three\n four <|end|> x", kept=0)
def test_words_are_encoded_as_in_their_text(shipped: Tokenizer, text: str, kept: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.pieces.REMEMBERED", kept)
        assert shipped._words is not None
        assert shipped.encode(text).tolist() == shipped._encode([text])[0]


def test_the_shipped_one_has_specials_then_bytes_then_merges(shipped: Tokenizer) -> None:
    assert (shipped.size, shipped.begin, shipped.end) == (8192, 0, 1)
    assert shipped.piece_bytes[:3] == (b"", b"", b"")
    assert sorted(shipped.piece_bytes[3:259]) == [bytes([byte]) for byte in range(256)]
    assert b" the" in shipped.piece_bytes
    assert shipped.document("").tolist() == [0, 1]
    assert shipped.encode("the").dtype == np.int32


def test_the_digest_is_of_the_content_not_the_layout(shipped: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(json.loads(shipped.json)), encoding="utf-8")
    assert Tokenizer.load(path).digest == shipped.digest
    content = json.loads(shipped.json)
    content["added_tokens"][1]["content"] = "</s>"
    path.write_text(json.dumps(content), encoding="utf-8")
    assert Tokenizer.load(path).digest != shipped.digest


def test_fitting_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    texts = ["the cat sat on the mat. " * 20, "the dog’s bark… " * 20]
    for name in ("one", "two"):
        fit_tokenizer(texts if name == "one" else reversed(texts), tmp_path / f"{name}.json", size=270)
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    fitted = Tokenizer.load(tmp_path / "one.json")
    assert fitted.size == 270
    assert len(fitted.encode("the cat sat")) < len(b"the cat sat")
    with pytest.raises(ValueError, match="259 at least"):
        fit_tokenizer(texts, tmp_path / "small.json", size=100)


def test_metaspace_with_bytes(tmp_path: Path) -> None:
    pieces = ["<s>", "</s>", "<unk>", "<0x0A>", "▁the", "▁", "cat"]
    model = models.BPE({piece: place for place, piece in enumerate(pieces)}, [], unk_token="<unk>", byte_fallback=True)
    tokenizer = HFTokenizer(model)
    tokenizer.add_special_tokens(["<s>", "</s>", "<unk>"])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert Tokenizer.load(tmp_path / "tokenizer.json").piece_bytes == (b"", b"", b"", b"\n", b" the", b" ", b"cat")


def test_wordpiece(tmp_path: Path) -> None:
    pieces = ["[CLS]", "[SEP]", "[UNK]", "the", "##s"]
    tokenizer = HFTokenizer(models.WordPiece({piece: place for place, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Whitespace(), decoders.WordPiece()
    tokenizer.add_special_tokens(["[CLS]", "[SEP]", "[UNK]"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    loaded = Tokenizer.load(tmp_path / "tokenizer.json")
    assert loaded.piece_bytes == (b"", b"", b"", b" the", b"s")
    assert loaded.document("thes").tolist() == [0, 3, 4, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decoder": None}, "give a tokenizer whose decoder is"),
        ({"added_tokens": []}, "no piece that begins a document"),
    ],
)
def test_a_tokenizer_that_cannot_serve_is_refused(
    change: dict[str, object], message: str, shipped: Tokenizer, tmp_path: Path
) -> None:
    content = json.loads(shipped.json) | change
    for special in ("<|begin|>", "<|end|>") if "added_tokens" in change else ():
        content["model"]["vocab"][special.upper()] = content["model"]["vocab"].pop(special)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        Tokenizer.load(path)


BROKEN = [b"", b"{", b"[]", b"\xff\xfe", b'{"model": {"type": "BPE"}}', b"[" * 100_000]


@pytest.mark.parametrize("content", BROKEN, ids=lambda content: ascii(content)[:30])
def test_a_broken_tokenizer_and_broken_tables_are_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"tokenizer\.json is no tokenizer\.json"):
        Tokenizer.load(file)
    with pytest.raises(ValueError, match=r"tokenizer\.json holds no tables of an annotator"):
        PrefixAnnotator.load(file, [b"a"], 0, 0)
    with pytest.raises(ValueError, match="cannot read"):
        Tokenizer.load(tmp_path)


def test_a_book_is_its_body() -> None:
    text = "Licence\n*** START OF THIS PROJECT GUTENBERG EBOOK X ***\n\nCall me.\n\nEnd of the Project Gutenberg EBook"
    assert book_body(text) == "Call me.\n"


@pytest.mark.slow
def test_the_shipped_one_can_be_made_again(valency_data: Path, tmp_path: Path) -> None:
    fit_tokenizer(shipped_texts(valency_data), tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == SHIPPED.read_bytes()
