"""The machine that a training job runs on: device, precision, threads, and random generators of the job's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from model.config import TrainConfig

if TYPE_CHECKING:
    from lightning.fabric import Fabric


def make_fabric(device: str, config: TrainConfig, out: Path) -> "Fabric":
    """Fabric on one device, logging to TensorBoard."""
    # Late: Lightning takes seconds to import, and only training needs it.
    from lightning.fabric import Fabric
    from lightning.fabric.loggers.tensorboard import TensorBoardLogger

    accelerator, _, index = device.partition(":")
    logger = TensorBoardLogger(root_dir=out, name="tensorboard", version="")
    precision: Any = config.precision  # one of PRECISIONS: names that Fabric knows
    return Fabric(accelerator=accelerator, devices=[int(index)] if index else 1, precision=precision, loggers=logger)


@contextmanager
def own_settings(threads: int | None) -> Iterator[None]:
    """Random generators and threads of our own; the caller finds both as they were."""
    before = torch.get_num_threads()
    with torch.random.fork_rng():
        torch.set_num_threads(threads or before)
        try:
            yield
        finally:
            torch.set_num_threads(before)
