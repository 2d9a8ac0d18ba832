"""What every test may ask for, and the order of the floors."""

import os
from pathlib import Path

import pytest
import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read when Triton is imported, which any test may be the first to do
if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)  # a worker a core: with more threads than cores both only wait for each other

FLOORS = ("lexicons", "pipeline", "model", "flows")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """From the ground up. It reads better, and Prefect's threads, which draw from `random` as long as they live, come
    after the tests of Hypothesis, which would take such a draw for a strategy's and call the test flaky."""
    items.sort(key=lambda item: next((n for n, floor in enumerate(FLOORS) if floor in item.path.parts), -1))


@pytest.fixture(scope="session")
def valency_data() -> Path:
    """The folder that VALENCY_DATA names, or ../shared/data; the test is skipped where there is none."""
    folder = Path(os.environ.get("VALENCY_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real corpora are not at {folder}; set VALENCY_DATA to the folder that holds them")
    return folder
