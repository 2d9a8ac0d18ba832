"""A Longformer-base whose attention is swapped, against its own, at four lengths.

valency reproduce asi --device cpu --json data/results/reproduce_asi_cpu.json

Measured: one forward pass of a whole LongformerModel of the base's shape (12 layers, 768 wide, windows of 512) with
random weights, one row without padding, its own attention and ours in turns on the same weights; what part of the calls
of attention was routed (counted at run time); on CUDA, and on a CPU with --memory, the most memory that a pass held.
The claim it is held against: 2.25 to 2.44 times faster at 512 to 4,096 tokens, 91.7% (11 of 12 layers) routed. What it
says of quality it says of trained weights, and nothing here does.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from flows.bench.turns import taking_turns
from flows.reproduce.variants import PRECISIONS, check_device, check_mechanisms, peaks, ratios, told
from model.swap import swap_attention

LENGTHS = (512, 1024, 2048, 4096)
CLAIM = {"speedup": (2.25, 2.44), "lengths": LENGTHS, "coverage": 0.917}
MECHANISMS = ("linear",)
SETTINGS: dict[str, tuple[tuple[str, dict[str, Any]], ...]] = {
    # The settings that the claim is of, and the usual ones beside them.
    "linear": (
        ("linear, threshold 8, dimension 4", {"threshold": 8, "dimension": 4}),
        ("linear, threshold 256, dimension 64", {"threshold": 256, "dimension": 64}),
    ),
    "views": (("views, window(256)", {"views": ("window(256)",)}),),
}
"""By mechanism: what it is measured with, under which name; others with their defaults."""


def reproduce_asi(
    device: str = "cpu",
    lengths: Sequence[int] = LENGTHS,
    mechanisms: Sequence[str] = MECHANISMS,
    precisions: Sequence[str] = (),
    repeats: int = 0,
    shape: Mapping[str, Any] | None = None,
    memory: bool = False,
    on_row: Callable[[dict[str, Any]], None] = lambda row: None,
) -> dict[str, Any]:
    """The claim, and a row for each length and variant.

    precisions: none: float32 on a CPU, and bfloat16 beside it elsewhere. repeats: 0: 3 on a CPU, 20 elsewhere. shape:
    settings of LongformerConfig beside the base's. Errors: ValueError for a device or mechanism that is not there.
    """
    check_device(device)
    check_mechanisms(list(mechanisms))
    chosen = list(precisions) or (["float32"] if device == "cpu" else ["float32", "bfloat16"])
    repeats = repeats or (3 if device == "cpu" else 20)
    variants = [each for name in mechanisms for each in SETTINGS.get(name, ((name, {}),))]
    names = {said: name for name in mechanisms for said, _ in SETTINGS.get(name, ((name, {}),))}
    rows = []
    for length in lengths:
        times, extra = _length(
            device, length, [(s, names[s], how) for s, how in variants], chosen, repeats, shape, memory
        )
        for said, _ in variants:
            theirs = {each: times[each]["own"]["ms"] for each in chosen}
            ours = {each: times[each][said]["ms"] for each in chosen}
            row = {"variant": said, "mechanism": names[said], "tokens": length} | ratios(theirs, ours) | extra[said]
            row["own"] = {each: times[each]["own"] for each in chosen}
            row["ours"] = {each: times[each][said] for each in chosen}
            rows.append(row)
            on_row(row)
    return {
        "experiment": "asi",
        "claim": CLAIM,
        "shape": _config(shape).to_diff_dict(),
        "threads": torch.get_num_threads(),
        "rows": rows,
    }


def _config(shape: Mapping[str, Any] | None) -> Any:
    from transformers import LongformerConfig

    return LongformerConfig(**{"vocab_size": 50265, "max_position_embeddings": 4098, **(shape or {})})


def _length(
    device: str,
    length: int,
    variants: Sequence[tuple[str, str, dict[str, Any]]],
    precisions: Sequence[str],
    repeats: int,
    shape: Mapping[str, Any] | None,
    memory: bool,
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Times by precision and variant, `own` among them; coverage and memory by variant."""
    times: dict[str, dict[str, Any]] = {}
    extra: dict[str, dict[str, Any]] = {said: {} for said, _, _ in variants}
    for precision in precisions:
        torch.manual_seed(0)
        from transformers import LongformerModel

        own: Any = LongformerModel(_config(shape), add_pooling_layer=False)
        own = own.eval().to(device, PRECISIONS[precision])
        ids = torch.randint(5, own.config.vocab_size, (1, length), device=device)
        models: dict[str, nn.Module] = {"own": own}
        reports = {}
        for said, mechanism, how in variants:
            models[said] = copy.deepcopy(own)
            reports[said] = swap_attention(models[said], mechanism, **how)
        work = {said: _pass(model, ids) for said, model in models.items()}
        warm = 1 if device == "cpu" else 5
        times[precision] = told(taking_turns(work, device, warm=warm, fewest=repeats, seconds=0.0))
        for said, report in reports.items():
            report.check()
            extra[said]["coverage"] = report.coverage
            extra[said]["layers_routed"] = sum(calls > 0 for calls in report.calls.values())
            extra[said]["layers"] = len(report.made)
        if memory or device.startswith("cuda"):
            held = peaks(work, device)
            for said in reports:
                extra[said].setdefault("peak_mib", {})[precision] = {"own": held["own"], "ours": held[said]}
    return times, extra


def _pass(model: nn.Module, ids: torch.Tensor) -> Callable[[], object]:
    mask = torch.ones_like(ids)

    def work() -> object:
        with torch.inference_mode():
            return model(input_ids=ids, attention_mask=mask)

    return work
