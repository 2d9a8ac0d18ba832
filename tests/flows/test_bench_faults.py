"""The bench of faults: its judges are strict, its cases the same every time, and a sample of every trial is well."""

import json
from pathlib import Path
from random import Random

import pytest

from flows.bench.faults import TRIALS, bench_faults, summary
from flows.bench.faults.commands import Bench, Ended
from flows.bench.faults.documents import faults_of, faults_within, statuses, write_hostile
from flows.bench.faults.fuzz import fuzz_case
from flows.bench.faults.fuzz_child import Fuzz, ours
from flows.bench.faults.hostile import HUGE, KINDS
from flows.bench.faults.mutate import mutation_of
from model.config import RECIPES
from pipeline.bonds import BondConfig
from pipeline.cache.layout import DOCUMENTS, Cache
from pipeline.ingest import ingest
from pipeline.parsers import load_parser
from pipeline.plan import Tools, annotator_of, keep_tools, tokenizer_of
from pipeline.stages import bond_shard, parse_shard, piece_shard
from tests.pipeline.fakes import STORIES, cache_of


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """All layers of the stories."""
    return with_pieces(cache_of(tmp_path_factory.mktemp("faults"), STORIES))


def with_pieces(cache: Cache) -> Cache:
    tools = Tools()
    tokenizer, annotator = tokenizer_of(tools), annotator_of(tools)
    layers = {"documents": DOCUMENTS, "pieces": f"pieces/tokenizer={tokenizer.digest},annotator={annotator.digest}"}
    for shard in range(cache.shards):
        piece_shard(cache, shard, layers, tokenizer, annotator)
    keep_tools(cache, tools)
    cache.register({"pieces": (layers["pieces"], {"tokenizer": tokenizer.digest, "annotator": annotator.digest})})
    return cache


def test_mutated_files_are_read_well_or_refused(cache: Cache, tmp_path: Path) -> None:
    fuzz = Fuzz(cache.folder, RECIPES, tmp_path / "scratch")
    found = [fuzz.case(Random(f"test {number}")) for number in range(150)]
    assert [told for outcome, told in found if outcome not in ("read", "refused")] == []
    assert sum(outcome == "refused" for outcome, _ in found) > 50
    assert {file: file.read_bytes() for file in fuzz.whole} == fuzz.whole  # all is put right again


def test_a_mutation_is_the_same_every_time(cache: Cache) -> None:
    content = {file.name: file.read_bytes() for file in [cache.file(DOCUMENTS, 0), *RECIPES.glob("*.toml")]}
    for number in range(50):
        for name, whole in content.items():
            (one, mutate), (other, again) = (mutation_of(Random(number), name) for _ in range(2))
            assert one == other
            assert mutate(Random(number), whole) == again(Random(number), whole)


def test_only_errors_that_we_raise_ourselves_count_as_clear(tmp_path: Path) -> None:
    def caught(make: object) -> BaseException:
        with pytest.raises(BaseException) as error:  # noqa: PT011, any
            make()  # type: ignore[operator]
        return error.value

    assert ours(caught(lambda: Cache.open(tmp_path)))
    assert not ours(caught(lambda: json.loads("{")))  # a ValueError, but not ours
    assert not ours(caught(lambda: [].index(3)))  # type: ignore[var-annotated]
    assert not ours(caught(lambda: (tmp_path / "x").read_text()))


def test_a_process_that_dies_or_hangs_is_counted_and_the_rest_is_done(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that dies of mutation 2 and hangs at 5."""
    child = (
        "import json, os, sys, time\nasked = json.loads(sys.stdin.readline())\n"
        "for n in range(asked['first'], asked['last']):\n"
        "    if n == 2: os.kill(os.getpid(), 11)\n"
        "    if n == 5: time.sleep(60)\n"
        "    print(n, 'read', '', flush=True)\n"
    )
    monkeypatch.setattr("flows.bench.faults.fuzz.CHILD", child)
    monkeypatch.setattr("flows.bench.faults.fuzz.HANG", 2)
    row = fuzz_case(bench(tmp_path, fuzz=8), 0)
    assert row["counts"] == {"read": 6, "crash": 1, "hang": 1}
    assert [each["number"] for each in row["wrong"]] == [2, 5]
    assert not row["passed"]


def bench(out: Path, **counts: int) -> Bench:
    return Bench(corpora=(), out=out, seed=0, counts=counts)


def test_a_command_is_refused_clearly_with_its_code_and_one_line_of_ours() -> None:
    assert Ended(1, "documents: 4 shards\nvalency: no space left on the device\n").clear
    assert not Ended(0, "valency: well").clear
    assert not Ended(1, "Traceback (most recent call last):\n  …\nvalency: x").clear
    assert not Ended(-9, "").clear


def test_every_kind_of_hostile_document_ends_as_it_must(tmp_path: Path) -> None:
    """Without a command, and with the parser that reads from left to right: documents, words, bonds, pieces."""
    expected = write_hostile(tmp_path / "corpus", 2 * len(KINDS), None, Random(0))
    assert {kind for kind, _ in expected.values()} >= {*KINDS}
    cache = Cache.create(tmp_path / "cache", shards=2)
    ingest([tmp_path / "corpus"], cache)
    parser = load_parser("prefix")
    layers = {"documents": DOCUMENTS, "words": "words/p=f", "bonds": "bonds/p=f", "stats": "stats/p=f"}
    for shard in range(2):
        parse_shard(cache, shard, layers, parser)
        bond_shard(cache, shard, layers, BondConfig())
    cache.register({name: (path, {}) for name, path in layers.items()})
    with_pieces(cache)
    assert [*faults_of(statuses(cache), expected)] == []
    assert [*faults_within(cache)] == []


def test_a_summary_counts_what_was_tried() -> None:
    rows = [
        {"case": 0, "passed": True, "outcome": "well", "counts": {"read": 2, "refused": 3}, "seconds": 1.0},
        {"case": 1, "passed": False, "outcome": "WRONG", "counts": {"read": 1, "crash": 1}, "seconds": 0.5},
    ]
    told = summary(rows)
    assert (told["cases"], told["passed"], told["tried"], told["seconds"]) == (2, 1, 7, 1.5)
    assert told["outcomes"] == {"read": 3, "refused": 3, "crash": 1}


def test_trials_that_are_none_and_records_of_other_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no trial 'kill'"):
        bench_faults(tmp_path, only=["kill"])
    (tmp_path / "settings.json").write_text('{"seed": 7}')
    with pytest.raises(ValueError, match="records of other settings"):
        bench_faults(tmp_path, only=["fuzz"])


@pytest.mark.slow
@pytest.mark.parametrize("trial", TRIALS)
def test_a_sample_of_every_trial_is_well(trial: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """One folder for all: the undisturbed cache is made once, and trials that are done are not done again."""
    out = tmp_path_factory.getbasetemp() / "bench"
    counts = {"kills": 2, "fuzz": 1500, "documents": 2 * len(KINDS)}
    found = bench_faults(out, only=[trial], counts=counts, cases=2, at_once=1)
    assert found["passed"], json.dumps(found["trials"][trial], indent=1)
    again = bench_faults(out, only=[trial], counts=counts, cases=2, at_once=1)
    assert again["trials"] == found["trials"]


def test_every_batch_has_a_huge_document_and_a_known_number(tmp_path: Path) -> None:
    for number in range(len(HUGE)):
        expected = write_hostile(tmp_path / str(number), 40, number, Random(number))
        assert len(expected) == 40
        assert [*HUGE][number] in {kind for kind, _ in expected.values()}
