"""The spaCy parser on real and on hostile texts, with the pipeline that ships."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc

from lexicons.upos import UPOS
from pipeline.corpus import read_documents
from pipeline.errors import Failure
from pipeline.parsers import load_parser
from pipeline.parsers.spacy import SHIPPED, SpacyParser, load_model
from pipeline.parsers.spacy_columns import Chunk, without_spaces
from pipeline.parsers.spacy_greedy import piped
from pipeline.parsers.trees import single_rooted
from pipeline.records import Words
from pipeline.score import score_parser
from tests.pipeline.parser_contract import HARD_TEXTS, assert_contract, assert_covers, documents_of


@pytest.fixture(scope="module")
def parser() -> SpacyParser:
    return SpacyParser()


def rows(words: Words) -> list[tuple[object, ...]]:
    """One tuple a word, strings spelt out."""
    columns = (words.document, words.sentence, words.start, words.end, words.upos, words.head)
    strings = (words.text, words.lemma, words.feats, words.relation)
    return list(zip(*(column.tolist() for column in columns), *(s.to_list() for s in strings), strict=True))


def test_a_sentence_parses_as_a_reader_would(parser: SpacyParser) -> None:
    words, failed = parser.parse(documents_of({"d": "She didn't give John the teacher's old books."}))
    assert not failed
    text = words.text.to_list()
    assert text == ["She", "did", "n't", "give", "John", "the", "teacher", "'s", "old", "books", "."]
    assert [UPOS[tag] for tag in words.upos] == (
        ["PRON", "AUX", "PART", "VERB", "PROPN", "DET", "NOUN", "PART", "ADJ", "NOUN", "PUNCT"]
    )
    assert words.lemma.to_list() == ["she", "do", "not", "give", "John", "the", "teacher", "'s", "old", "book", "."]
    head = [text[head] if head >= 0 else "" for head in words.head]
    assert head == ["give", "give", "give", "", "give", "teacher", "books", "teacher", "books", "give", "give"]
    relation = dict(zip(text, words.relation.to_list(), strict=True))
    assert (relation["She"], relation["John"], relation["books"]) == ("nsubj", "iobj", "obj")
    assert "Polarity=Neg" in words.feats[2]
    assert words.feats[10] == ""


def test_tokens_of_the_treebank_and_of_wikitext(parser: SpacyParser) -> None:
    text = "cannot gonna <unk> 1 @,@ 000 @.@ 5 role @-@ playing wait ... what ?!? and/or e-mail don 't Wed"
    words, _ = parser.parse(documents_of({"d": text}))
    tokens = "can not gon na <unk> 1 @,@ 000 @.@ 5 role @-@ playing wait ... what ?!? and / or e-mail don 't Wed"
    assert " ".join(words.text.to_list()) == tokens


def test_small_batches_give_the_same_words(parser: SpacyParser, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = documents_of({name: HARD_TEXTS[name] for name in ("two paragraphs", "lines", "emoji", "wikitext")})
    expected = rows(parser.parse(documents)[0])
    monkeypatch.setattr("pipeline.parsers.spacy.BATCH", 1)
    assert rows(parser.parse(documents)[0]) == expected


def test_rounding_does_not_depend_on_the_batch(parser: SpacyParser) -> None:
    short, long = Chunk(0, 0, "A short title"), Chunk(1, 0, "And a much longer text, said again. " * 40)
    documents = documents_of({"a": short.text, "b": long.text})
    vectors = [parser._docs(batch, documents, {})[0].tensor for batch in ([short], [short, long, long])]  # type: ignore[union-attr]
    assert vectors[0].tobytes() == vectors[1].tobytes()


@pytest.fixture
def fragile() -> SpacyParser:
    """A parser with a component that breaks on a text with BOOM in it."""

    @Language.component("breaks_on_boom")
    def breaks_on_boom(doc: Doc) -> Doc:
        if "BOOM" in doc.text:
            raise ZeroDivisionError("boom")
        return doc

    parser = SpacyParser()
    parser.nlp.add_pipe("breaks_on_boom", last=True)
    return parser


def test_a_document_that_breaks_the_parser_is_quarantined_alone(fragile: SpacyParser) -> None:
    texts = {"a": "He left.", "bad": "First paragraph.\n\nBOOM.\n\nThird.", "c": "She stayed here."}
    words, failed = fragile.parse(documents_of(texts))
    assert failed == {"bad": "spaCy failed: ZeroDivisionError: boom"}
    kept = documents_of({"a": texts["a"], "c": texts["c"]})
    assert_contract(words, kept)
    assert_covers(words, kept)
    assert words.text.to_list() == ["He", "left", ".", "She", "stayed", "here", "."]
    words, failed = fragile.parse(documents_of({"bad": "BOOM"}))
    assert (len(words), list(failed)) == (0, ["bad"])


def test_distinct_words_get_what_every_word_would(parser: SpacyParser) -> None:
    plain, _ = load_model(None)
    texts = [text for text in HARD_TEXTS.values() if len(text) < 5_000]
    columns = ["LEMMA", "POS", "MORPH", "HEAD", "DEP", "SENT_START"]
    for ours, theirs in zip(piped(parser.nlp, texts), plain.pipe(texts), strict=True):
        assert ours.tensor.tobytes() == theirs.tensor.tobytes()
        assert [token.lemma_ for token in ours] == [token.lemma_ for token in theirs]
        assert ours.to_array(columns).tolist() == theirs.to_array(columns).tolist()


def test_strings_are_forgotten_after_a_call(parser: SpacyParser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.parsers.spacy.KNOWN_WORDS", 0)
    parser.parse(documents_of({"d": "Warm up."}))
    before = len(parser.nlp.vocab.strings)
    words, _ = parser.parse(documents_of({"d": " ".join(f"xq{number}vb" for number in range(3_000))}))
    assert len(words.text.values) >= 3_000
    assert len(parser.nlp.vocab.strings) == before
    assert "xq17vb" not in parser.nlp.vocab.strings
    assert words.text[17] == "xq17vb", "what was returned outlives spaCy's strings"


def test_what_is_known_changes_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = documents_of({name: text for name, text in HARD_TEXTS.items() if len(text) < 5_000})
    parser = SpacyParser()
    first, again = (rows(parser.parse(documents)[0]) for _ in range(2))
    monkeypatch.setattr("pipeline.parsers.spacy.KNOWN_WORDS", 0)
    assert first == again == rows(parser.parse(documents)[0]) == rows(SpacyParser().parse(documents)[0])


def test_heads_climb_over_spaces() -> None:
    # row      0  1  2(space)  3(space)  4  5
    head = np.array([1, 1, 1, 2, 3, 4])
    space = np.array([False, False, True, True, False, False])
    assert without_spaces(head.copy(), space).tolist() == [1, 1, 1, 2, 1, 4]
    assert without_spaces(np.array([1, 1, 1]), np.array([False, True, False])).tolist() == [0, 1, 2], "a space as root"


def test_several_roots_become_one() -> None:
    head, root = single_rooted(np.array([-1, 0, -1, 2, 1, -1]), np.array([0, 0, 0, 0, 1, 1]))
    assert head.tolist() == [-1, 0, 0, 2, -1, 4], "row 4's head lay in another sentence"
    assert root.tolist() == [True, False, False, False, True, False]


def test_digest_is_of_the_models_content(tmp_path: Path, parser: SpacyParser) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(SHIPPED, copy)
    assert SpacyParser(str(copy)).digest == parser.digest
    assert len(parser.digest) == 12
    with (copy / "README.md").open("a") as file:
        file.write("A remark.")
    assert SpacyParser(str(copy)).digest == parser.digest
    meta = (copy / "meta.json").read_text()
    (copy / "meta.json").write_text(meta.replace("CC BY-SA 4.0", "CC BY-SA 9.9"))
    assert SpacyParser(str(copy)).digest != parser.digest


def test_models_that_do_not_load_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="install its wheel file") as error:
        load_parser("spacy", "en_core_nowhere")
    assert "en_core_nowhere" in str(error.value)
    (tmp_path / "damaged").mkdir()
    with pytest.raises(Failure, match="damaged"):
        load_parser("spacy", str(tmp_path / "damaged"))
    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(ValueError, match="has no parser"):
        load_parser("spacy", str(tmp_path / "blank"))


def test_the_shipped_model_is_small_and_holds_no_pickle() -> None:
    files = [file for file in SHIPPED.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 12_000_000
    assert not [file for file in files if file.read_bytes()[:1] == b"\x80" and file.read_bytes()[-1:] == b"."]
    assert "CC BY-SA 4.0" in (SHIPPED / "README.md").read_text()


@pytest.mark.slow
def test_real_articles_keep_the_contract(valency_data: Path, parser: SpacyParser) -> None:
    files = [valency_data / "wikitext-2" / "wiki.valid.tokens", valency_data / "gutenberg"]
    documents = [*read_documents([files[0]])][:12]
    documents += [each for each in read_documents([files[1]]) if "time-machine" in each.id]
    words, failed = parser.parse(documents)
    assert not failed
    assert_contract(words, documents)
    assert_covers(words, documents)


@pytest.mark.slow
def test_the_shipped_model_is_as_good_as_when_it_was_made(valency_data: Path, parser: SpacyParser) -> None:
    scores = score_parser(parser, valency_data / "ud_english_ewt" / "en_ewt-ud-test.conllu")
    measured = {"words": 99.18, "sentences": 86.71, "upos": 95.02, "lemma": 95.78, "uas": 86.61, "las": 84.06}
    assert {name: scores[name] for name in measured} == pytest.approx(measured, abs=0.1)
