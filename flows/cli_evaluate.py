"""`valency evaluate`, `overlap`, `picture`, `profile`: what a trained run can do, and what goes on inside it."""

from pathlib import Path
from typing import Annotated, Any

import typer

Json = Annotated[Path | None, typer.Option("--json", help="Write the result to this file, for machines.")]
Run = Annotated[Path, typer.Argument(help="Run directory of a finished training.")]
CacheFolder = Annotated[Path | None, typer.Option("--cache", help="Cache of the run; none: the one beside its folder.")]


def evaluate(
    run: Run,
    on: Annotated[
        str, typer.Option(help="blimp, gap, imdb; train, validation, test; or a file, folder or URL of text.")
    ],
    data: Annotated[
        Path, typer.Option(envvar="VALENCY_DATA", help="Folder of the real corpora (data/README.md).")
    ] = Path("../shared/data"),
    cache: CacheFolder = None,
    most: Annotated[
        int | None, typer.Option(help="Cases of a set of blimp, a file of gap, a part of imdb; 0: all.", min=0)
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the cases that are drawn.", min=0)] = 0,
    device: str = "cpu",
    json_file: Json = None,
) -> None:
    """How well a run predicts text (bits per byte, perplexities), or does on BLiMP, GAP or IMDb."""
    from flows.evaluate import evaluate_run
    from flows.progress import Display

    with Display() as display:

        def told(part: str, done: int, total: int) -> None:
            display.show(part, done, total, "cases", None)

        result = evaluate_run(run, on, data=data, cache=cache, most=most, seed=seed, device=device, told=told)
    _end(result, json_file, device)
    typer.echo("\n".join(_said(result)))


def _said(result: dict[str, Any]) -> list[str]:
    """What a person wants to know first."""
    match result["on"]:
        case "blimp":
            rows = [(row["phenomenon"], row) for row in result["phenomena"]] + [("all", result["overall"])]
            return [_share(name, row) for name, row in rows]
        case "gap":
            files = {name: part for name, part in result.items() if isinstance(part, dict) and "whole" in part}
            return [
                _share(f"{name} {method} {who}", part[method][who])
                for name, part in files.items()
                for method in ("whole", "rest", "nearest_name")
                for who in ("all", "feminine", "masculine")
            ]
        case "imdb":
            return [_share(name, result[name]) for name in ("trained", "untrained")]
    names = ("bits_per_byte", "perplexity_per_piece", "perplexity_per_word", "perplexity_on_fixed_pieces")
    return [f"{name.replace('_', ' '):<28}{_number(result[name])}" for name in names]


def _share(name: str, row: dict[str, Any]) -> str:
    said = f"{name:<44}{100 * row['accuracy']:6.2f}% ({100 * row['low']:.2f} to {100 * row['high']:.2f})"
    return f"{said} of {row['cases']:,}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.4f}"


def _end(measured: dict[str, Any], json_file: Path | None, device: str = "cpu") -> None:
    """Write the result with its provenance if a file is named."""
    from flows.results import with_provenance, write_json

    write_json(with_provenance(measured, device), json_file)
