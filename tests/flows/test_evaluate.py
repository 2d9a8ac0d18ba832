"""`valency evaluate`, `profile`, `picture` and `overlap` from the outside, on a run of two steps."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from flows.evaluate import evaluate_run
from flows.overlap import overlap
from flows.overlap_pairs import SOURCES, Bonded, earlier_keys, looking_back, pairs_of_row, words_of_pieces
from flows.picture import Given, gates_of, picture, shares_of
from flows.pictures.attention import Looked, all_heads, beside_bonds, heads_by_kinds
from flows.pictures.overlap import heat_maps, interval, overlap_page
from flows.pictures.page import Shown, Table, write_page
from flows.profile import profile_run, tables
from model.config import ModelConfig, Recipe, TrainConfig
from model.config.patterns import PatternsConfig
from model.evaluate.shares import gate_shares
from model.layer import context_of_places
from model.run import load_result
from model.train import train
from model.transformer import Decoder
from pipeline.bonds import BondConfig, bonds_of
from pipeline.cache import Cache
from pipeline.cache.read import read_documents_of
from pipeline.pieces import Tokenizer
from pipeline.records import KINDS
from tests.flows.test_cli import valency
from tests.model.test_suites import write_blimp, write_gap
from tests.model.tiny_cache import STORIES, write_cache
from tests.pipeline.bonded_cache import CAUSAL, make
from tests.pipeline.sentences import words_of

SENTENCES = (
    "Anna/PROPN/2/nsubj gave=give/VERB/0/root Tom/PROPN/2/iobj the/DET/5/det letter/NOUN/2/obj ./PUNCT/2/punct",
    "He/PRON/2/nsubj read/VERB/0/root it/PRON/2/obj twice/ADV/2/advmod ./PUNCT/2/punct",
    "She/PRON/2/nsubj smiled=smile/VERB/0/root ./PUNCT/2/punct",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run beside its cache; nothing in the tests changes it."""
    folder = tmp_path_factory.mktemp("evaluate")
    write_cache(folder / "cache")
    model = ModelConfig(layers=2, dim=32, heads=4, views=("dense",))
    recipe = Recipe(name="quick", model=model, train=TrainConfig(steps=2, rows=2, length=32, warmup=1))
    train(folder / "cache", recipe, folder / "runs" / "quick")
    return folder / "runs" / "quick"


def test_text_in_a_file_is_scored_as_it_is_in_the_cache(run: Path, tmp_path: Path) -> None:
    (tmp_path / "story.txt").write_text(STORIES[5], encoding="utf-8")
    read = evaluate_run(run, str(tmp_path / "story.txt"), data=tmp_path)
    result = load_result(run)
    assert result is not None
    assert read["bits_per_byte"] == pytest.approx(result.bits_per_byte["test"], rel=1e-6)
    assert read["perplexity_per_piece"] == pytest.approx(result.perplexity["test"], rel=1e-6)
    assert read["words"] == len(STORIES[5].split()) + 1


def test_a_command_writes_what_made_its_numbers(run: Path, tmp_path: Path) -> None:
    write_blimp(tmp_path / "data" / "blimp" / "blimp_data.zip")
    asked = ("evaluate", str(run), "--on", "blimp", "--data", str(tmp_path / "data"), "--json", "b.json")
    done = valency(*asked, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    kept = json.loads((tmp_path / "b.json").read_text())
    assert kept["overall"]["cases"] == 3
    assert {"command", "commit", "versions", "device", "run", "seed"} <= set(kept)
    assert "all" in done.stdout


def test_suites_and_splits_by_name(run: Path, tmp_path: Path) -> None:
    for name in ("gap-development", "gap-validation"):
        write_gap(tmp_path / "gap" / f"{name}.tsv")
    found = evaluate_run(run, "gap", data=tmp_path)
    assert found["gap-development"] == found["gap-validation"]
    split = evaluate_run(run, "train", data=tmp_path)
    assert split["documents"] == 4
    assert split["bits_per_byte_low"] <= split["bits_per_byte"] <= split["bits_per_byte_high"]


def test_what_cannot_be_evaluated_says_what_to_do(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="VALENCY_DATA"):
        evaluate_run(run, "imdb", data=tmp_path)
    with pytest.raises(ValueError, match="there is no file"):
        evaluate_run(run, str(tmp_path / "none.txt"), data=tmp_path)
    with pytest.raises(ValueError, match="other pieces"):
        evaluate_run(run, "test", data=tmp_path, cache=write_cache(tmp_path / "other", {"test": STORIES[:1]}))
    with pytest.raises(ValueError, match="no trained model"):
        evaluate_run(tmp_path, "blimp", data=write_blimp(tmp_path / "blimp" / "blimp_data.zip").parents[1])


def test_a_profile_is_a_table_of_parts_by_lengths(run: Path) -> None:
    result = profile_run(run, [8, 16, 32], repeats=1)
    (_, times), (_, memory) = tables(result)
    assert times.column_names == memory.column_names == ["component", "8", "16", "32", "exponent"]
    assert times["component"].to_pylist()[-1] == "whole"
    with pytest.raises(ValueError, match="lengths up to"):
        profile_run(run, [8, 16, 10_000_000])


def bonded() -> Bonded:
    words = words_of(*SENTENCES)
    bonds = looking_back(bonds_of(words, BondConfig()))
    return Bonded("", words, bonds, bonds)


def test_controls_of_a_row_keep_the_queries_of_its_bonds() -> None:
    document = bonded()
    pairs = pairs_of_row(document, 2, 13, ["dependency"], seed=0)
    assert list(pairs) == ["dependency", "all kinds"]
    true, random, far, *_ = dict(zip(SOURCES, pairs["dependency"], strict=True)).values()
    assert len(true[0])
    assert np.array_equal(true[0], random[0])
    assert np.array_equal(true[0], far[0])
    for query, key in pairs["all kinds"]:
        assert ((key >= 0) & (key < query) & (query < 11)).all()


def test_random_keys_come_from_the_sentence_of_the_true_key() -> None:
    document = bonded()
    sentence = document.words.sentence
    kept = [earlier_keys(document.words, document.bonds, seed) for seed in range(4)]
    for drawn in kept:
        assert np.array_equal(np.sort(drawn.query), np.sort(document.bonds.query))
        wanted = sorted(zip(drawn.query.tolist(), sentence[drawn.key].tolist(), strict=True))
        true = zip(document.bonds.query.tolist(), sentence[document.bonds.key].tolist(), strict=True)
        assert wanted == sorted(true)
        assert (drawn.key < drawn.query).all()
    assert any(not np.array_equal(kept[0].key, other.key) for other in kept[1:])


def test_pieces_belong_to_the_last_word_in_them() -> None:
    tokenizer, text = Tokenizer.load(), "Anna gave Tom the letter . "
    words = words_of(SENTENCES[0])
    of_piece = words_of_pieces(tokenizer, text, words)
    assert of_piece[0] == of_piece[-1] == -1
    assert set(of_piece.tolist()) == {-1, 0, 1, 2, 3, 4, 5}
    assert np.array_equal(of_piece[of_piece >= 0], np.sort(of_piece[of_piece >= 0]))


def looked() -> Looked:
    weights = np.tril(np.random.default_rng(0).random((2, 2, 4, 4)))
    whole = np.concatenate([weights / weights.sum(-1, keepdims=True), np.zeros((2, 2, 4, 1))], axis=-1)
    pairs = {"dependency": (np.array([1, 3]), np.array([0, 1])), "role": (np.array([3]), np.array([1]))}
    return Looked(words=["A", "$cat", "sat", "."], weights=whole, pairs=pairs)


def test_masses_are_shares_of_attention() -> None:
    seen = looked()
    assert seen.masses().shape == (2, 2, 2)
    assert seen.masses()[0, 0, 0] == pytest.approx((seen.weights[0, 0, 1, 0] + seen.weights[0, 0, 3, 1]) / 2)
    assert [each.tolist() for each in seen.every_pair()] == [[1, 3], [0, 1]]


def test_pages_hold_pictures_and_leave_them_beside_as_files(tmp_path: Path) -> None:
    seen = looked()
    cell = {"mass": [[1.0, 2.0]], "ratio": {"c": {e: [[1.0, None]] for e in ("value", "low", "high")}}}
    heads = {"trained": {"role": {"v": cell}}, "untrained": {"role": {"v": cell}}}
    shown = [
        Shown("beside", "Beside", "caption", beside_bonds(seen)),
        Shown("heads", "Heads", "caption", all_heads(seen)),
        Shown("kinds", "Kinds", "caption", heads_by_kinds(seen)),
        Shown("maps", "Maps", "caption", heat_maps(heads, "c", "v")),
        Shown("drawn", "Drawn", "caption", "<svg></svg>"),
    ]
    files = write_page(tmp_path / "page.html", "A <title>", "lead", shown, [Table("t", "c", ["a"], [["1"]])])
    assert len(files) == 1 + 2 * 4
    for file in files:
        assert file.stat().st_size > 0
        if file.suffix == ".svg":
            assert ElementTree.fromstring(file.read_text(encoding="utf-8")).tag.endswith("svg")
        if file.suffix == ".png":
            assert file.read_bytes()[:4] == b"\x89PNG"
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "A &lt;title&gt;" in page
    assert not re.search(r"""(src|href)=["']?(http|//)|url\((?!#)|@import""", page)  # it loads nothing


def test_learning_curves_of_runs_stand_side_by_side(run: Path, tmp_path: Path) -> None:
    files = picture([run, run], None, tmp_path / "curves.html")
    assert [file.suffix for file in files] == [".html", ".svg", ".png"]
    with pytest.raises(ValueError, match="no curve"):
        picture([tmp_path], None, tmp_path / "curves.html")


def test_gates_of_a_run_are_drawn_where_it_has_any(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert gates_of(run) is None
    config = ModelConfig(layers=2, dim=16, heads=2, kind_gates=True)
    gated = Decoder(config, 40)
    monkeypatch.setattr("flows.picture.load_run", lambda _: (gated, None))
    found = gates_of(run)
    assert found is not None
    assert found.shape == (2, 2, len(KINDS))
    assert np.allclose(found, 1 / (1 + np.exp(-4.0)))
    assert "page-gates.png" in {file.name for file in picture([run], None, tmp_path / "page.html")}


def test_shares_of_patterns_are_drawn_where_gates_mix_them() -> None:
    settings = PatternsConfig(patterns=("local", "strided"), gate="head", strides=(1, 2))
    torch.manual_seed(0)
    model = Decoder(ModelConfig(layers=3, dim=16, heads=2, pattern=("adaptive", "views"), patterns=settings), 40)
    ids, context = torch.arange(12)[None], context_of_places(1, 12)
    found = gate_shares(model, ids, context)
    assert found is not None
    assert found[0] == ("local", "strided")
    assert torch.equal(found[1][0], torch.full((2, 2), 0.5))
    assert found[1].isnan().all((1, 2)).tolist() == [False, True, False]
    shown = shares_of(Given(SimpleNamespace(model=model), ids, context))  # type: ignore[arg-type]
    assert shown is not None
    assert "share" in {each.get_ylabel() for each in shown.figure.axes}
    plain = Decoder(ModelConfig(layers=1, dim=16, heads=2), 40)
    assert gate_shares(plain, ids, context) is None


def test_intervals_are_said_in_words() -> None:
    assert interval([1.234, 1.0, 1.5]) == "1.23 (1.00 to 1.50)"
    assert interval([None, None, None]) == "–"


@pytest.fixture(scope="module")
def bonded_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps on stories and letters of the sample, in a cache with causal bonds."""
    folder = tmp_path_factory.mktemp("bonded")
    with pytest.MonkeyPatch.context() as patch:
        make(folder / "cache", "causal", CAUSAL, 4096, patch)
    model = ModelConfig(layers=2, dim=32, heads=4, views=("dense", "sentence"))
    train_config = TrainConfig(steps=2, rows=2, length=64, warmup=1)
    train(folder / "cache", Recipe(name="bonded", model=model, train=train_config), folder / "runs" / "bonded")
    return folder / "runs" / "bonded"


def test_new_text_is_read_as_the_caches_is(bonded_run: Path, tmp_path: Path) -> None:
    cache = Cache.open(bonded_run.parents[1] / "cache")
    every = (document for shard in range(cache.shards) for document in read_documents_of(cache, shard))
    held = [document for document in every if document.split == "test"]
    for number, document in enumerate(held):
        (tmp_path / "texts").mkdir(exist_ok=True)
        (tmp_path / "texts" / f"{number}.txt").write_text(document.text, encoding="utf-8")
    read = evaluate_run(bonded_run, str(tmp_path / "texts"), data=tmp_path)
    split = evaluate_run(bonded_run, "test", data=tmp_path)
    assert read["nats_per_byte"] == pytest.approx(split["nats_per_byte"], rel=1e-6)
    assert (read["words"], read["fixed_pieces"]) == (split["words"], split["fixed_pieces"])


def test_overlap_is_measured_and_drawn(bonded_run: Path, tmp_path: Path) -> None:
    found = overlap(bonded_run, most=300)
    kinds = {row["kind"] for row in found["summary"]}
    assert {"dependency", "all kinds"} <= kinds
    assert {row["model"] for row in found["summary"]} == {"trained", "untrained"}
    row = next(row for row in found["summary"] if row["kind"] == "all kinds" and row["variant"] == "everything")
    assert row["pairs"] > 50
    for each in found["summary"]:
        if each["variant"] == "everything" and each["pairs"]:  # a control for every pair, in the row as well
            assert each["density"]["random-keys"] == each["density"]["same-distances"] == 1.0
    assert 0 < row["mass"]["bonds"] < 1
    assert len(found["heads"]["trained"]["dependency"]["everything"]["mass"]) == 2  # layers
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    shown, tables_shown = overlap_page(found)
    assert len(write_page(tmp_path / "o.html", "t", "l", shown, tables_shown)) == 5


@pytest.mark.slow  # preprocesses and parses the sample
def test_overlap_of_a_run_on_the_sample(tmp_path: Path) -> None:
    assert valency("preprocess", "--cache", "cache", cwd=tmp_path).returncode == 0
    assert valency("train", "cache", "--recipe", "sample-dense", "--steps", "5", cwd=tmp_path).returncode == 0
    [run] = (tmp_path / "runs").iterdir()
    done = valency("overlap", str(run), "--json", "o.json", "--most", "600", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    kept = json.loads((tmp_path / "o.json").read_text())
    assert {row["model"] for row in kept["summary"]} == {"trained", "untrained"}
    assert (run / "overlap-same-distances.png").stat().st_size
    drawn = valency("picture", str(run), "--text", "Anna gave Tom the letter and he read it.", cwd=tmp_path)
    assert drawn.returncode == 0, drawn.stderr
    assert (tmp_path / "picture-beside.png").stat().st_size
