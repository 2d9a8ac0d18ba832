"""Where the curve goes besides `curve.jsonl`: TensorBoard, which is installed, or MLflow and W&B, which may be."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

PACKAGES = {"mlflow": "mlflow", "wandb": "wandb"}


def make_logger(name: str, out: Path) -> Any:
    """Fabric's logger for a run directory; an empty list for `none`.

    MLflow writes to the server that MLFLOW_TRACKING_URI names, or into the directory; W&B is bound by its own WANDB_…
    variables. Errors: ValueError if the package is not installed.
    """
    if name == "none":
        return []
    if name in PACKAGES and find_spec(PACKAGES[name]) is None:
        raise ValueError(f"logger is {name!r} and it is not installed; `pip install {PACKAGES[name]}`, or tensorboard")
    if name == "mlflow":
        from lightning.pytorch.loggers import MLFlowLogger

        return MLFlowLogger(experiment_name="valency", run_name=out.name, save_dir=str(out / "mlflow"))
    if name == "wandb":
        from lightning.pytorch.loggers import WandbLogger

        return WandbLogger(project="valency", name=out.name, save_dir=str(out))
    from lightning.fabric.loggers.tensorboard import TensorBoardLogger

    return TensorBoardLogger(root_dir=out, name="tensorboard", version="")
