"""Law 5: a killed stage resumes and ends in the same bytes; and nothing that it started outlives it."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from flows.children import end_children, identity, living_children, note_child, stopping
from pipeline.cache.layout import Cache
from pipeline.cache.lock import writing
from pipeline.cache.verify import verify
from pipeline.corpus import Document, sample_corpus
from pipeline.ingest import ingest
from pipeline.records import Words
from pipeline.stages import parse_shard
from tests.pipeline.fakes import LAYERS, STORIES, FakeParser, digests, write_stories

ROOT = Path(__file__).resolve().parents[2]


class SlowParser(FakeParser):
    """Says where it is, and takes its time over the second document."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def parse(self, documents: Sequence[Document]) -> tuple[Words, dict[str, str]]:
        if "Anna wrote" in documents[0].text:
            self.place.touch()
            time.sleep(60)
        return super().parse(documents)


def parse_slowly(folder: str, place: str) -> None:
    import pipeline.stages

    pipeline.stages.PARSE_CHARACTERS = 1  # every document is a row group
    parse_shard(Cache.open(folder), 0, LAYERS, SlowParser(Path(place)))


def wait_for(happened: Callable[[], object], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def test_a_stage_killed_between_two_row_groups_ends_in_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.stages.PARSE_CHARACTERS", 1)
    for name in ("killed", "undisturbed"):
        ingest([write_stories(tmp_path / "stories", STORIES)], Cache.create(tmp_path / name, shards=1))
    killed, undisturbed = Cache.open(tmp_path / "killed"), Cache.open(tmp_path / "undisturbed")
    place = tmp_path / "in the middle"
    child = multiprocessing.get_context("spawn").Process(target=parse_slowly, args=(str(killed.folder), str(place)))
    child.start()
    wait_for(place.exists)
    child.kill()
    child.join()
    assert list((killed.folder / LAYERS["words"]).glob(".*.tmp"))
    assert killed.sidecar(LAYERS["words"], 0) is None
    with writing(killed):
        parse_shard(killed, 0, LAYERS, FakeParser())
    parse_shard(undisturbed, 0, LAYERS, FakeParser())
    assert digests(killed.folder) == digests(undisturbed.folder)
    assert not list((killed.folder / LAYERS["words"]).glob(".*.tmp"))


def test_children_are_known_by_more_than_their_number(tmp_path: Path) -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    wait_for(lambda: "sleep" in identity(sleeper.pid))
    note_child(tmp_path, sleeper.pid)
    (tmp_path / str(os.getpid())).write_text("123 somebody else with our number")
    (tmp_path / "999999999").write_text("123 gone")
    assert living_children(tmp_path) == [sleeper.pid]
    assert end_children(tmp_path) == [sleeper.pid]
    assert sleeper.wait() == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


def test_a_termination_unwinds_and_ends_the_workers_first(tmp_path: Path) -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    note_child(tmp_path, sleeper.pid)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stopped, stopping(tmp_path):
        signal.raise_signal(signal.SIGTERM)
    assert stopped.value.code == 143
    assert sleeper.wait() == -signal.SIGKILL
    assert signal.getsignal(signal.SIGTERM) is before


PROGRAM = """
import sys
sys.path.append(sys.argv[1])
if __name__ == "__main__":
    from flows.preprocess import PreprocessSettings, preprocess
    preprocess([sys.argv[2]], sys.argv[3], PreprocessSettings(shards=8, workers=int(sys.argv[4])))
"""


def start(cache: Path, workers: int) -> "subprocess.Popen[bytes]":
    """A run of its own, with its own server, as the command would start it."""
    program = cache.parent / "preprocess_once.py"
    program.write_text(PROGRAM)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    command = [sys.executable, "-P", str(program), str(ROOT), str(sample_corpus()), str(cache), str(workers)]
    return subprocess.Popen(command, env=environment)


def children(cache: Path) -> list[int]:
    return living_children(cache / ".prefect" / "server") + living_children(cache / ".prefect" / "workers")


def made_shards(cache: Path, layer: str) -> int:
    return len(list(cache.glob(f"{layer}/*/shard-*.json")))


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["words", "pieces"])
def test_kill_9_in_the_middle_and_run_again_gives_the_same_digests(tmp_path: Path, layer: str) -> None:
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    run = start(killed, workers=2)
    wait_for(lambda: made_shards(killed, layer) >= 2)
    started = children(killed)
    assert len(started) == 3  # server and two workers
    run.kill()
    run.wait()
    assert made_shards(killed, "pieces") < 8
    wait_for(lambda: not children(killed), seconds=20)
    assert start(killed, workers=1).wait(timeout=600) == 0
    assert start(undisturbed, workers=2).wait(timeout=600) == 0
    assert digests(killed) == digests(undisturbed)
    assert verify(Cache.open(killed)) == []
    assert json.loads((killed / "cache.json").read_text()) == json.loads((undisturbed / "cache.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, -signal.SIGINT)])
def test_a_stopped_run_takes_its_children_with_it(tmp_path: Path, number: signal.Signals, code: int) -> None:
    run = start(tmp_path / "cache", workers=2)
    wait_for(lambda: made_shards(tmp_path / "cache", "words") >= 1)
    run.send_signal(number)
    assert run.wait(timeout=30) == code
    assert children(tmp_path / "cache") == []
