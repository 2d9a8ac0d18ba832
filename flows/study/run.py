"""A study from its plan to its lines: stage by stage, on as many devices as there are, resumable at any run.

    run_study(plan, StudySettings(caches={...}, out=Path("data/results"), work=Path("out/study"), devices=("cuda:0",)))

A run is finished when its line stands in NAME.jsonl; running the study again does the others. What a later stage runs
follows from the lines of earlier ones, so an interrupted study goes on as if it had not been.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from flows.study.ledger import Ledger, OnLine
from flows.study.lines import join_articles
from flows.study.plan import Plan
from flows.study.stages import StudyRun, stages
from flows.study.worker import Place, train_on
from model.evaluate.leak_meter import MeterConfig
from model.packed.lane import LaneShape
from pipeline.cache.layout import Cache
from pipeline.errors import Failure
from pipeline.provenance import cores

CHUNK_STEPS = 12_000
"""About as many steps are sent to a device at once: half a minute of a GPU. Fewer, and lanes are built too often; more,
and at the end of a stage one device works while the others wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySettings:
    """Where and on what a study runs."""

    caches: Mapping[str, Path]
    """The cache of each corpus of the plan."""
    out: Path
    """Folder of NAME.jsonl and NAME.articles.parquet."""
    work: Path
    """Folder of what is needed until the end: weights, articles of single runs."""
    devices: tuple[str, ...] = ("cpu",)
    lanes: int = 2
    """Runs side by side on a device. One fills an H200 from 5M parameters on; a second hides the first's beginning."""
    measurers: int | None = None
    """Processes that measure leaks; None: as many as there are cores left."""
    meter: MeterConfig = field(default_factory=MeterConfig)


def run_study(plan: Plan, settings: StudySettings, on_line: OnLine) -> None:
    """Run what is missing of a study.

    Errors: ValueError if a corpus has no cache or two have different tokenizers; Failure if a device or a measurement
    fails: what is finished stays.
    """
    check_caches(plan, settings.caches)
    place = Place(
        study=plan.name,
        caches=settings.caches,
        articles=settings.work / plan.name / "articles",
        weights=settings.work / plan.name / "weights",
    )
    file = settings.out / f"{plan.name}.jsonl"
    measurers = settings.measurers or max(1, cores() - 2 * len(settings.devices))
    with _Devices(settings, place) as devices, ProcessPoolExecutor(measurers, get_context("spawn")) as pool:
        ledger = Ledger(plan, file, place, pool, settings.meter, on_line)
        for stage, runs in stages(plan, ledger.lines):
            with ledger.stage(stage, runs) as missing:
                for line in devices.train(list(missing.values())):
                    ledger.add(missing[line["run"]], line)
            join_articles(place.articles, file.with_suffix(".articles.parquet"), ledger.lines)


def check_caches(plan: Plan, caches: Mapping[str, Path]) -> None:
    """Errors: ValueError if a corpus has no cache or not the tokenizer of the others."""
    for corpus in plan.corpora:
        if corpus not in caches:
            raise ValueError(f"the study reads {corpus!r}; name its cache, as in --cache {corpus}=FOLDER")
    tokenizers = {corpus: Cache.open(caches[corpus]).layer("pieces").rpartition("tokenizer=")[2].partition(",")[0]
                  for corpus in plan.corpora}  # fmt: skip
    if len(set(tokenizers.values())) > 1:
        raise ValueError(f"the caches have tokenizers {tokenizers}; a study compares perplexity, so make them with one")


class _Devices:
    """A process for each device, kept from stage to stage: what it has compiled, it need not compile again."""

    def __init__(self, settings: StudySettings, place: Place) -> None:
        self.settings, self.place = settings, place
        self.processes: list[Any] = []
        self.connections: list[Connection] = []

    def __enter__(self) -> "_Devices":
        spawn = get_context("spawn")
        for device in self.settings.devices:
            ours, theirs = spawn.Pipe()
            words = (device, self.place, self.settings.lanes, theirs)
            process = spawn.Process(target=train_on, args=words, daemon=True)
            process.start()
            theirs.close()  # ours alone stays open: if the process dies, reading from it ends
            self.processes.append(process)
            self.connections.append(ours)
        return self

    def __exit__(self, *_: object) -> None:
        for connection, process in zip(self.connections, self.processes, strict=True):
            with contextlib.suppress(OSError):  # it may be gone already
                connection.send(None)
            process.join(timeout=5)
            if process.is_alive():
                process.terminate()

    def train(self, runs: Sequence[StudyRun]) -> Iterator[dict[str, Any]]:
        """Lines as the runs end, in any order."""
        chunks = in_chunks(runs)
        busy = [connection for connection in self.connections if _send(connection, chunks)]
        while busy:
            for ready in wait(busy):
                assert isinstance(ready, Connection)
                try:
                    said = ready.recv()
                except EOFError:
                    raise Failure(
                        "a process of the study died; run the study again, and it goes on from here"
                    ) from None
                if isinstance(said, Exception):
                    raise Failure(f"{said}; run the study again when it is mended, and it goes on from here")
                if said is not None:
                    yield said
                elif not _send(ready, chunks):
                    busy.remove(ready)


def _send(connection: Connection, chunks: Iterator[list[StudyRun]]) -> bool:
    """Send the next chunk; False if there is none left."""
    chunk = next(chunks, None)
    if chunk is None:
        return False
    connection.send(chunk)
    return True


def in_chunks(runs: Sequence[StudyRun]) -> Iterator[list[StudyRun]]:
    """Runs in lists of one shape, in the plan's order: what stands first there is known first."""
    chunks: list[list[StudyRun]] = []
    open_chunks: dict[LaneShape, list[StudyRun]] = {}
    for run in runs:
        shape = LaneShape.of(run.recipe, 0, pieces=0, steps=0, batches=0)
        if shape not in open_chunks:
            open_chunks[shape] = []
            chunks.append(open_chunks[shape])
        open_chunks[shape].append(run)
        if sum(map(cost, open_chunks[shape])) >= CHUNK_STEPS:
            del open_chunks[shape]
    yield from chunks


def cost(run: StudyRun) -> int:
    """Steps, in those of six layers of width 256: of the smallest models three take the time of one."""
    return run.recipe.train.steps // (3 if run.recipe.model.layers * run.recipe.model.dim < 1024 else 1)
