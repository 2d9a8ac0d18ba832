"""The machines that a training job runs on: devices, processes and how they share the work, precision, threads.

One process a device. `ddp`: each holds the whole model and they average gradients (Li et al. 2020). `fsdp`: each holds
a part of every weight and of the optimizer, and fetches a layer when it is needed (Zhao et al. 2023; PyTorch's
`fully_shard`). Processes are started by the command itself, or by `torchrun`, whose environment is then followed.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from model.config import TrainConfig
from model.config.checks import at_least_one, nearest
from model.loggers import make_logger
from model.objective import Objective

if TYPE_CHECKING:
    from lightning.fabric import Fabric

STRATEGIES = ("ddp", "fsdp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where to train; no part of a recipe, for it should not decide what comes out."""

    device: str = "cpu"
    """`cpu`, `cuda`, `cuda:1`, `mps` or `auto`."""
    devices: int = 1
    """Processes on each machine, one a device."""
    nodes: int = 1
    """Machines. Start the same command on each, with torchrun or MASTER_ADDR, MASTER_PORT and NODE_RANK set."""
    strategy: str = "ddp"
    """One of STRATEGIES; a single process has no use for it, unless it asks for `fsdp`."""
    threads: int | None = None
    """Of PyTorch, in each process; None leaves them as they are."""

    def __post_init__(self) -> None:
        for name in ("devices", "nodes"):
            at_least_one(name, getattr(self, name))
        if self.strategy not in STRATEGIES:
            raise ValueError(f"strategy is {self.strategy!r}; {nearest(self.strategy, STRATEGIES)}")
        if ":" in self.device and self.devices > 1:
            raise ValueError(
                f"device {self.device!r} is one device and devices is {self.devices}; leave its number out"
            )

    def world(self) -> int:
        """Processes of all machines together."""
        return self.devices * self.nodes


def under_torchrun(machine: Machine) -> Machine:
    """The machine as torchrun has laid it out, where it started this process."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return machine
    devices = int(os.environ["LOCAL_WORLD_SIZE"])
    return Machine(
        device=machine.device,
        devices=devices,
        nodes=int(os.environ["WORLD_SIZE"]) // devices,
        strategy=machine.strategy,
        threads=machine.threads,
    )


def started_by_another() -> bool:
    """Whether this process is one of several and not the first: it writes nothing and shows nothing."""
    return os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) != "0" or os.environ.get("NODE_RANK", "0") != "0"


def make_fabric(machine: Machine, config: TrainConfig, out: Path) -> "Fabric":
    """Fabric on these devices, logging as the settings ask; with several, the other processes are started here.

    Errors: ValueError for a precision that the devices or the strategy do not have, or a logger that is not installed.
    """
    # Late: Lightning takes seconds to import, and only training needs it.
    from lightning.fabric import Fabric
    from lightning.fabric.plugins.precision import MixedPrecision
    from lightning.fabric.strategies.ddp import DDPStrategy

    accelerator, _, index = machine.device.partition(":")
    sharded = machine.strategy == "fsdp"
    if sharded and config.precision not in ("32-true", "bf16-mixed"):
        raise ValueError(f"precision is {config.precision!r}; with fsdp give 32-true or bf16-mixed")
    if accelerator == "mps" and config.precision == "64-true":
        raise ValueError("precision is '64-true'; MPS has no 64-bit numbers: give 32-true, or use another device")
    precision: dict[str, Any] = {"precision": config.precision}  # one of PRECISIONS: names that Fabric knows
    if config.precision == "16-mixed":  # made here: Fabric takes bfloat16 instead on a CPU, without being asked
        precision = {"plugins": MixedPrecision("16-mixed", device=_device_type(accelerator))}
    strategy: Any = "auto"
    if sharded:
        strategy = _sharding(machine.world())
    elif machine.world() > 1:
        # Buffers are not the first process's: `Objective.part` says which rows are this one's.
        strategy = DDPStrategy(broadcast_buffers=False)
    fabric = Fabric(
        accelerator=accelerator,
        devices=[int(index)] if index else machine.devices,
        num_nodes=machine.nodes,
        strategy=strategy,
        loggers=make_logger(config.logger, out),
        **precision,
    )
    if sharded or machine.world() > 1:
        fabric.launch()
    return fabric


def _device_type(accelerator: str) -> str:
    if accelerator != "auto":
        return accelerator
    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def _sharding(world: int) -> Any:
    """FSDP2: layer by layer, then what is left; a plain call of `decoder_logits` fetches the weights as well."""
    from lightning.fabric.strategies.model_parallel import ModelParallelStrategy
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    def shard(objective: nn.Module, mesh: DeviceMesh) -> nn.Module:
        assert isinstance(objective, Objective)
        within = mesh["data_parallel"]
        if objective.decoder.config.depth.reversible:
            raise ValueError("a reversible model fetches no parts of its weights on its way back; set depth.reversible "
                             "to false, with train.checkpoint_layers, or name the strategy ddp")  # fmt: skip
        for layer in objective.decoder.layers:
            fully_shard(layer, mesh=within)
        # By itself the outermost keeps its weights whole, for a backward pass; after an evaluation there is none.
        fully_shard(objective, mesh=within, reshard_after_forward=True)
        objective.logits = objective.decoder.forward  # type: ignore[assignment]
        register_fsdp_forward_method(objective, "logits")
        return objective

    return ModelParallelStrategy(shard, data_parallel_size=world, tensor_parallel_size=1)


def logits_of(objective: Objective) -> Callable[..., Tensor]:
    """What gives the logits of the model as it is now, wherever its weights lie."""
    made: Callable[..., Tensor] = getattr(objective, "logits", objective.decoder)
    return made


def compiled(objective: Objective, what: str) -> nn.Module:
    """The objective under torch.compile: as settings name it, one of COMPILED."""
    if what == "parts":
        from model.packed.lane import compile_parts

        compile_parts(objective)
    if what == "whole":
        whole: nn.Module = torch.compile(objective)  # type: ignore[assignment]
        return whole
    return objective


@contextmanager
def own_processes() -> Iterator[None]:
    """The group of processes that is made while this lasts ends with it, if it ends well: broken ones may hang."""
    before = not torch.distributed.is_available() or torch.distributed.is_initialized()
    yield
    if not before and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@contextmanager
def own_settings(threads: int | None, device: str = "cpu") -> Iterator[None]:
    """Random generators and threads of our own, and on a CPU no algorithm that may come out another way the next time;
    the caller finds all as it was."""
    before, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    memory: Any = torch.utils.deterministic
    fills = memory.fill_uninitialized_memory
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.set_num_threads(threads or before)
        if device == "cpu":
            torch.use_deterministic_algorithms(True)
            memory.fill_uninitialized_memory = False  # it costs time, and we read no such memory
        try:
            yield
        finally:
            torch.set_num_threads(before)
            torch.use_deterministic_algorithms(deterministic)
            memory.fill_uninitialized_memory = fills
