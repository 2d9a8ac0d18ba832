"""The ledger of a study: runs that are trained wait here until their leaks are measured and they are replayed piece by
piece; then they get their line."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.study.lines import append_line, read_lines
from flows.study.plan import Plan, Settings
from flows.study.stages import StudyRun
from flows.study.worker import Place, certificate_of, leak_of, leaks_told, made_from, weights_file
from model.evaluate.given import attributes_of
from model.evaluate.leak_meter import Leak, MeterConfig
from pipeline.errors import Failure

OnLine = Callable[[str, int, int, Mapping[str, Any]], None]
"""(stage, runs done, runs of the stage, the line)."""
Columns = tuple[str, str, bool]
"""What decides the columns that a model is given: corpus, control, whether leaky."""
ANY_SETTINGS = Settings(learning_rate=1e-3, weight_decay=0.0, dropout=0.0)
"""For recipes that are asked about all but their settings."""


@dataclass(slots=True)
class Ended:
    """A run that is trained, and whose leaks are being measured."""

    run: StudyRun
    line: dict[str, Any]
    leak: "Future[tuple[bool, float | None]] | None"
    certificate: "Future[dict[str, Any]] | None"
    told: "Future[dict[str, Leak]]"

    def ready(self) -> bool:
        return all(each.done() for each in (self.told, self.leak, self.certificate) if each is not None)


class Ledger:
    """The lines of a study, and what is still to come into them."""

    def __init__(
        self, plan: Plan, file: Path, place: Place, pool: Executor, meter: MeterConfig, on_line: OnLine
    ) -> None:
        """pool: of processes that measure leaks. Errors: Failure if the file holds a damaged line."""
        self.file, self.place, self.pool, self.meter, self.on_line = file, place, pool, meter, on_line
        self.plan = plan
        self.lines: dict[str, dict[str, Any]] = read_lines(file)
        self._attributes: dict[tuple[str, bool], set[str]] = {}
        """All that the plan's recipes give, by control and leaky: measured once for all of them."""
        for name, arm in plan.arms.items():
            for size in arm.views:
                given = attributes_of(plan.recipe(name, size, "rotary", 10, 0, ANY_SETTINGS))
                self._attributes.setdefault((arm.control, arm.leaky), set()).update(given)
        self._told: dict[Columns, Future[dict[str, Leak]]] = {}
        self._waiting: list[Ended] = []
        self._stage: tuple[str, Sequence[StudyRun]] = ("", ())

    @contextmanager
    def stage(self, name: str, runs: Sequence[StudyRun]) -> Iterator[dict[str, StudyRun]]:
        """The runs of a stage that have no line yet, by name. In the end, whatever became of the rest, those that were
        trained get their lines."""
        self._stage = name, runs
        for run in runs:
            if run.name in self.lines:
                self._check(run)
        missing = {run.name: run for run in runs if run.name not in self.lines}
        for run in missing.values():
            self._tell_leaks(run)  # while the runs train
        try:
            yield missing
        finally:
            self._settle(list(self._waiting))

    def add(self, run: StudyRun, line: dict[str, Any]) -> None:
        """A run is trained."""
        leak = self.pool.submit(leak_of, run, self.place) if run.scored() else None
        config = self.plan.certificate
        certificate = self.pool.submit(certificate_of, run, self.place, config) if run.scored() else None
        if self.plan.fixed:
            line["settings"]["chosen_by"] = self.plan.fixed.chosen_by
        self._waiting.append(Ended(run, line, leak, certificate, self._tell_leaks(run)))
        self._settle([ended for ended in self._waiting if ended.ready()])

    def _check(self, run: StudyRun) -> None:
        """Errors: Failure if a finished run had other settings or other data than the plan gives it now."""
        now, before = made_from(run.recipe, self.place.caches[run.corpus]), self.lines[run.name].get("made_from")
        if before != now:
            raise Failure(
                f"{self.file}: {run.name} was made from {before}, and the plan now makes it from {now}; bring plan and "
                f"cache back, or give the plan another name"
            )

    def _tell_leaks(self, run: StudyRun) -> "Future[dict[str, Leak]]":
        """The readings of the leak meter on the columns that a run's model is given, begun at first need."""
        recipe = run.recipe
        columns = (run.corpus, recipe.control, recipe.leaky)
        if columns not in self._told:
            names = sorted(self._attributes[recipe.control, recipe.leaky])
            cache = self.place.caches[run.corpus]
            self._told[columns] = self.pool.submit(leaks_told, cache, recipe, names, self.meter)
        return self._told[columns]

    def _settle(self, some: Sequence[Ended]) -> None:
        stage, runs = self._stage
        failed: tuple[str, Exception] | None = None
        for ended in some:
            self._waiting.remove(ended)
            try:
                fill_in(ended, self.place)
            except Exception as error:  # the others' lines first
                failed = failed or (ended.run.name, error)
                continue
            append_line(self.file, ended.line)
            self.lines[ended.run.name] = ended.line
            self.on_line(stage, sum(run.name in self.lines for run in runs), len(runs), ended.line)
        if failed:
            name, why = failed
            raise Failure(f"{name} could not be measured ({why}); run the study again: what has a line stays") from why


def fill_in(ended: Ended, place: Place) -> None:
    """Put what leak measurement found into the line."""
    line = ended.line
    if ended.leak and ended.certificate:
        line["leak_free"], line["max_change"] = ended.leak.result()
        line["certificate"] = ended.certificate.result()
        weights_file(place, ended.run).unlink(missing_ok=True)
    attributes = attributes_of(ended.run.recipe)
    if attributes:
        told = ended.told.result()
        leaks = sorted((told[name] for name in attributes), key=lambda leak: (-leak.leak, -leak.gain))
        line["attributes"] = {
            leak.attribute: {"gain": round(leak.gain, 5), "leak": round(leak.leak, 5)} for leak in leaks
        }
        line["gain_nats"], line["leak_nats"] = round(leaks[0].gain, 5), round(leaks[0].leak, 5)
