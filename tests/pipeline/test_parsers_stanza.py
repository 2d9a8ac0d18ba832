"""The Stanza parser: spans checked, sentences cut, models found. Fast tests stand in for Stanza's own records."""

import json
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.corpus import Document, read_documents
from pipeline.errors import Failure
from pipeline.fit.stanza import StanzaConfig, steps, treebank_files
from pipeline.parsers import download_models, load_parser
from pipeline.parsers.stanza import LONGEST_SENTENCE, Token, cut_sentence, readable, sentences_of
from pipeline.parsers.stanza_columns import Row, words_of_rows
from pipeline.parsers.stanza_models import find_models
from pipeline.score import score_parser
from tests.pipeline.parser_contract import assert_contract, assert_covers, documents_of
from tests.pipeline.tiny_stanza import SAMPLE

needs_stanza = pytest.mark.skipif(find_spec("stanza") is None, reason="Stanza is not installed")


def doc_of(*sentences: list[tuple[int, int, str]]) -> Any:
    """What Stanza's tokenizer gives: (start, end, words joined by `+`) by sentence."""

    def token(start: int, end: int, said: str) -> Any:
        words = [SimpleNamespace(text=word) for word in said.split("+")]
        return SimpleNamespace(start_char=start, end_char=end, text=said, words=words)

    return SimpleNamespace(
        sentences=[SimpleNamespace(tokens=[token(*each) for each in sentence]) for sentence in sentences]
    )


def test_spans_must_hold_the_whole_text() -> None:
    text = "zum Haus ."
    doc = doc_of([(0, 3, "zu+dem"), (4, 8, "Haus"), (9, 10, ".")])
    assert sentences_of(doc, text) == [[Token(0, 3, ("zu", "dem")), Token(4, 8, ("Haus",)), Token(9, 10, (".",))]]
    for lying in (
        [(0, 3, "zu+dem"), (9, 10, ".")],
        [(0, 3, "zum"), (2, 8, "Haus"), (9, 10, ".")],
        [(0, 3, "zum"), (4, 8, "Haus")],
        [(0, 3, "zum"), (4, 8, "Haus"), (9, 12, ".")],
        [(0, 3, "zum"), (4, 4, "Haus"), (4, 10, ".")],
    ):
        with pytest.raises(ValueError, match="text"):
            sentences_of(doc_of(lying), text)


def test_endless_sentences_are_cut_after_marks() -> None:
    words = [Token(n, n + 1, (",",) if n % 100 == 99 else ("w",)) for n in range(1_000)]
    parts = list(cut_sentence(words))
    assert [token for part in parts for token in part] == words
    assert [len(part) for part in parts] == [200] * 4 + [200]
    plain = [Token(n, n + 1, ("w",)) for n in range(600)]
    assert [len(part) for part in cut_sentence(plain)] == [
        LONGEST_SENTENCE,
        LONGEST_SENTENCE,
        600 - 2 * LONGEST_SENTENCE,
    ]


def test_control_characters_keep_their_places() -> None:
    text = "a\x01b\tc\u2028d\x85e\x97f\u200b"
    assert readable(text) == "a\ufffdb c d e\ufffdf\u200b"
    assert len(readable(text)) == len(text)


def test_columns_have_one_root_a_sentence() -> None:
    def row(number: int, head: int, relation: str) -> Row:
        return Row(number, number * 2, number * 2 + 1, "w", "w", "NOUN", "", head, relation)

    documents = [
        ("a", [row(0, -1, "root"), row(1, -1, "root")]),
        ("b", []),
        ("c", [row(0, 1, "root"), row(1, -1, "dep")]),
    ]
    words = words_of_rows(documents)
    assert words.documents == ("a", "b", "c")
    assert words.head.tolist() == [-1, 0, 3, -1]
    assert words.relation.to_list() == ["root", "parataxis", "parataxis", "root"]
    assert words.sentence.tolist() == [0, 0, 0, 0]
    assert words.document.tolist() == [0, 0, 2, 2]


@needs_stanza
def test_models_that_are_not_there_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.parsers.stanza_models._stanza_home", lambda: str(tmp_path / "home"))
    with pytest.raises(ValueError, match="--download"):
        load_parser("stanza")
    with pytest.raises(ValueError, match=r"downloaded: none.*--download"):
        load_parser("stanza", "de")
    with pytest.raises(ValueError, match=r"lacks tokenize\.pt, pos\.pt"):
        load_parser("stanza", str(tmp_path))
    for part in ("tokenize", "pos", "lemma", "depparse"):
        (tmp_path / f"{part}.pt").write_bytes(b"no model")
    with pytest.raises(Failure, match="make or download them again"):
        load_parser("stanza", str(tmp_path))


def test_models_are_found_in_three_forms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.parsers.stanza_models._stanza_home", lambda: str(tmp_path))
    for language in ("de", "es"):
        for part in ("tokenize", "depparse"):
            (tmp_path / language / part).mkdir(parents=True)
    (tmp_path / "resources.json").write_text('{"de": {}}')
    assert find_models("es") == (tmp_path, "es")
    assert find_models(str(tmp_path / "de")) == (tmp_path.resolve(), "de")
    with pytest.raises(ValueError, match="holds models of de, es; name one"):
        find_models(str(tmp_path))
    (tmp_path / "resources.json").write_text("{}")
    assert find_models(str(tmp_path)) == (tmp_path, "")


def test_downloads_are_asked_for_by_language() -> None:
    with pytest.raises(ValueError, match="--parser stanza --model LANGUAGE"):
        download_models("spacy", "en")
    with pytest.raises(ValueError, match="--parser stanza --model LANGUAGE"):
        download_models("stanza", None)


@needs_stanza
def test_a_download_without_a_network_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import stanza

    def offline(*args: object, **settings: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(stanza, "download", offline)
    with pytest.raises(Failure, match="without a network, copy the folder"):
        download_models("stanza", "de")


def test_the_recipe_names_its_steps(tmp_path: Path) -> None:
    commands = steps("UD_German-SAMPLE", tmp_path, StanzaConfig(pos_steps=30))
    assert list(commands) == ["tokenize", "mwt", "pos", "lemma", "depparse"]
    trained = commands["pos"][1]
    begin = trained.index("--max_steps")
    assert trained[begin : begin + 4] == ["--max_steps", "30", "--eval_interval", "30"]
    with pytest.raises(ValueError, match="give the folder of a UD treebank"):
        treebank_files(tmp_path)
    with pytest.raises(ValueError, match="hidden is 0"):
        StanzaConfig(hidden=0)


@pytest.mark.slow
def test_a_trained_set_knows_its_own_sentences(tiny_stanza: Path) -> None:
    parser = load_parser("stanza", str(tiny_stanza))
    documents = [each for each in read_documents([SAMPLE]) if isinstance(each, Document)]
    words, failed = parser.parse(documents)
    assert not failed
    assert_contract(words, documents)
    assert_covers(words, documents)
    text = words.text.to_list()
    assert ("zu", "dem") in pairwise(text), "a multiword token is taken apart"
    place = text.index("zu")
    assert words.start[place] == words.start[place + 1]
    assert documents[0].text[words.start[place] : words.end[place]] == "zum"
    scores = score_parser(parser, SAMPLE)
    assert scores["words"] > 80


@pytest.mark.slow
def test_over_long_tokens_keep_their_offsets(tiny_stanza: Path) -> None:
    text = "Siehe http://www.beispiel.de/" + "a" * 1_500 + " heute."
    words, failed = load_parser("stanza", str(tiny_stanza)).parse(documents_of({"url": text}))
    assert not failed
    assert_covers(words, documents_of({"url": text}))
    assert max(map(len, words.text.to_list())) > 1_500
    assert "<UNK>" not in words.text.to_list() + words.lemma.to_list()


@pytest.mark.slow
def test_stanzas_own_folders_are_read(tiny_stanza: Path, tmp_path: Path) -> None:
    """Laid out as stanza.download leaves them: one language a folder, and a list of the packages."""
    parts = ("tokenize", "mwt", "pos", "lemma", "depparse")
    for part in parts:
        (tmp_path / "de" / part).mkdir(parents=True)
        (tmp_path / "de" / part / "sample.pt").write_bytes((tiny_stanza / f"{part}.pt").read_bytes())
    packages = {"default": dict.fromkeys(parts, "sample")}
    listed = {"lang_name": "German", "packages": packages} | {part: {"sample": {"md5": ""}} for part in parts}
    (tmp_path / "resources.json").write_text(json.dumps({"de": listed}))
    documents = documents_of({"d": "Am Morgen ging die Frau zum Bahnhof."})
    ours, theirs = (load_parser("stanza", str(folder)) for folder in (tiny_stanza, tmp_path))
    assert ours.parse(documents)[0].text.to_list() == theirs.parse(documents)[0].text.to_list()
    assert ours.digest == theirs.digest, "the same models, wherever they lie"


@needs_stanza
def test_a_full_machine_is_no_documents_fault() -> None:
    from pipeline.parsers.stanza import StanzaParser

    class Full:
        def process(self, *_: object, **__: object) -> None:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")

    parser = object.__new__(StanzaParser)
    parser._nlp = Full()
    with pytest.raises(MemoryError, match="1 paragraphs"):
        parser.parse(documents_of({"a": "One."}))
