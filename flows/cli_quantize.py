"""`valency quantize`: a run in int8, bf16 or fp16."""

from pathlib import Path
from typing import Annotated, Any

import typer

Json = Annotated[Path | None, typer.Option("--json", help="Write the result to this file, for machines.")]


def quantize(
    run: Annotated[Path, typer.Argument(help="Directory of a finished run.")],
    out: Annotated[Path, typer.Option(help="Folder of the quantized run; it must be new or empty.")],
    to: Annotated[str, typer.Option(help="int8, int8-dynamic, bf16 or fp16.")] = "int8",
    compare: Annotated[
        str | None,
        typer.Option(help="Perplexity of both on train, validation, test; or a file or folder of text."),
    ] = None,
    cache: Annotated[Path | None, typer.Option(help="Cache of the run; none: the one beside its folder.")] = None,
    data: Annotated[
        Path, typer.Option(envvar="VALENCY_DATA", help="Folder of the real corpora (data/README.md).")
    ] = Path("../shared/data"),
    json_file: Json = None,
) -> None:
    """Write a run's model in fewer bits, as a folder that is a run too (docs/swap.md); say what it costs."""
    from flows.quantize import compare as compared
    from flows.quantize import quantize_run
    from flows.results import with_provenance, write_json
    from flows.runs import cache_of
    from model.columns import SPLITS

    found = cache_of(run, cache) if compare in SPLITS else cache
    result: dict[str, Any] = quantize_run(run, to, out)
    typer.echo(f"{out}: {to}, {result['bytes']:,} bytes of weights instead of {result['bytes_before']:,}")
    if compare:
        result["compared"] = compared(run, out, compare, data, found)
        was, now = result["compared"]["perplexity_before"], result["compared"]["perplexity"]
        typer.echo(f"perplexity a piece on {compare}: {was:.4f} before, {now:.4f} now")
        typer.echo(f"{result['compared']['percent']:+.3f}%")
    write_json(with_provenance(result), json_file)
