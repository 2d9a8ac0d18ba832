"""Preprocessing as a Prefect flow, on a treebank of a few sentences: its gold trees need no trained parser."""

import errno
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from flows.preprocess import PreprocessSettings, Progress, Summary, preprocess
from pipeline.cache.layout import Cache
from pipeline.errors import Failure, no_room
from tests.pipeline.fakes import digests, rows

STORIES = {
    "garden": [["Anna/PROPN/2/nsubj", "planted/VERB/0/root", "roses/NOUN/2/obj", "./PUNCT/2/punct"]],
    "harbour": [
        ["The/DET/2/det", "pilot/NOUN/3/nsubj", "saw/VERB/0/root", "him/PRON/3/obj", "./PUNCT/3/punct"],
        ["He/PRON/2/nsubj", "waved/VERB/0/root", "./PUNCT/2/punct"],
    ],
    "kitchen": [["She/PRON/2/nsubj", "peeled/VERB/0/root", "apples/NOUN/2/obj", "./PUNCT/2/punct"]],
}


def write_treebank(folder: Path, stories: dict[str, list[list[str]]] = STORIES) -> Path:
    """A .conllu file, a document a story."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for name, sentences in stories.items():
        lines.append(f"# newdoc id = {name}")
        for sentence in sentences:
            for place, word in enumerate(sentence, start=1):
                form, tag, head, relation = word.split("/")
                lines.append(f"{place}\t{form}\t{form.lower()}\t{tag}\t_\t_\t{head}\t{relation}\t_\t_")
            lines.append("")
    (folder / "stories.conllu").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def treebank(tmp_path: Path) -> Path:
    return write_treebank(tmp_path / "treebank")


def settings(treebank: Path, workers: int = 1) -> PreprocessSettings:
    return PreprocessSettings(parser="conllu", model=str(treebank), shards=2, workers=workers)


@pytest.mark.usefixtures("server")
def test_a_cache_is_made_found_again_mended_and_grown(treebank: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    made = preprocess([treebank], tmp_path / "cache", settings(treebank), seen.append)
    assert (made.documents, made.quarantined, made.sentences, made.words) == (3, 0, 4, 16)
    assert made.bonds == sum(made.bonds_by_kind.values()) > 0
    assert (made.made, made.reused) == (6, 0)
    assert (seen[-1].stage, seen[-1].done, seen[-1].total, seen[-1].words) == ("shards", 2, 2, 16)
    cache = Cache.open(tmp_path / "cache")
    whole = digests(cache.folder)
    parsed = {row["document"] for row in rows(cache, cache.layer("words"))}
    assert parsed == {f"treebank/stories.conllu#{name}" for name in STORIES}
    tokenizer, annotator = cache.layer("pieces").removeprefix("pieces/").split(",")
    assert (cache.folder / "tokenizers" / f"{tokenizer.partition('=')[2]}.json").is_file()
    assert (cache.folder / "annotators" / f"{annotator.partition('=')[2]}.safetensors").is_file()

    again = preprocess([treebank], cache.folder, settings(treebank))
    assert (again.made, again.reused, again.words) == (0, 6, 16)

    file = cache.file(cache.layer("bonds"), 0)
    file.write_bytes(file.read_bytes()[:-9] + b"?" + file.read_bytes()[-8:])
    mended = preprocess([treebank], cache.folder, settings(treebank, workers=2))
    assert mended.made == 1
    assert digests(cache.folder) == whole

    write_treebank(treebank, {**STORIES, "attic": [["Dust/NOUN/2/nsubj", "fell/VERB/0/root", "./PUNCT/2/punct"]]})
    grown = preprocess([treebank], cache.folder, settings(treebank))
    assert (grown.documents, grown.words) == (4, 19)
    fresh = preprocess([treebank], tmp_path / "fresh", settings(treebank, workers=2))
    current = {path for name, path in cache.current().items()}
    assert {n: d for n, d in digests(cache.folder).items() if n.rpartition("/")[0] in current} == {
        n: d for n, d in digests(tmp_path / "fresh").items() if n.rpartition("/")[0] in current
    }
    assert replace(grown, seconds={}, words_per_second=0, made=0, reused=0) == replace(
        fresh, seconds={}, words_per_second=0, made=0, reused=0
    )


@pytest.mark.usefixtures("server")
def test_what_the_parser_does_not_know_is_quarantined_and_counted(treebank: Path, tmp_path: Path) -> None:
    (treebank / "unknown.txt").write_text("Nobody has parsed this.")
    (treebank / "broken.txt").write_bytes(b"\xff\xfe\x00")
    summary = preprocess([treebank], tmp_path / "cache", settings(treebank))
    assert (summary.documents, summary.quarantined, summary.words) == (5, 2, 16)


@pytest.mark.usefixtures("server")
def test_a_shard_that_cannot_be_made_is_named(treebank: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache.create(tmp_path / "cache", shards=2)
    (cache.folder / "pieces").write_text("in the way of a folder")
    with pytest.raises(Failure, match=r"shard [01] cannot be made: .*pieces"):
        preprocess([treebank], cache.folder, settings(treebank))
    assert cache.current() == {}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"layers": ("bonds",)}, "name both layers"),
        ({"layers": ()}, "name one or more"),
        ({"layers": ("words", "tables")}, "name one or more"),
        ({"workers": 0}, "at least 1"),
    ],
)
def test_settings_that_cannot_be_are_said(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PreprocessSettings(**wrong)  # type: ignore[arg-type]


def test_a_full_disk_is_told_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> bool:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("flows.preprocess.ingest", full)
    with pytest.raises(Failure, match=r"no room left for .*cache; make room and run the same command again"):
        preprocess([tmp_path], tmp_path / "cache")
    assert no_room(OSError(errno.EACCES, "Permission denied"), tmp_path) is None
    assert no_room(ValueError("28"), tmp_path) is None


def test_inputs_that_are_not_there_cost_no_server(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere"):
        preprocess([tmp_path / "nowhere"], tmp_path / "cache", PreprocessSettings())
    assert not (tmp_path / "cache" / ".prefect").exists()


@pytest.mark.slow
def test_nothing_is_written_outside_the_cache_and_stray_modules_are_ignored(treebank: Path, tmp_path: Path) -> None:
    """With a server of its own, in a home and a working folder that would trip a careless program."""
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    for name in ("secrets", "model", "pipeline", "flows", "queue"):
        (work / f"{name}.py").write_text("raise SystemExit('a stray module was imported')")
    root = Path(__file__).resolve().parents[2]
    program = (
        f"import sys; sys.path.append({str(root)!r}); from flows.preprocess import *;"
        "preprocess([sys.argv[1]], sys.argv[2], PreprocessSettings(parser='conllu', model=sys.argv[1], shards=2))"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    done = subprocess.run(
        [
            sys.executable,
            "-P",
            "-c",
            f"import sys; sys.path.append({str(root)!r}); {program}",
            treebank,
            tmp_path / "cache",
        ],
        cwd=work,
        env={**environment, "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(home.iterdir()) == []
    assert Cache.open(tmp_path / "cache").current()


def test_a_summary_is_plain_values() -> None:
    assert {field.type for field in Summary.__dataclass_fields__.values()} <= {
        int,
        float,
        dict[str, int],
        dict[str, float],
    }
