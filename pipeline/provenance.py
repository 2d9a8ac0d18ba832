"""Where a result comes from: command, commit, versions, device. Every results file carries this (law 6)."""

import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    *("valency", "torch", "numpy", "pyarrow", "tokenizers", "spacy", "prefect", "duckdb", "lightning"),
    *("transformers", "torchao"),
)


def provenance(device: str = "cpu") -> dict[str, object]:
    """What made a result, as JSON values: command, commit, versions by package, device."""
    return {"command": command(), "commit": commit(), "versions": versions(), "device": device_name(device)}


def command() -> str:
    """The command line as a shell would take it; absolute paths by their last part, for they name one machine."""
    words = [sys.argv[0], *sys.argv[1:]]
    return shlex.join([Path(word).name if Path(word).is_absolute() else word for word in words])


def commit() -> str:
    """What VALENCY_COMMIT says, or the checkout's commit, with `+changes` if tracked files differ, or the version.

    The variable first: a copy of a working tree on another machine may hold a git folder of another state.
    """
    if said := os.environ.get("VALENCY_COMMIT"):
        return said
    root = Path(__file__).resolve().parents[1]
    try:
        if (root / ".git").exists():
            head = _git(root, "rev-parse", "HEAD")
            return head + ("+changes" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        pass  # no git here, or the folder belongs to somebody else
    return f"valency {_version('valency')}"


def versions() -> dict[str, str]:
    """Installed versions of the packages that can change a result; absent ones are left out."""
    found = {"python": platform.python_version()}
    return found | {name: _version(name) for name in PACKAGES if _version(name) != "unknown"}


def device_name(device: str = "cpu") -> str:
    """`NVIDIA H200` for a GPU; processor and count of usable cores for the CPU."""
    if device.startswith("cuda"):
        import torch  # late: preprocessing machines may not need it

        return torch.cuda.get_device_name(device)
    return f"{_processor()}, {cores()} cores"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def cores() -> int:
    """Cores that this process may use; PyTorch by itself counts those of the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
