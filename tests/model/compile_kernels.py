"""Compiles the kernels of views for an H200 as they are launched, without one: the interpreter lets pass what the
compiler does not (types that change in a branch, returns, layouts). Run by test_triton_compiled.py, by itself."""

import itertools
import sys
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from model.kernels import triton_backward, triton_forward
from model.kernels.program import SHAPE, Launch
from model.kernels.triton_views import FALLBACK, PART

ENTRIES = ("q", "k", "v", "out", "up", "dq", "dk", "dv")
EXACT = ("lse", "slope", "delta", "partial", "learnt", "d_learnt")


def type_of(name: str, entry: str) -> str:
    if name in ENTRIES:
        return f"*{entry}"
    if name in EXACT:
        return "*fp32"
    if name in ("item", "place", "bits", "sequence", "sequences"):
        return "*i32"
    return {"codes": "*i16", "scale": "fp32"}.get(name, "i32")


def build(kernel: Any, launch: Launch, entry: str, fixed: dict[str, Any]) -> None:
    fixed = fixed | {"T": launch.step}
    names = kernel.arg_names
    types = {name: "constexpr" if name in fixed else type_of(name, entry) for name in names}
    values = {(place,): fixed[name] for place, name in enumerate(names) if name in fixed}
    # As a launch finds them: pointers and strides are multiples of 16, so that entries are read by the line.
    even = {
        (place,): [["tt.divisibility", 16]]
        for place, name in enumerate(names)
        if types[name].startswith("*") or name.endswith(("_row", "_head", "_place"))
    }
    options = {"num_warps": launch.warps, "num_stages": launch.stages}
    options |= {"maxnreg": launch.registers} if launch.registers else {}
    made = triton.compile(ASTSource(kernel, types, values, even), target=GPUTarget("cuda", 90, 32), options=options)
    assert made.asm["cubin"]


def main() -> None:
    for entry, termed in itertools.product(("bf16", "fp32"), (False, True)):
        tuned = entry == "bf16" and not termed
        fixed = {"WHOLE": tuned, "EACH": 1 if tuned else 2, "D": 64, "WIDTH": 64, "SLOPED": termed, "TERMED": termed}
        fixed |= {"PRECISION": "ieee"}
        block, key_block = {"S": SHAPE.block}, {"S": SHAPE.key_block}
        build(triton_forward.forward_kernel, SHAPE.forward if tuned else FALLBACK, entry, fixed | block)
        build(triton_backward.queries_kernel, SHAPE.queries if tuned else FALLBACK, entry, fixed | block)
        build(triton_backward.keys_kernel, SHAPE.keys if tuned else FALLBACK, entry, fixed | key_block)
        added = fixed | {"PARTS": tuned, "C": PART}
        build(triton_backward.sinks_kernel, Launch(), entry, added)
        build(triton_backward.sink_parts_kernel, Launch(), entry, added)
        print(entry, termed, file=sys.stderr)


if __name__ == "__main__":
    main()
