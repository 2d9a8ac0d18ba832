"""The command line: exit codes, one-line errors that say what to do, and safety from stray files of the user's."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMAND = "import sys; sys.path.append(sys.argv.pop(1)); from flows.cli import main; main()"


def valency(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command in a folder, as its installed script runs: the folder itself is not on the path of imports."""
    line = [sys.executable, "-P", "-c", COMMAND, str(ROOT), *words]
    return subprocess.run(line, capture_output=True, text=True, cwd=cwd, env={**os.environ, "OMP_NUM_THREADS": "1"})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["frobnicate"], "No such command"),
        (["run", "--no-such-option"], "No such option"),
        (["stats", "nowhere"], "is no cache"),
        (["certify", "nowhere"], "holds no trained model yet"),
        (["sql", "nowhere", "SELECT 1"], "is no cache"),
        (["train", "nowhere", "--recipe", "tiny-veiws"], "did you mean 'tiny-views'?"),
        (["run", "--recipe", "sample-dens"], "did you mean 'sample-dense'?"),
        (["run", "no-such-file.txt"], "no-such-file.txt"),
        (["explain", "  "], "give a sentence"),
        (["fit", "parser", "--treebank", "."], "*-ud-train.conllu"),
        (["fit", "silver", "prepare", "text.txt", "--treebank", "."], "*-ud-train.conllu"),
        (["lexicon", "givve"], "did you mean 'give'"),
        (["lexicon", "dog", "--nltk-data", "."], "corpora/wordnet.zip"),
        (["fit", "lexicons", "--nltk-data", "."], "corpora/wordnet.zip"),
        (["fit", "upos", "--treebank", "."], "*-ud-train.conllu"),
        (["bench", "lexicons", "--conllu", "no.conllu"], "name a CoNLL-U file"),
        (["bench", "verbnet", "--data", "."], "name the folder above it"),
        (["corpus", "brown", "--data", ".", "--out", "text"], "nltk.downloader"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_would_be_right(words: list[str], said: str, tmp_path: Path) -> None:
    done = valency(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_explain_names_bonds_and_ignores_stray_files(tmp_path: Path) -> None:
    for name in ("model.py", "pipeline.py", "flows.py", "lexicons.py", "secrets.py"):
        (tmp_path / name).write_text("raise SystemExit('imported a stray file')\n")
    line = ["explain", "The teacher gave the boy a book.", "--json", "out/e.json", "--svg", "e.svg"]
    done = valency(*line, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    words = json.loads((tmp_path / "out" / "e.json").read_text())
    gave = next(word for word in words if word["text"] == "gave")
    assert {bond["word"] for bond in gave["bonds"] if bond["kind"] == "role"} == {"teacher", "boy", "book"}
    assert "Recipient" in done.stdout
    assert (tmp_path / "e.svg").read_text().startswith("<svg")
