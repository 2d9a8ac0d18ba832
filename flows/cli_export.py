"""`valency export`: a run as a folder that Hugging Face's transformers loads."""

import time
from pathlib import Path
from typing import Annotated

import typer

from flows.results import write_json

Json = Annotated[Path | None, typer.Option("--json", help="Write the result to this file, for machines.")]


def export(
    run: Annotated[Path, typer.Argument(help="Directory of a finished run.")],
    folder: Annotated[Path, typer.Argument(help="Folder to write; it must be new or empty.")],
    json_file: Json = None,
) -> None:
    """Write a run's model, settings, tokenizer and annotator for transformers (docs/huggingface.md)."""
    try:
        from model.huggingface import export_run
    except ImportError as error:
        raise ImportError(f"{error}; export needs transformers: pip install 'valency[hf]'") from error

    began = time.perf_counter()
    model = export_run(run, folder)
    files = sorted(file.name for file in folder.iterdir())
    result = {
        "run": str(run),
        "folder": str(folder),
        "model": type(model).__name__,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "files": files,
        "bytes": sum((folder / name).stat().st_size for name in files),
        "seconds": time.perf_counter() - began,
    }
    write_json(result, json_file)
    typer.echo(f"{folder}: {result['model']}, {result['parameters']:,} weights, {', '.join(files)}")
