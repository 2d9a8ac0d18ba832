"""`valency quantize`: a finished run in fewer bits, as a run's folder of its own, and what that costs in perplexity."""

import json
import shutil
from pathlib import Path
from typing import Any

from flows.evaluate import evaluate_run
from model.config.checks import nearest
from model.quantize import QUANTIZED, TO, quantize, save, size
from model.run import ANNOTATOR, BONDS, RECIPE, RESULT, SERVED, TOKENIZER, WEIGHTS, load_run

CARRIED = (RECIPE, SERVED, TOKENIZER, ANNOTATOR, BONDS)
"""What goes along as it is. The result comes last: a folder that has one is whole."""


def quantize_run(run: Path, to: str, out: Path) -> dict[str, Any]:
    """Write a quantized run; it can be evaluated and generate like any other.

    Errors: ValueError if the run is not finished or quantized already, the name is none of TO, or the folder is not
    new; ImportError without torchao.
    """
    if to not in TO:
        raise ValueError(f"a run cannot be quantized to {to!r}; {nearest(to, TO)}")
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"{out} is not empty; name an empty or a new folder")
    if (run / QUANTIZED).is_file():
        raise ValueError(f"{run} is quantized already; name the run that it was made of")
    model, _ = load_run(run)
    before = size(model)
    model = quantize(model, to)
    out.mkdir(parents=True, exist_ok=True)
    save(model, out, to, WEIGHTS)
    for name in CARRIED:
        if (run / name).is_file():
            shutil.copyfile(run / name, out / name)
    result = json.loads((run / RESULT).read_text(encoding="utf-8"))
    served = f"{result['served']}; quantized to {to}" if result.get("served", "as trained") != "as trained" else to
    # What was measured was measured of the run in float.
    unknown = {name: dict.fromkeys(result.get(name, {})) for name in ("bits_per_byte", "perplexity")}
    unknown |= {"accuracy": {}, "bits_per_byte_ema": {}, "best": {}}
    (out / RESULT).write_text(json.dumps(result | unknown | {"served": served}, indent=1) + "\n", encoding="utf-8")
    return {"run": run.name, "to": to, "bytes": size(model), "bytes_before": before}


def compare(run: Path, quantized: Path, on: str, data: Path, cache: Path | None) -> dict[str, Any]:
    """Perplexity a piece of both on the same text, and by how much the quantized one's is higher, in percent."""
    before, after = (evaluate_run(each, on, data=data, cache=cache) for each in (run, quantized))
    was, now = float(str(before["perplexity_per_piece"])), float(str(after["perplexity_per_piece"]))
    bits = {"bits_per_byte": after["bits_per_byte"], "bits_per_byte_before": before["bits_per_byte"]}
    return {"on": on, "perplexity": now, "perplexity_before": was, "percent": 100 * (now / was - 1), **bits}
