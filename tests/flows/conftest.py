"""One Prefect server for all tests of the flows: an embedded one takes ten seconds to start."""

from collections.abc import Iterator

import pytest

from flows.server import prefect_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """PREFECT_API_URL names a running server of our own, which `preprocess` then uses."""
    with prefect_server(tmp_path_factory.mktemp("prefect")) as wait:
        wait()
        yield
