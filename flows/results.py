"""Results files: one JSON object with what was measured and what made it (law 6)."""

import json
from collections.abc import Mapping
from pathlib import Path

from pipeline.provenance import provenance


def with_provenance(measured: Mapping[str, object], device: str = "cpu") -> dict[str, object]:
    """The measured values beside command, commit, versions and device."""
    return {**measured, **provenance(device)}


def write_json(result: object, file: Path | None) -> None:
    """Write a result for machines; nothing where no file is asked for."""
    if file is None:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8")


def finish(measured: Mapping[str, object], json_file: Path | None, device: str = "cpu") -> None:
    """Print the measured values and their provenance as one line of JSON; write them to a file if one is named."""
    whole = with_provenance(measured, device)
    write_json(whole, json_file)
    print(json.dumps(whole, default=str))
