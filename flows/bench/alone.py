"""A measurement in a process of its own, on one thread: nothing that ran before it counts.

    words, seconds = alone(parse_barely, texts)

The process is spawned with the environment of the flow's workers, so that a core is a core wherever it is measured.
"""

import multiprocessing
from collections.abc import Callable
from multiprocessing.queues import Queue
from queue import Empty
from typing import Any, TypeVar

from flows.server import CHILDREN, environment
from pipeline.errors import Failure

Given = TypeVar("Given")
Found = TypeVar("Found")

THREADS = int(CHILDREN["OMP_NUM_THREADS"])
"""Of the process."""
POLL_SECONDS = 5
"""How soon it is noticed that the process died without a word."""


def alone(measure: Callable[[Given], Found], given: Given) -> Found:
    """What `measure` makes of `given`; both must be able to travel: a function of a module, and plain data.

    Starting costs what the imports cost, a second or more. Errors: Failure with what the process said, if it failed or
    was killed.
    """
    spawn = multiprocessing.get_context("spawn")
    answers: Queue[tuple[bool, Any]] = spawn.Queue()
    process = spawn.Process(target=_answer, args=(measure, given, answers))
    with environment(CHILDREN):
        process.start()
    dead = False
    while True:
        try:
            well, said = answers.get(timeout=POLL_SECONDS)
            break
        except Empty:
            if dead:  # looked once more after its end: its last words may have been on their way
                raise Failure(f"the process of {measure.__name__} was killed; is there enough memory?") from None
            dead = not process.is_alive()
    process.join()
    if not well:
        raise Failure(f"the process of {measure.__name__} failed: {said}")
    found: Found = said
    return found


def _answer(measure: Callable[[Any], Any], given: Any, answers: "Queue[tuple[bool, Any]]") -> None:
    """In the process. An error travels as text: not every exception can be sent."""
    try:
        answers.put((True, measure(given)))
    except Exception as error:
        answers.put((False, f"{type(error).__name__}: {error}"))
