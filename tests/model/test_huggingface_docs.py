"""The examples of docs/huggingface.md run as they stand, in an empty folder."""

import doctest
from pathlib import Path

import pytest

from model.layer import PRESETS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "huggingface.md"


def test_examples_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers", reason="transformers is not installed: pip install 'valency[hf]'")
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert tried > 20
    assert failed == 0


def test_the_page_has_every_preset() -> None:
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert [line.split("`")[1] for line in lines] == list(PRESETS)
    for line in lines:
        assert all(f"`{view}`" in line for view in PRESETS[line.split("`")[1]])
