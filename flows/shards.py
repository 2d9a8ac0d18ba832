"""The Prefect flow of preprocessing: one task a shard, in worker processes that load the parser once.

A task takes its shard through all stages: a task of Prefect's costs up to half a second of processor time, more than
a small shard's bonds and pieces together. Each layer of the shard is still made, and found again, by itself.
Whether a shard is made is for the cache to say, not for Prefect: a made shard's task is answered from Prefect's
results if it has them, by a key of the content alone, and costs a look at the sidecars if not.
"""

import gc
import os
import signal
from collections.abc import Callable, Mapping
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any, cast

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.context import TaskRunContext
from prefect.futures import PrefectFuture, as_completed
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner

from flows.children import end_children, note_child, stopping, watch_parent
from pipeline.accounts import account_of
from pipeline.bonds import BondConfig
from pipeline.cache.digest import digest, source_digest
from pipeline.cache.layout import Cache
from pipeline.errors import Failure, no_room
from pipeline.plan import Tools, annotator_of, parser_of, tokenizer_of
from pipeline.stages import BLOCKS, Done, bond_shard, made, made_from, parse_shard, piece_shard


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What every task needs to know; it travels to the workers."""

    cache: Cache
    layers: Mapping[str, str]
    """Path of each layer by name."""
    stages: tuple[str, ...]
    tools: Tools
    bonds: BondConfig

    @property
    def home(self) -> Path:
        """Prefect's data, and the notes of children."""
        return self.cache.folder / ".prefect"


def content_key(context: TaskRunContext, parameters: dict[str, Any]) -> str:
    """Prefect's name for a task's result: the same whenever the shard would have the same content."""
    job, shard = parameters["job"], parameters["shard"]
    documents = made_from(job.cache, shard, "words", job.layers) | {"blocks": source_digest(*BLOCKS)}
    return f"shard-{shard:05d}-{digest({'layers': dict(job.layers), 'from': documents})}"


@task(retries=2, retry_delay_seconds=1, cache_key_fn=content_key, persist_result=True, task_run_name="shard {shard}")
def make_shard(job: Job, shard: int) -> list[dict[str, Any]]:
    """All stages on one shard, in a worker; returns a Done a stage, as JSON values."""
    return [asdict(run_stage(job, stage, shard)) for stage in job.stages]


def run_stage(job: Job, stage: str, shard: int) -> Done:
    """One stage on one shard, without Prefect."""
    if stage == "words":
        return parse_shard(job.cache, shard, job.layers, parser_of(job.tools))
    if stage == "bonds":
        return bond_shard(job.cache, shard, job.layers, job.bonds)
    return piece_shard(job.cache, shard, job.layers, tokenizer_of(job.tools), annotator_of(job.tools))


def begin_worker(job: Job, parent: int) -> None:
    """In a new worker process: tie it to its parent, and load what every task needs."""
    watch_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt at the terminal reaches all; the parent handles it
    note_child(workers_of(job), os.getpid())
    # Last of all clean-up, after queues are flushed: taking the models apart would cost each worker seconds.
    Finalize(None, os._exit, args=(0,), exitpriority=-100)
    if "words" in job.stages:
        parser_of(job.tools)
    if "pieces" in job.stages:
        annotator_of(job.tools)
    gc.collect()
    gc.freeze()  # models and tables stay: Python's collector need not walk through them again and again


def workers_of(job: Job) -> Path:
    """Folder of the notes of worker processes."""
    return job.home / "workers"


OnShard = Callable[[list[Done]], None]


class StaysHere:
    """A call that a worker never makes. Prefect sends a flow's parameters along with every task; a display, with its
    locks, cannot travel, and need not."""

    def __init__(self, call: OnShard) -> None:
        self.call = call

    def __call__(self, done: list[Done]) -> None:
        self.call(done)

    def __reduce__(self) -> tuple[type["StaysHere"], tuple[OnShard]]:
        return StaysHere, (_nobody_listens,)


def _nobody_listens(done: list[Done]) -> None:
    """What becomes of the call elsewhere."""


@flow(name="preprocess", validate_parameters=False, persist_result=False)
def shards_flow(job: Job, on_shard: OnShard) -> None:
    """Make every shard of every layer, call on_shard with each as it is done, and publish the account as a table.

    Errors: Failure, naming the shard that cannot be made, or if the rows do not add up.
    """
    futures = {}
    for shard in range(job.cache.shards):
        there = all(made(job.cache, shard, stage, job.layers) for stage in job.stages)
        # What is not as it should be is made, whatever Prefect remembers of it.
        futures[make_shard.with_options(refresh_cache=not there).submit(job, shard)] = shard
    with stopping(workers_of(job)):
        try:
            for future in as_completed(list(futures)):
                on_shard(_done(future, futures[future], job.cache.folder))
        except BaseException:
            end_children(workers_of(job))  # or Prefect would wait until they have done what they were given
            raise
    account = account_of(job.cache, job.layers)
    create_table_artifact(table=account.rows(), key="valency-cache", description="What the cache holds.")


def _done(future: PrefectFuture[list[dict[str, Any]]], shard: int, folder: Path) -> list[Done]:
    try:
        return [Done(**each) for each in future.result()]
    except BrokenProcessPool as error:
        raise Failure(
            f"a worker process died over shard {shard} (out of memory?); what is done is kept: run again, with fewer "
            "workers, or into a new cache of more shards"
        ) from error
    except Exception as error:
        if full := no_room(error, folder):
            raise full from error
        raise Failure(f"shard {shard} cannot be made: {type(error).__name__}: {error}") from error


def run_flow(job: Job, workers: int, on_shard: OnShard) -> None:
    """Run the flow on so many processes, within flows.server.prefect_server."""
    runner = ProcessPoolTaskRunner(max_workers=workers, initializer=begin_worker, initargs=(job, os.getpid()))
    end_children(workers_of(job))  # of a run that was killed
    try:
        shards_flow.with_options(task_runner=cast(TaskRunner[PrefectFuture[Any]], runner))(job, StaysHere(on_shard))
    finally:
        end_children(workers_of(job))
