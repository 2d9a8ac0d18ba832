"""The kernels of views pass the compiler for an H200, as they are launched; no GPU is needed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="Triton is not installed here")


@pytest.mark.slow
def test_the_kernels_compile_for_the_gpu_that_they_were_tuned_on(tmp_path: Path) -> None:
    told = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    told |= {"TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-m", "tests.model.compile_kernels"], env=told, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stderr.split() == ["bf16", "False", "bf16", "True", "fp32", "False", "fp32", "True"]
