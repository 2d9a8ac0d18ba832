"""What is left out of compiled graphs runs in Python there, and costs no import elsewhere."""

import subprocess
import sys

import pytest
import torch
from torch import Tensor

from model.kernels.uncompiled import uncompiled
from model.layer import attention


@uncompiled
def told(x: Tensor) -> Tensor:
    """2 where it is not compiled."""
    return x * (1 if torch.compiler.is_compiling() else 2)


def test_the_compiler_leaves_it_to_python() -> None:
    def whole(x: Tensor) -> Tensor:
        return told(x + 1) + 1

    x = torch.ones(3)
    assert torch.compile(whole, backend="eager")(x).tolist() == whole(x).tolist() == [5.0] * 3


@pytest.mark.filterwarnings("ignore")  # torch.compile warns of what it looks at or passes over
@pytest.mark.parametrize("mechanism", ["window", "linear", "hash", "memory"])
def test_a_layer_says_compiled_what_it_says(mechanism: str) -> None:
    torch.manual_seed(0)
    layer, x = attention(16, 2, mechanism=mechanism).double(), torch.randn(2, 40, 16, dtype=torch.float64)
    torch.testing.assert_close(torch.compile(layer, backend="eager")(x), layer(x))


def test_the_compiler_is_imported_by_who_compiles() -> None:
    said = "import model.train, sys; print('torch._dynamo' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
