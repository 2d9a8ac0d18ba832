"""What the tests of this floor share."""

from pathlib import Path

import pytest

from tests.pipeline.tiny_stanza import train_tiny


@pytest.fixture(scope="session")
def tiny_stanza(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of models trained once for all slow tests."""
    return train_tiny(tmp_path_factory.mktemp("tiny_stanza"))
