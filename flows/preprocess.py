"""Preprocessing as one job: documents, then the Prefect flow over shards, then the accounts.

Imports of Prefect stand inside: what is cached already needs no server, and answers in a second.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, time

from flows.children import stopping
from flows.server import prefect_server
from pipeline.accounts import Account, account_of
from pipeline.bonds import BondConfig
from pipeline.cache.layout import Cache
from pipeline.cache.lock import writing
from pipeline.errors import no_room
from pipeline.ingest import ingest
from pipeline.plan import Plan, Tools, keep_tools, plan_of
from pipeline.stages import STAGES, Done, made


@dataclass(frozen=True, slots=True, kw_only=True)
class PreprocessSettings:
    """Settings of `preprocess`; those that decide the result are part of the layers' names."""

    parser: str = "spacy"
    model: str | None = None
    """The parser's model, by name or folder; None: the shipped one."""
    tokenizer: str | None = None
    """A tokenizer.json; None: the shipped one."""
    annotator: str | None = None
    """Tables of the left-to-right annotator; None: the shipped ones."""
    shards: int = 16
    """Shards of a new cache."""
    workers: int = 2
    """Worker processes; the result is the same for any number."""
    bonds: BondConfig = field(default_factory=BondConfig)
    layers: tuple[str, ...] = STAGES
    """What to make: words, bonds (with statistics; needs words), pieces."""
    piece_bonds: str = "none"
    """Bonds in the pieces layer: none, causal, whole (pipeline.plan.PIECE_BONDS)."""

    def __post_init__(self) -> None:
        unknown = set(self.layers) - set(STAGES)
        if unknown or not self.layers:
            raise ValueError(f"layers is {self.layers}; name one or more of {', '.join(STAGES)}")
        if "bonds" in self.layers and "words" not in self.layers:
            raise ValueError("bonds are made from words: name both layers")
        if self.workers < 1:
            raise ValueError(f"workers is {self.workers}; give at least 1")

    @property
    def tools(self) -> Tools:
        return Tools(parser=self.parser, model=self.model, tokenizer=self.tokenizer, annotator=self.annotator)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stage (documents, shards) is, in shards; words counts the words of the shards that are done."""

    stage: str
    done: int
    total: int
    words: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a cache holds after preprocessing, and what it took."""

    documents: int
    """Read, quarantined ones included."""
    quarantined: int
    sentences: int
    words: int
    bonds: int
    bonds_by_kind: dict[str, int]
    pieces: int
    cache_bytes: int
    """Size of the current layers."""
    seconds: dict[str, float]
    """documents: reading inputs. start: server and digests. shards: the flow. words, bonds, pieces: processor
    time of all workers in that stage. total: all of it."""
    words_per_second: float
    """Words parsed by this run, by the time between the first and the last shard's work; 0 if nothing was parsed."""
    reused: int
    """Shards of all layers that were there already."""
    made: int


def preprocess(
    inputs: Sequence[str | Path],
    cache: str | Path,
    settings: PreprocessSettings | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Summary:
    """Text to words, features, bonds, statistics and pieces. What is in the cache and up to date is not made again.

    Errors: ValueError for inputs and settings that cannot be; Failure if a shard cannot be made, if the disk is full,
    if another process writes the cache, or if the rows do not add up.
    """
    settings = settings or PreprocessSettings()
    began = perf_counter()
    try:
        opened = Cache.create(cache, settings.shards)
        with stopping(), writing(opened):
            return _Run(opened, settings, on_progress, began).run(inputs)
    except OSError as error:
        if full := no_room(error, Path(cache)):
            raise full from error
        raise


class _Run:
    """One call of `preprocess`: holds what its steps share."""

    def __init__(
        self, cache: Cache, settings: PreprocessSettings, on_progress: Callable[[Progress], None], began: float
    ) -> None:
        self.cache, self.settings, self.on_progress, self.began = cache, settings, on_progress, began
        self.started = time()
        self.done: list[Done] = []
        self.seconds: dict[str, float] = {}

    def run(self, inputs: Sequence[str | Path]) -> Summary:
        settings = self.settings
        with ExitStack() as server:
            since = perf_counter()
            same = ingest(inputs, self.cache)
            self.seconds["documents"] = perf_counter() - since
            self.on_progress(Progress("documents", self.cache.shards, self.cache.shards, 0))
            since = perf_counter()
            # New documents surely need the server: it starts while the tools load.
            wait = None if same else server.enter_context(self._server())
            plan = plan_of(settings.tools, settings.bonds, settings.layers, settings.piece_bonds)
            missing = [name for name in self._shards() if not made(self.cache, name[1], name[0], plan.layers)]
            if missing:
                wait = wait or server.enter_context(self._server())
                import flows.shards  # noqa: F401, takes two seconds, which the server needs as well

                wait()
                self.seconds["start"] = perf_counter() - since
                self._flow(plan)
        if "pieces" in self.settings.layers:
            keep_tools(self.cache, self.settings.tools)
        account = account_of(self.cache, plan.layers)
        self.cache.register(plan.entries())
        return self._summary(account, len(missing))

    def _server(self) -> AbstractContextManager[Callable[[], None]]:
        return prefect_server(self.cache.folder / ".prefect")

    def _shards(self) -> list[tuple[str, int]]:
        return [(stage, shard) for stage in self.settings.layers for shard in range(self.cache.shards)]

    def _flow(self, plan: Plan) -> None:
        from flows.shards import Job, run_flow

        since = perf_counter()
        settings = self.settings
        job = Job(
            cache=self.cache, layers=plan.layers, stages=settings.layers, tools=settings.tools, bonds=settings.bonds
        )
        run_flow(job, settings.workers, self._on_shard)
        self.seconds["shards"] = perf_counter() - since

    def _on_shard(self, done: list[Done]) -> None:
        self.done += done
        finished = len({each.shard for each in self.done})
        words = sum(each.counts["words"] for each in self.done if each.stage == "words")
        self.on_progress(Progress("shards", finished, self.cache.shards, words))

    def _summary(self, account: Account, missing: int) -> Summary:
        # What Prefect answered from its own results was done in an earlier run: only this run's work is timed.
        fresh = [each for each in self.done if not each.reused and each.begun >= self.started]
        busy = {stage: sum(each.processor for each in fresh if each.stage == stage) for stage in STAGES}
        words = sum(each.counts["words"] for each in fresh if each.stage == "words")
        wall = max((each.ended for each in fresh), default=0.0) - min((each.begun for each in fresh), default=0.0)
        return Summary(
            documents=account.documents,
            quarantined=account.quarantined,
            sentences=account.sentences,
            words=account.words,
            bonds=account.bonds,
            bonds_by_kind=account.bonds_by_kind,
            pieces=account.pieces,
            cache_bytes=sum(account.bytes_by_layer.values()),
            seconds={**self.seconds, **busy, "total": perf_counter() - self.began},
            words_per_second=words / wall if words else 0.0,
            reused=len(self._shards()) - missing,
            made=missing,
        )
