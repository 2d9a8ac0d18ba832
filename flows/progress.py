"""Live progress: on a terminal a bar a stage with its rate and the time left, elsewhere a plain line a stage."""

from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text


class Rate(ProgressColumn):
    """`12,310 words/s`, from what the task reports, or done per second."""

    def render(self, task: Task) -> Text:
        said = task.fields.get("rate")
        if said is None and task.speed:
            said = f"{task.speed:,.1f} {task.fields['unit']}/s"
        return Text(said or "", style="progress.data.speed")


class Display:
    """One live table of bars on stderr, so that stdout stays free for results. Use as a context manager."""

    def __init__(self, console: Console | None = None, *, quiet: bool = False) -> None:
        """quiet: show nothing, as one of several processes of which another does."""
        self.console = console or Console(stderr=True, quiet=quiet)
        self._bars = Progress(
            TextColumn("{task.description:<24}"),
            BarColumn(bar_width=28),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f} {task.fields[unit]}"),
            Rate(),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=self.console,
            disable=quiet or not self.console.is_terminal,
        )
        self._ids: dict[str, TaskID] = {}

    def __enter__(self) -> "Display":
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def show(self, stage: str, done: int, total: int, unit: str, rate: str | None = None) -> None:
        """Set a bar; the first call for a stage makes it. Without a terminal a stage is printed when it ends."""
        if stage not in self._ids:
            self._ids[stage] = self._bars.add_task(stage, total=total, unit=unit, rate=rate)
        self._bars.update(self._ids[stage], completed=done, total=total, rate=rate)
        if not self.console.is_terminal and done == total:
            self.console.print(f"{stage}: {total:,} {unit}" + (f", {rate}" if rate else ""), highlight=False)

    def steps(self, stage: str) -> Callable[[int, int, float, float], None]:
        """What a training job calls after each step with (step, total, loss, pieces per second)."""

        def on_step(step: int, total: int, loss: float, pieces_per_second: float) -> None:
            self.show(stage, step, total, "steps", f"loss {loss:.3f}, {pieces_per_second:,.0f} pieces/s")

        return on_step

    def say(self, text: str) -> None:
        """A line above the bars."""
        self.console.print(text, highlight=False)
