"""Batches made ahead: while the device computes a step, another thread makes the next step's batch, moves it there and
has it prepared (masks, plans), on a GPU in a stream of its own, so that it waits for nothing of the step's.

What is given, and the state that a checkpoint keeps, are those of the rows themselves: nobody can tell but by the time.
A batch may go once its step is over on the device, as memory that its stream has left is used again by the next.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch

from model.feeds import Rows


class Ahead:
    """Rows that are one batch ahead of whoever asks."""

    def __init__(self, rows: Rows, device: torch.device, ready: Callable[[Any], Any] = lambda batch: batch) -> None:
        """ready: what is done to a batch on the device."""
        self.rows, self.device, self.ready = rows, device, ready
        own = device.type == "cuda"
        self.stream = torch.cuda.Stream(device, priority=-1) if own else None  # type: ignore[no-untyped-call]
        self.pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        self.given = rows.state()
        self.coming: Future[tuple[Any, dict[str, int]]] | None = None

    def state(self) -> dict[str, int]:
        """Of the rows when the last batch was given: what has been made beyond it is made again after a resume."""
        return self.given

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from a `state()`."""
        if self.coming is not None:
            self.coming.exception()  # wait: two threads must not ask the rows at once
            self.coming = None
        self.rows.resume(state)
        self.given = self.rows.state()

    def next(self) -> Any:
        """The next batch, on the device. Errors: those of the rows."""
        batch, self.given = self.coming.result() if self.coming else self._make()
        if self.device.type != "cpu":  # there the thread would only take its time from the step
            self.coming = self.pool.submit(self._make)
        return batch

    def close(self) -> None:
        """Let the thread end."""
        self.pool.shutdown(wait=True, cancel_futures=True)

    def _make(self) -> tuple[Any, dict[str, int]]:
        batch = self.rows.next()
        with torch.cuda.stream(self.stream):  # of None: nothing
            batch = self.ready(batch.to(self.device))
        if self.stream is not None:
            self.stream.synchronize()
        return batch, self.rows.state()
