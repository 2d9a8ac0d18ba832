"""What every test may ask for: the folder of real corpora and lexicons."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def valency_data() -> Path:
    """The folder that VALENCY_DATA names, or ../shared/data; the test is skipped where there is none."""
    folder = Path(os.environ.get("VALENCY_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real corpora are not at {folder}; set VALENCY_DATA to the folder that holds them")
    return folder
