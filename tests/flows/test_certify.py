"""`valency certify`: the certificate stands in the run directory, and what cannot be certified says why."""

import json
import shutil
from pathlib import Path

import pytest

from flows.certify import CERTIFICATE, certify_run
from model.config import ModelConfig, Recipe, TrainConfig
from model.evaluate.certificate import CertificateConfig
from model.train import train
from tests.flows.test_cli import valency
from tests.model.tiny_cache import STORIES, write_cache

SOME = CertificateConfig(documents=1, pieces=24)


def trained(folder: Path, *, leaky: bool = False) -> Path:
    """A run of two steps, where `valency train` leaves it."""
    name = "quick-leaky" if leaky else "quick"
    views = ("dense", "pos & sentence", "sentences(2)", "window(4)")
    model = ModelConfig(layers=2, dim=32, heads=4, views=views, tags=True)
    recipe = Recipe(name=name, leaky=leaky, model=model, train=TrainConfig(steps=2, rows=2, length=16, warmup=1))
    cache = folder / "cache"
    if not cache.exists():
        write_cache(cache)
    train(cache, recipe, folder / "runs" / name)
    return folder / "runs" / name


def test_a_trained_run_is_certified_by_one_command(tmp_path: Path) -> None:
    run = trained(tmp_path)
    done = valency("certify", "runs/quick", "--documents", "1", "--pieces", "24", "--json", "c.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 documents, 24 pieces" in done.stdout
    assert done.stdout.strip().endswith("certified")
    kept = json.loads((run / CERTIFICATE).read_text())
    assert kept == json.loads((tmp_path / "c.json").read_text())
    assert kept["certified"] is True
    assert kept["attributes"] == kept["attributes_streamed"]
    assert kept["keys"] == kept["keys_streamed"]
    assert kept["max_difference"] <= 1e-9
    assert (kept["documents"], kept["pieces"], kept["first_break"]) == (1, 24, None)
    assert kept["attribute_pieces"] == 24
    for name in ("weights", "recipe", "annotator", "tokenizer", "seed", "command", "commit", "versions", "device"):
        assert name in kept
    result = json.loads((run / "result.json").read_text())
    assert kept["recipe"] == result["made_from"]["recipe"]


def test_whole_documents_are_replayed_by_their_attributes(tmp_path: Path) -> None:
    run = trained(tmp_path)
    done = valency("certify", "runs/quick", "--pieces", "24", "--whole", "--json", "c.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    kept = json.loads((run / CERTIFICATE).read_text())
    assert kept["pieces"] == 24 < kept["attribute_pieces"]
    assert f"1 documents, 24 pieces, attributes of {kept['attribute_pieces']}; largest" in done.stdout
    again = certify_run(run, None, CertificateConfig(pieces=24))
    assert again.attribute_pieces == again.pieces == 24
    assert again.keys == kept["keys"]


def test_a_leaky_run_says_where_it_broke(tmp_path: Path) -> None:
    run = trained(tmp_path, leaky=True)
    done = valency("certify", "runs/quick-leaky", "--documents", "1", "--pieces", "24", cwd=tmp_path)
    assert done.returncode == 1
    assert "NOT CERTIFIED: the two sides part with attributes at piece" in done.stdout
    kept = json.loads((run / CERTIFICATE).read_text())
    assert kept["certified"] is False
    assert kept["first_break"]["what"] == "attributes"


def test_the_cache_must_be_the_runs_own(tmp_path: Path) -> None:
    run = trained(tmp_path)
    shutil.move(tmp_path / "cache", tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"there is no cache beside .* name the one it was trained on with --cache"):
        certify_run(run, None, SOME)
    other = write_cache(tmp_path / "other", {"train": STORIES[:2], "validation": STORIES[2:3], "test": STORIES[3:4]})
    with pytest.raises(ValueError, match="was trained on other pieces"):
        certify_run(run, other, SOME)
    assert not (run / CERTIFICATE).exists()
    assert certify_run(run, tmp_path / "elsewhere", SOME).certified
