"""The reader: the same pieces as training in memory reads, lists that say what the bonds say, streams that resume."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from model.batches import TrainingRows
from model.columns import read_layer
from model.reader import mapped
from model.reader.lists import Lists, block_lists
from model.reader.loader import Loader, SequenceBatch
from model.reader.sequences import Run, Sequence, Sequences
from pipeline.cache.digest import sha256_of
from pipeline.cache.layout import Cache, write_sidecar
from pipeline.cache.lists import DocumentWords, WordLists
from pipeline.cache.read import read_bonds, read_words
from pipeline.cache.whole import whole_rows
from pipeline.corpus import Document, sample_corpus
from pipeline.errors import Failure
from pipeline.pieces import Tokenizer
from pipeline.records import KINDS
from tests.pipeline.bonded_cache import ALL, CAUSAL, make

Triple = tuple[int, int, int]
"""Query, key, kind."""


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a cache by its mode; blocks of 64 pieces, so that every sequence crosses some."""
    made: dict[str, Path] = {}

    def get(mode: str) -> Path:
        if mode not in made:
            with pytest.MonkeyPatch.context() as patch:
                folder = tmp_path_factory.mktemp(mode) / "cache"
                made[mode] = make(folder, mode, ALL if mode == "whole" else CAUSAL, 64, patch).folder
        return made[mode]

    return get


@pytest.mark.parametrize("length", [1, 50, 256, 1000])
def test_it_reads_what_training_in_memory_reads(cached: Callable[[str], Path], length: int) -> None:
    folder = cached("causal")
    rows = TrainingRows(read_layer(folder).splits["train"], rows=3, length=length, seed=7)
    loader = Loader(Sequences(folder, length=length, seed=7), rows=3)
    count = 2 * loader.sequences.rows(0) // 3 + 2 if length > 1 else 40  # into the second epoch
    for batch in islice(loader, count):
        wanted = rows.next()
        assert torch.equal(batch.ids, wanted.ids)
        assert torch.equal(batch.targets, wanted.targets)
        for name in batch.attributes:
            assert torch.equal(batch.attributes[name], getattr(wanted.context, name)), name
    assert batch.batch().context.causal


def test_pieces_without_bonds_have_empty_lists(cached: Callable[[str], Path]) -> None:
    sequence = Sequences(cached("none"), length=100)[0, 0]
    assert len(sequence.lists.key) == 0
    assert not sequence.lists.end.any()
    assert (sequence.ids > 0).any()


def brute_force(folder: Path, sequences: Sequences, sequence: Sequence) -> set[Triple]:
    """All visible pairs, from the bonds layer and the attributes, straight from the definition. O(N²)."""
    cache, found = Cache.open(folder), set()
    causal = sequences.documents.causal
    bonds: dict[tuple[str, int], set[tuple[int, int]]] = {}
    for shard in range(cache.shards):
        for words, some in zip(read_words(cache, shard), read_bonds(cache, shard), strict=True):
            index = words.index().tolist()
            for query, key, kind in zip(some.query.tolist(), some.key.tolist(), some.kind.tolist(), strict=True):
                name = words.documents[words.document[query]]
                bonds.setdefault((name, index[query]), set()).add((index[key], kind))
    column = {name: getattr(sequence, name).tolist() for name in ("document", "first_word", "last_word", "closed_word")}
    for t, document in enumerate(column["document"]):
        if document < 0:
            continue
        word = column["closed_word"][t] - 1 if causal else column["last_word"][t]
        for key, kind in bonds.get((sequences.documents.documents[document], word), ()):
            if causal and key >= word:
                continue
            for s, other in enumerate(column["document"]):
                if other == document and column["first_word"][s] <= key <= column["last_word"][s]:
                    found.add((t, s, kind))
    return found


def pairs(lists: Lists) -> list[Triple]:
    indptr, key, kind = lists.rows()
    query = np.repeat(np.arange(len(lists.begin)), np.diff(indptr))
    return list(zip(query.tolist(), key.tolist(), kind.tolist(), strict=True))


@pytest.mark.parametrize("mode", ["causal", "whole"])
@pytest.mark.parametrize("length", [97, 300])
def test_lists_and_blocks_are_the_pairs_that_bonds_allow(cached: Callable[[str], Path], mode: str, length: int) -> None:
    sequences = Sequences(cached(mode), length=length, seed=3)
    seen = 0
    for position in range(0, sequences.rows(0), 3):
        sequence = sequences[0, position]
        found, wanted = pairs(sequence.lists), brute_force(cached(mode), sequences, sequence)
        assert set(found) == wanted
        assert mode == "whole" or all(s <= t for t, s, _ in found), "law 1"
        assert (np.diff(sequence.lists.begin) >= 0).all()
        assert (np.diff(sequence.lists.end) >= 0).all()
        for kinds in (KINDS, ("cohesion",)):
            blocks = block_lists(sequence.lists, kinds, width=32)
            told = {
                (query, key)
                for query in range(len(blocks.begin) - 1)
                for key in blocks.key[blocks.begin[query] : blocks.begin[query + 1]].tolist()
            }
            assert told == {(t // 32, s // 32) for t, s, kind in wanted if KINDS[kind] in kinds}
            assert len(blocks.key) == len(told)
        seen += len(found)
    assert seen > 500


def test_a_block_that_begins_with_a_piece_of_several_words(
    cached: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first words are listed nowhere: no piece asks for them."""
    monkeypatch.setattr("pipeline.cache.whole.BLOCK", 4)
    monkeypatch.setattr("pipeline.cache.blocks.BLOCK", 4)
    bonds = [(1, 1, 0), (3, 3, 0), (4, 1, 1)]  # query word, words back, kind
    query, back, kind = np.array(bonds, np.int32).T
    lists = WordLists(begin=np.searchsorted(query, np.arange(6)), back=back, kind=kind.astype(np.uint8))
    start, end = np.array([(3, 4), (4, 5), (5, 6), (6, 7), (8, 10)], np.int32).T
    words = DocumentWords(start=start, end=end, sentence=np.zeros(5, np.int32), upos=np.ones(5, np.uint8), lists=lists)
    document = Document(id="a", source="a", split="train", language="en", text="\n\n\n!!!! He")
    table = whole_rows(document, Tokenizer.load(), words)
    assert table["pieces"].to_pylist()[1][0] == Tokenizer.load().document("!!!!")[1], "one piece, four words"
    cache = Cache.open(shutil.copytree(cached("whole"), tmp_path / "cache"))
    put(cache, table)
    sequences = Sequences(cache.folder, length=6)
    for first in range(5):
        run = Run(0, sequences.documents.documents.index("a"), first, 6 - first)
        found = pairs(sequences.read([run]).lists)
        assert found == [(q - first, k - first, kind) for q, k, kind in [(4, 4, 0), (5, 4, 1)]]


def same(one: SequenceBatch, other: SequenceBatch) -> bool:
    flat = [[*each[:2], *each.attributes.values(), *each[3:9]] for each in (one, other)]
    return all(torch.equal(a, b) for a, b in zip(*flat, strict=True))


# a worker that is slow to end is terminated by torch, in a destructor: on a busy machine Python may warn of that
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_stream_goes_on_with_another_number_of_workers(cached: Callable[[str], Path]) -> None:
    def loader(workers: int) -> Loader:
        return Loader(Sequences(cached("causal"), length=64, seed=1), rows=4, workers=workers, block_kinds=KINDS)

    whole = list(islice(loader(0), 40))
    state: dict[str, Any] | None = None
    stream: list[SequenceBatch] = []
    for workers, batches in ((0, 7), (2, 16), (1, 17)):
        part = loader(workers)
        if state:
            part.load_state_dict(state)
        stream += islice(part, batches)  # left in the middle, with batches under way
        state = json.loads(json.dumps(part.state_dict()))
    assert len(stream) == len(whole)
    assert all(same(one, other) for one, other in zip(stream, whole, strict=True))
    assert state
    assert state["epoch"] > 0, "the stream has gone into another epoch"


def test_going_on_without_leaving(cached: Callable[[str], Path]) -> None:
    sequences = Sequences(cached("causal"), length=64, seed=1)
    loader, whole = Loader(sequences, rows=2), list(islice(Loader(sequences, rows=2), 6))
    stream = [*islice(loader, 2), *islice(loader, 4)]
    assert all(same(one, other) for one, other in zip(stream, whole, strict=True))


def test_reading_draws_no_random_numbers(cached: Callable[[str], Path]) -> None:
    loader = Loader(Sequences(cached("causal"), length=64), rows=2)
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    assert len([*islice(loader, 2)]) == 2
    assert torch.equal(torch.rand(3), wanted)


@pytest.mark.parametrize(("rows", "world"), [(1, 2), (3, 2), (2, 5)])
def test_ranks_part_the_stream(cached: Callable[[str], Path], rows: int, world: int) -> None:
    sequences = Sequences(cached("causal"), length=128, seed=2)
    alone = [*Loader(sequences, rows=rows * world, epochs=2)]
    ranks = [[*Loader(sequences, rows=rows, rank=rank, world=world, epochs=2)] for rank in range(world)]
    total = sequences.rows(0) + sequences.rows(1)
    assert sum(len(batch.ids) for mine in ranks for batch in mine) == total == sum(len(batch.ids) for batch in alone)
    for number, batch in enumerate(alone):
        parts = [mine[number].ids for mine in ranks if number < len(mine)]
        assert torch.equal(torch.cat(parts), batch.ids)
    assert max(map(len, ranks)) - min(map(len, ranks)) <= 1


@pytest.mark.parametrize(("rows", "world"), [(13, 10), (1, 2), (3, 4), (500, 3)])
def test_all_ranks_end_at_one_place(cached: Callable[[str], Path], rows: int, world: int) -> None:
    sequences = Sequences(cached("causal"), length=128, seed=2)
    loaders = [Loader(sequences, rows=rows, rank=rank, world=world, epochs=1) for rank in range(world)]
    for loader in loaders:
        for _ in loader:
            pass
        assert loader.state_dict() == loaders[0].state_dict()
        assert (loader.state_dict()["epoch"], loader.state_dict()["position"]) == (1, 0)
        assert list(loader) == []


def test_one_epoch_reads_every_piece_once_and_then_ends(cached: Callable[[str], Path]) -> None:
    sequences = Sequences(cached("causal"), length=100, seed=0)
    loader = Loader(sequences, rows=4, epochs=1)
    read = sum(int((batch.attributes["document"] >= 0).sum()) for batch in loader)
    assert read == int((sequences.documents.pieces() - 1).sum())
    assert list(loader) == []


def test_a_state_of_another_stream_is_refused(cached: Callable[[str], Path]) -> None:
    loader = Loader(Sequences(cached("causal"), length=64, seed=1), rows=2)
    for change in ({"seed": 2}, {"length": 32}, {"layer": "pieces/other"}):
        with pytest.raises(ValueError, match="of another stream"):
            loader.load_state_dict({**loader.state_dict(), **change})


def test_a_state_of_other_content_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = Path(shutil.copytree(sample_corpus(), tmp_path / "corpus"))
    monkeypatch.setattr("tests.pipeline.bonded_cache.sample_corpus", lambda: corpus)
    cache = make(tmp_path / "cache", "causal", CAUSAL, 64, monkeypatch)
    before = Loader(Sequences(cache.folder, length=64), rows=2)
    state = before.state_dict()
    Loader(Sequences(cache.folder, length=64), rows=2).load_state_dict(state)
    reopen, settings = before.sequences.__reduce__()
    assert reopen(*settings).documents.digest == state["content"]
    file = next(each for each in sorted((corpus / "story").iterdir()) if " was " in each.read_text(encoding="utf-8"))
    file.write_text(file.read_text(encoding="utf-8").replace(" was ", " had "), encoding="utf-8")  # as many pieces
    make(tmp_path / "cache", "causal", CAUSAL, 64, monkeypatch)
    after = Loader(Sequences(cache.folder, length=64), rows=2)
    assert np.array_equal(after.sequences.documents.size, before.sequences.documents.size)
    with pytest.raises(ValueError, match="of another stream: its content is"):
        after.load_state_dict(state)
    with pytest.raises(Failure, match="have changed"):
        reopen(*settings)


def test_what_cannot_be_read_says_so(cached: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give the pieces of a sequence"):
        Sequences(cached("causal"), length=0)
    with pytest.raises(ValueError, match="no documents of the split 'nothing'"):
        Sequences(cached("causal"), "nothing", length=8)
    with pytest.raises(ValueError, match="is no cache"):
        Sequences(tmp_path, length=8)
    with pytest.raises(ValueError, match="count ranks from 0"):
        Loader(Sequences(cached("causal"), length=8), rows=1, rank=2, world=2)


def test_a_copy_is_made_anew_for_other_pieces_and_never_for_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = make(tmp_path / "cache", "causal", CAUSAL, 64, monkeypatch)
    before = Sequences(cache.folder, length=64)[0, 0]
    copies = sorted((cache.folder / "mapped").rglob("*.arrow"))
    times = [file.stat().st_mtime_ns for file in copies]
    assert np.array_equal(Sequences(cache.folder, length=64)[0, 0].ids, before.ids)
    assert [file.stat().st_mtime_ns for file in copies] == times
    copies[0].write_bytes(copies[1].read_bytes()[:100])  # torn
    assert np.array_equal(Sequences(cache.folder, length=64)[0, 0].lists.key, before.lists.key)
    file = cache.file(cache.layer("pieces"), 0)
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(Failure, match="valency repair"):
        Sequences(cache.folder, length=64)


def test_a_copy_whose_bytes_have_changed_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = make(tmp_path / "cache", "causal", CAUSAL, 64, monkeypatch)
    before = Sequences(cache.folder, length=64)
    rows = [before[0, row] for row in range(before.rows(0))]
    copies = sorted((cache.folder / "mapped").rglob("*.arrow"))
    good = [file.read_bytes() for file in copies]
    for place in np.random.default_rng(0).integers(0, len(good[0]), 5).tolist():
        bad = bytearray(good[0])
        bad[place] ^= 4
        copies[0].unlink()  # what is mapped stays as it is
        copies[0].write_bytes(bad)
        mapped._hashed.cache_clear()  # as a new process
        again = Sequences(cache.folder, length=64)
        assert [file.read_bytes() for file in copies] == good
        for row, wanted in enumerate(rows):
            assert np.array_equal(again[0, row].ids, wanted.ids)
            assert np.array_equal(again[0, row].lists.key, wanted.lists.key)
    copies[0].with_suffix(".json").write_text("{")  # torn
    Sequences(cache.folder, length=64)
    assert "sha256" in json.loads(copies[0].with_suffix(".json").read_text())


def forge(cache: Cache, change: Callable[[dict[str, Any]], None], row: int = 0) -> None:
    """Change a row of the pieces' first shard, and its sidecar with it: as of a program that writes other rows."""
    table = pq.read_table(cache.file(cache.layer("pieces"), 0))
    found = table.to_pylist()
    change(found[row])
    put(cache, pa.Table.from_pylist(found, schema=table.schema))


def put(cache: Cache, pieces: pa.Table) -> None:
    """Make these the pieces of the first shard."""
    layer = cache.layer("pieces")
    file, sidecar = cache.file(layer, 0), cache.sidecar(layer, 0)
    assert sidecar
    pq.write_table(pieces, file)
    write_sidecar(file, replace(sidecar, bytes=file.stat().st_size, sha256=sha256_of(file)))


@pytest.mark.parametrize("name", ["first_word", "key_tag", "bond_count", "bond_step", "bond_kind"])
def test_lists_that_do_not_go_together_are_damage(cached: Callable[[str], Path], tmp_path: Path, name: str) -> None:
    cache = Cache.open(shutil.copytree(cached("causal"), tmp_path / "cache"))
    forge(cache, lambda row: row[name].append(1), row=1)
    with pytest.raises(Failure, match=r"lists of one block differ in length\); run `valency repair"):
        Sequences(cache.folder, length=64)


def test_a_document_without_its_beginning_is_damage(cached: Callable[[str], Path], tmp_path: Path) -> None:
    cache = Cache.open(shutil.copytree(cached("causal"), tmp_path / "cache"))
    forge(cache, lambda row: row.update(block=1))
    with pytest.raises(Failure, match="are incomplete; run `valency preprocess`"):
        Sequences(cache.folder, length=64)
