"""The house: imports go down only, the training floor needs no parser, and what docs say of the package is so."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = ("lexicons", "pipeline", "model", "flows")
NOT_IN_MODEL = {"spacy", "stanza", "nltk", "prefect", "duckdb"}


def imports(file: Path) -> Iterator[str]:
    """The first part of every module that a file imports."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("floor", FLOORS)
def test_imports_go_down_only(floor: str) -> None:
    above = set(FLOORS[FLOORS.index(floor) + 1 :])
    files = sorted((ROOT / floor).rglob("*.py"))
    assert files
    climbing = {str(file.relative_to(ROOT)): above & set(imports(file)) for file in files if above & set(imports(file))}
    assert climbing == {}


def test_training_needs_no_parser_and_no_database() -> None:
    """In a fresh process: what `valency train` imports brings in none of what only preprocessing has."""
    said = "import model.train, sys; print(sorted(set(m.split('.')[0] for m in sys.modules) & set(sys.argv[1:])))"
    found = subprocess.run(
        [sys.executable, "-c", said, *NOT_IN_MODEL], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert found.stdout.strip() == "[]"


def test_no_file_is_more_than_one_idea() -> None:
    lengths = {
        file: len(file.read_text(encoding="utf-8").splitlines())
        for floor in FLOORS
        for file in (ROOT / floor).rglob("*.py")
    }
    assert {str(file): length for file, length in lengths.items() if length > 400} == {}


def test_readme_names_what_a_training_machine_needs() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["train"]
    names = {re.split(r"[<>=\[]", requirement)[0] for requirement in extras}
    line = next(
        line
        for line in (ROOT / "README.md").read_text().splitlines()
        if line.startswith("pip install -c constraints.txt ")
    )
    assert set(line.split()[4:]) == names
