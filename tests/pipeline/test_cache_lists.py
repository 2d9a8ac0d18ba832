"""Bonds in the pieces layer: the lists of a block say what the bonds layer says, and nothing that law 1 forbids."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.bonds import BondConfig
from pipeline.cache.layout import Cache
from pipeline.cache.lists import DocumentWords, WordLists
from pipeline.cache.read import read_bonds, read_words
from pipeline.cache.verify import verify
from pipeline.cache.whole import whole_rows
from pipeline.corpus import Document, read_documents, sample_corpus
from pipeline.errors import Failure
from pipeline.parsers import load_parser
from pipeline.pieces import Tokenizer
from pipeline.plan import Tools, annotator_of, plan_of
from pipeline.prefix.state import NO_TAG
from pipeline.records import KINDS
from pipeline.repair import repair
from pipeline.stages import piece_shard
from tests.pipeline.bonded_cache import ALL, CAUSAL, PREFIX, make
from tests.pipeline.fakes import rows

Row = dict[str, object]
Bond = tuple[int, int, str]
"""query word, key word, kind."""


def bonds_by_document(cache: Cache) -> dict[str, set[Bond]]:
    """From the bonds layer, one by one; words counted in their document."""
    found: dict[str, set[Bond]] = {}
    for shard in range(cache.shards):
        for words, bonds in zip(read_words(cache, shard), read_bonds(cache, shard), strict=True):
            index = words.index().tolist()
            found |= {name: set() for name in words.documents}
            for query, key, kind in zip(bonds.query.tolist(), bonds.key.tolist(), bonds.kind.tolist(), strict=True):
                name = words.documents[words.document[query]]
                found[name].add((index[query], index[key], KINDS[kind]))
    return found


def listed(row: Row) -> dict[int, set[Bond]]:
    """The bonds that a block lists, by query word."""
    found: dict[int, set[Bond]] = {}
    bonds: Iterator[tuple[int, int]] = zip(row["bond_step"], row["bond_kind"], strict=True)  # type: ignore[call-overload]
    for place, count in enumerate(row["bond_count"]):  # type: ignore[arg-type, var-annotated]
        word = int(row["first_listed"]) + place  # type: ignore[call-overload]
        # Odd steps lead back, even ones ahead.
        mine = [
            (-(step + 1) // 2 if step % 2 else step // 2, kind) for step, kind in (next(bonds) for _ in range(count))
        ]
        found[word] = {(word, word + way, KINDS[kind]) for way, kind in mine}
    assert next(bonds, None) is None
    return found


@pytest.mark.parametrize("block", [7, 4096])
def test_a_block_lists_the_bonds_of_every_word_that_closed_before_a_piece_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    cache = make(tmp_path / "cache", "causal", CAUSAL, block, monkeypatch)
    bonds, seen = bonds_by_document(cache), 0
    for row in rows(cache, cache.layer("pieces")):
        lists = listed(row)
        for closed in row["closed_word"]:
            query = closed - 1
            mine = {(q, k, kind) for q, k, kind in bonds[row["document"]] if q == query and k < q}
            assert lists.get(query, set()) == mine, (row["document"], row["block"], query)
            assert query < 0 or query in lists
            seen += len(mine)
        assert set(lists) <= set(range(max(row["closed_word"][-1], 1))), "no list of a word that is still open"
    assert seen > 1000


@pytest.mark.parametrize("block", [7, 4096])
def test_pieces_of_the_whole_text_list_both_sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    cache = make(tmp_path / "cache", "whole", ALL, block, monkeypatch)
    assert "annotator" not in cache.layer("pieces")
    bonds = bonds_by_document(cache)
    for row in rows(cache, cache.layer("pieces")):
        lists = listed(row)
        for query in row["last_word"]:
            assert lists.get(query, set()) == {bond for bond in bonds[row["document"]] if bond[0] == query}
    assert any(key > query for query, key, _ in bonds[row["document"]])


def test_pieces_of_the_whole_text_meet_words_by_characters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the prefix parser both layers know the same words: only what a piece knew too early differs."""
    causal = make(tmp_path / "causal", "causal", CAUSAL, 4096, monkeypatch)
    whole = make(tmp_path / "whole", "whole", CAUSAL, 4096, monkeypatch)
    same = total = 0
    for one, other in zip(rows(causal, causal.layer("pieces")), rows(whole, whole.layer("pieces")), strict=True):
        assert one["pieces"] == other["pieces"]
        assert set(other["closed_word"]) == {one["closed_word"][-1]}
        same += sum(a == b for a, b in zip(one["last_word"], other["last_word"], strict=True))
        total += len(one["last_word"])
    assert same / total > 0.99  # late cuts: `don` of `don't` is the word `don` until the piece `'t`


def whole_table(text: str, spans: list[tuple[int, int]]) -> tuple[Document, Tokenizer, DocumentWords]:
    """What `whole_rows` takes: words of a text, tag n + 1 for the nth, without bonds."""
    size = len(spans)
    start, end = np.array(spans, np.int32).T
    lists = WordLists(begin=np.zeros(size + 1, np.int64), back=np.empty(0, np.int32), kind=np.empty(0, np.uint8))
    tags, sentence = np.arange(1, size + 1, dtype=np.uint8), np.zeros(size, np.int32)
    words = DocumentWords(start=start, end=end, sentence=sentence, upos=tags, lists=lists)
    return Document(id="a", source="a", split="train", language="en", text=text), Tokenizer.load(), words


def test_spaces_have_no_tag_whether_or_not_a_word_follows() -> None:
    def tag_of_newlines(text: str, spans: list[tuple[int, int]]) -> list[int]:
        document, tokenizer, words = whole_table(text, spans)
        (row,) = whole_rows(document, tokenizer, words).to_pylist()
        ids, begin, end = tokenizer.document_spans(text)
        assert row["pieces"] == ids.tolist()
        spaces = [at for at, (one, two) in enumerate(zip(begin, end, strict=True)) if text[one:two].strip(" ") == "\n"]
        return [row["input_tag"][at] for at in spaces]

    she_ran = [(0, 3), (4, 7), (7, 8)]
    assert tag_of_newlines("She ran.\n\n", she_ran) == [NO_TAG, NO_TAG]
    assert tag_of_newlines("She ran.\n\nHe", [*she_ran, (10, 12)]) == [NO_TAG, NO_TAG]


def test_the_lists_of_a_prefix_are_a_prefix_of_the_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Law 1 for bonds: text that follows moves no list of a word that is closed before it."""
    from pipeline.annotate import annotate
    from pipeline.bonds import bonds_of
    from pipeline.cache.lists import document_words

    parser, random = load_parser("prefix", None), np.random.default_rng(0)
    text = next(each.text for each in read_documents([sample_corpus() / "story"]) if isinstance(each, Document))

    def lists(part: str) -> list[set[tuple[int, int]]]:
        document = Document(id="a", source="a", split="train", language="en", text=part)
        words = annotate(parser.parse([document])[0])
        ((_, found),) = document_words(words, bonds_of(words, CAUSAL), causal=True)
        spans = zip(found.lists.begin[:-1].tolist(), found.lists.begin[1:].tolist(), strict=True)
        back, kind = found.lists.back.tolist(), found.lists.kind.tolist()
        return [{(back[at], kind[at]) for at in range(*span)} for span in spans]

    whole = lists(text)
    for cut in random.integers(20, len(text), 40).tolist():
        part = lists(text[:cut])[:-3]  # the last words may still be open, or be cut by what follows
        assert part == whole[: len(part)]


def test_a_parser_that_reads_on_gives_no_bonds_to_causal_pieces() -> None:
    stages = ("words", "bonds", "pieces")
    with pytest.raises(ValueError, match="--parser prefix"):
        plan_of(Tools(parser="spacy"), CAUSAL, stages, "causal")
    with pytest.raises(ValueError, match="--mode causal makes each kind"):
        plan_of(PREFIX, BondConfig(kinds=("dependency",), hops=1), stages, "causal")
    with pytest.raises(ValueError, match="the control random-keys draws from whole sentences"):
        plan_of(PREFIX, replace(CAUSAL, control="random-keys"), stages, "causal")
    with pytest.raises(ValueError, match="give none, causal, whole"):
        plan_of(PREFIX, CAUSAL, stages, "both")
    with pytest.raises(ValueError, match="name the layers"):
        plan_of(PREFIX, CAUSAL, ("words", "pieces"), "causal")


def test_pieces_without_bonds_keep_their_name(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = plan_of(PREFIX, CAUSAL, ("words", "bonds", "pieces")).layers["pieces"]
    assert plain == plan_of(Tools(parser="prefix"), ALL, ("pieces",)).layers["pieces"]
    causal = plan_of(PREFIX, CAUSAL, ("words", "bonds", "pieces"), "causal").layers
    rules = causal["bonds"].rpartition("=")[2]
    assert causal["pieces"] == f"{plain},words={causal['words'].rpartition('=')[2]},bonds={rules}"


def test_damaged_pieces_with_bonds_are_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for mode, config in (("causal", CAUSAL), ("whole", ALL)):
        cache = make(tmp_path / mode, mode, config, 64, monkeypatch)
        file = cache.file(cache.layer("pieces"), 1)
        before = file.read_bytes()
        file.write_bytes(before[:-20])
        assert [each.mended for each in repair(cache.folder)] == [True]
        assert file.read_bytes() == before
        assert verify(cache) == []


def test_pieces_whose_bonds_are_gone_are_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = make(tmp_path / "cache", "causal", CAUSAL, 64, monkeypatch)
    cache.file(cache.layer("bonds"), 0).unlink()
    cache.file(cache.layer("pieces"), 0).unlink()
    tokenizer = Tokenizer.load()
    with pytest.raises((ValueError, Failure), match="make the bonds first"):
        piece_shard(cache, 0, cache.current(), tokenizer, annotator_of(PREFIX))
