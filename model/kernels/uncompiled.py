"""What a compiled graph leaves to Python: plans whose sizes the data decides, and loops that it would write out."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


def uncompiled(function: Callable[P, R]) -> Callable[P, R]:
    """As torch.compiler.disable. That one imports the compiler where it decorates, 1.4 s of every process that reads
    this floor; here it is asked when something is being compiled, and never else."""

    @wraps(function)
    def call(*args: P.args, **named: P.kwargs) -> R:
        if torch.compiler.is_compiling():
            left: Callable[P, R] = torch.compiler.disable(function)  # type: ignore[no-untyped-call]
            return left(*args, **named)
        return function(*args, **named)

    return call
