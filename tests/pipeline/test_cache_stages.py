"""The stages on one shard: made once, remade only if need be, and one bad document harms no other."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.accounts import account_of
from pipeline.bonds import BondConfig
from pipeline.cache.layout import Cache
from pipeline.cache.read import read_bonds, read_words
from pipeline.cache.verify import verify
from pipeline.corpus import Document
from pipeline.errors import Failure
from pipeline.ingest import ingest
from pipeline.prefix import PrefixAnnotator
from pipeline.records import Words, no_words
from pipeline.stages import batches, bond_shard, made, parse_batch, parse_shard, piece_shard
from tests.pipeline.fakes import LAYERS, STORIES, FakeParser, cache_of, digests, rows, shipped_tokenizer, write_stories
from tests.pipeline.sentences import named


def remade(cache: Cache) -> dict[str, bool]:
    """Run the stages of words and bonds on shard 0: which had to work?"""
    done = [parse_shard(cache, 0, LAYERS, FakeParser()), bond_shard(cache, 0, LAYERS, BondConfig())]
    return {each.stage: not each.reused for each in done}


def test_words_are_parsed_and_annotated(tmp_path: Path) -> None:
    cache = cache_of(tmp_path, shards=1)
    row = rows(cache, LAYERS["words"])[1]
    assert (row["document"], row["text"], row["relation"]) == ("stories/bench.txt", "mended", "root")
    assert any(row["features"] for row in rows(cache, LAYERS["words"]))


def test_bonds_come_back_beside_their_words(tmp_path: Path) -> None:
    cache = cache_of(tmp_path, shards=1)
    (words,), (bonds,) = read_words(cache, 0), read_bonds(cache, 0)
    arcs = [(query, key) for query, key, _ in named(words, bonds)]
    assert ("Anna", "mended") in arcs
    assert ("river", "The") not in arcs or ("The", "river") in arcs
    assert len(bonds) == cache.sidecar(LAYERS["bonds"], 0).counts["bonds"]  # type: ignore[union-attr]


def test_a_second_run_makes_nothing(tmp_path: Path) -> None:
    cache = cache_of(tmp_path)
    before = digests(cache.folder)
    assert remade(cache) == {"words": False, "bonds": False}
    assert digests(cache.folder) == before


def test_a_flipped_byte_is_remade_in_its_shard_alone(tmp_path: Path) -> None:
    cache = cache_of(tmp_path)
    before = digests(cache.folder)
    file = cache.file(LAYERS["words"], 0)
    file.write_bytes(file.read_bytes()[:30] + b"?" + file.read_bytes()[31:])
    assert remade(cache) == {"words": True, "bonds": False}  # the words came back the same: bonds stay valid
    assert digests(cache.folder) == before
    assert verify(cache) == []


def test_a_lost_table_of_the_statistics_is_remade_with_its_bonds(tmp_path: Path) -> None:
    cache = cache_of(tmp_path)
    before = digests(cache.folder)
    cache.file(f"{LAYERS['stats']}/counts", 0).unlink()
    assert remade(cache) == {"words": False, "bonds": True}
    assert digests(cache.folder) == before


def test_a_changed_document_makes_all_layers_of_its_shard_stale(tmp_path: Path) -> None:
    cache = cache_of(tmp_path, shards=1)
    write_stories(tmp_path / "stories", STORIES | {"river.txt": "The river took the boat ."})
    ingest([tmp_path / "stories"], cache)
    assert remade(cache) == {"words": True, "bonds": True}


def test_other_words_from_the_same_documents_make_their_bonds_stale(tmp_path: Path) -> None:
    class Shouting(FakeParser):
        def parse(self, documents: Sequence[Document]) -> tuple[Words, dict[str, str]]:
            return super().parse([replace(each, text=each.text.upper()) for each in documents])

    cache = cache_of(tmp_path)
    cache.file(LAYERS["words"], 0).unlink()
    parse_shard(cache, 0, LAYERS, Shouting())
    assert remade(cache) == {"words": False, "bonds": True}


def test_documents_that_fail_are_quarantined_alone(tmp_path: Path) -> None:
    bad = {"bomb.txt": "This is a bomb .", "explosion.txt": "They explode here ."}
    cache = cache_of(tmp_path, STORIES | bad, shards=1)
    assert cache.sidecar(LAYERS["words"], 0).quarantined == {  # type: ignore[union-attr]
        "stories/bomb.txt": "RuntimeError: a bomb",
        "stories/explosion.txt": "exploded",
    }
    account = account_of(cache, cache.current())
    assert (account.documents, account.quarantined, account.words) == (6, 2, 34)
    whole = cache_of(tmp_path / "without", shards=1)
    assert [row["text"] for row in rows(whole, LAYERS["words"])] == [
        row["text"] for row in rows(cache, LAYERS["words"])
    ]


def test_a_parser_that_loses_a_document_is_not_trusted() -> None:
    class Forgetful(FakeParser):
        def parse(self, documents: Sequence[Document]) -> tuple[Words, dict[str, str]]:
            return no_words(), {}

    lost = Document(id="lost", source="lost", split="train", language="en", text="Here I am .")
    with pytest.raises(Failure, match=r"neither words nor a reason for \['lost'\]"):
        parse_batch(Forgetful(), [lost])


def test_what_no_document_is_to_blame_for_quarantines_none() -> None:
    class Full(FakeParser):
        def parse(self, documents: Sequence[Document]) -> tuple[Words, dict[str, str]]:
            raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space left"):
        parse_batch(Full(), [Document(id="d", source="d", split="train", language="en", text="A word .")])


def test_rows_that_do_not_add_up_are_found(tmp_path: Path) -> None:
    cache = cache_of(tmp_path, shards=1)
    sidecar = cache.file(LAYERS["words"], 0).with_suffix(".json")
    sidecar.write_text(sidecar.read_text().replace('"documents": 4', '"documents": 3'))
    with pytest.raises(Failure, match="4 readable documents went in, 3 came out as words"):
        account_of(cache, cache.current())


def test_a_stage_without_its_input_says_so(tmp_path: Path) -> None:
    cache = Cache.create(tmp_path / "cache", shards=1)
    with pytest.raises(ValueError, match="ingest them first"):
        parse_shard(cache, 0, LAYERS, FakeParser())
    ingest([write_stories(tmp_path / "stories")], cache)
    with pytest.raises(ValueError, match="parse it first"):
        bond_shard(cache, 0, LAYERS, BondConfig())
    assert made(cache, 0, "bonds", LAYERS) is None


def test_batches_are_cut_by_the_documents_alone() -> None:
    documents = [Document(id=str(n), source="", split="train", language="en", text="x" * n) for n in (5, 6, 1, 20, 2)]
    cuts = [[len(each.text) for each in batch] for batch in batches(iter(documents), characters=10)]
    assert cuts == [[5, 6], [1, 20], [2]]


def test_pieces_are_blocks_with_the_state_before_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.cache.blocks.BLOCK", 8)
    tokenizer = shipped_tokenizer()
    annotator = PrefixAnnotator.load(None, tokenizer.piece_bytes, tokenizer.begin, tokenizer.end)
    cache = Cache.create(tmp_path / "cache", shards=1)
    ingest([write_stories(tmp_path / "stories")], cache)
    piece_shard(cache, 0, LAYERS, tokenizer, annotator)
    blocks = [row for row in rows(cache, LAYERS["pieces"]) if row["document"] == "stories/letter.txt"]
    ids = tokenizer.document(STORIES["letter.txt"])
    whole = annotator.annotate(ids)
    assert [row["start"] for row in blocks] == list(range(0, len(ids), 8))
    assert [piece for row in blocks for piece in row["pieces"]] == ids.tolist()
    for name in ("first_word", "last_word", "closed_word", "sentence_start", "input_tag", "key_tag"):
        assert [value for row in blocks for value in row[name]] == getattr(whole, name).tolist(), name
    state = annotator.start()
    for piece in ids[:8]:
        state, _ = annotator.step(state, int(piece))
    assert blocks[1]["state"] == state.to_json()
