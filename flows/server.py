"""The Prefect server of a run: the one that PREFECT_API_URL names, or one of our own, embedded, started once.

The embedded server keeps its data in a home of ours (`<cache>/.prefect`), says nothing, calls nobody, and ends with
the process that started it, even if that one is killed. This file imports no Prefect at its head: the environment
must be set before Prefect is imported for the first time.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from flows.children import end_children, note_child, watch_parent
from pipeline.errors import Failure

START_SECONDS = 120
"""A first start takes 12 s on an idle core (the tables of a new database), far longer on a busy one."""

EVENTS_SECONDS = 10
"""How long the last events may take on their way to the server; they matter to its page alone."""

QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
    "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true",
    "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",  # Prefect's default is pickle
}
"""Settings of every run: no telemetry, no noise, results kept as JSON."""

CHILDREN = {
    "PYTHONSAFEPATH": "1",  # a stray secrets.py or model.py in the working folder must not be imported
    "OMP_NUM_THREADS": "1",  # one process a core
    "TOKENIZERS_PARALLELISM": "false",
    # The parser's arrays come and go by tens of megabytes: given back to the system, each page is cleared anew.
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
}
"""Environment of worker processes and of the server."""

SERVE = (
    "import sys; root, port, parent = sys.argv[1:]; sys.path.append(root); "
    "from flows.server import serve; serve(int(port), int(parent))"
)


@contextmanager
def prefect_server(home: Path) -> Iterator[Callable[[], None]]:
    """Start a server, with Prefect's settings in place for the time being. home: folder of Prefect's data.

    Yields at once, while the server starts, a function that waits until it answers; call it before the first flow.
    Errors: Failure, from that function, if the server does not start.
    """
    home.mkdir(parents=True, exist_ok=True)
    settings = {**QUIET, **{name: os.environ.get(name, value) for name, value in CHILDREN.items()}}
    with _settings({**settings, "PREFECT_HOME": str(home)}):
        if "PREFECT_API_URL" in os.environ:
            yield _nothing_to_wait_for
            return
        with _embedded(home) as (address, wait), _settings({"PREFECT_API_URL": address}):
            try:
                yield wait
            finally:
                _send_events()


def serve(descriptor: int, parent: int) -> None:
    """The server process: Prefect's application on a socket that the parent has bound."""
    watch_parent(parent)
    import uvicorn

    config = uvicorn.Config("prefect.server.api.server:create_app", factory=True, log_level="error", lifespan="on")
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])


@contextmanager
def _embedded(home: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """Start a server and end it: its address, and a function that waits for it."""
    notes, log = home / "server", home / "server.log"
    end_children(notes)  # of a run that was killed
    # The port is bound here and handed over, so that nobody can take it in between, and requests may come early.
    with socket.create_server(("127.0.0.1", 0)) as port, log.open("wb") as errors:
        address = f"http://127.0.0.1:{port.getsockname()[1]}/api"
        server = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(Path(__file__).parents[1]), str(port.fileno()), str(os.getpid())],
            pass_fds=[port.fileno()],
            start_new_session=True,  # an interrupt typed at the terminal is for us to handle
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env={
                **os.environ,
                "PREFECT__SERVER_EPHEMERAL": "1",
                "PREFECT__SERVER_FINAL": "1",
                "PREFECT_UI_ENABLED": "0",
            },
        )
    try:
        note_child(notes, server.pid)
        yield address, lambda: _wait(address, log)
    finally:
        server.terminate()
        try:
            server.wait(timeout=5)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        end_children(notes)


def _wait(address: str, log: Path) -> None:
    try:
        with urlopen(f"{address}/health", timeout=START_SECONDS) as answer:
            answer.read()
    except OSError as error:  # refused, reset or timed out
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
        raise Failure(f"the embedded Prefect server did not start ({error}); {log} says: {' '.join(said)}") from error


def _nothing_to_wait_for() -> None:
    pass


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the time being: children that start meanwhile inherit them."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _settings(values: Mapping[str, str]) -> Iterator[None]:
    """Prefect's settings for the time being, in the environment, which it reads when imported.

    A Prefect that is there already is told, in this context and in that of its own threads: those that send events
    would otherwise start a second server of their own.
    """
    with environment(values), _told_prefect(values):
        yield


@contextmanager
def _told_prefect(values: Mapping[str, str]) -> Iterator[None]:
    if "prefect" not in sys.modules:
        yield
        return
    from prefect import context, settings

    everywhere = context.GLOBAL_SETTINGS_CONTEXT
    context.refresh_global_settings_context()  # from the environment
    known = {getattr(settings, name): value for name, value in values.items() if name.startswith("PREFECT_")}
    try:
        with settings.temporary_settings(known):
            yield
    finally:
        context.GLOBAL_SETTINGS_CONTEXT = everywhere


def _send_events() -> None:
    """The states of tasks travel as events, in a thread of Prefect's: wait for it while there is a server to hear."""
    if "prefect" in sys.modules:
        from prefect.events.worker import EventsWorker

        EventsWorker.drain_all(timeout=EVENTS_SECONDS, at_exit=False)
