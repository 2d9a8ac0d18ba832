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


def overlap(
    run: Run,
    cache: CacheFolder = None,
    out: Annotated[
        Path | None, typer.Option(help="The page; its pictures go beside it. None: overlap.html in the run's folder.")
    ] = None,
    most: Annotated[int, typer.Option(help="About how many pieces of each held-out split to read.", min=1)] = 20_000,
    seed: Annotated[int, typer.Option(help="Of the controls.", min=0)] = 0,
    json_file: Json = None,
) -> None:
    """Where the heads look, beside the cache's bonds, over controls and an untrained model; a page with pictures."""
    from flows.overlap import overlap as measure
    from flows.pictures.overlap import interval, overlap_page
    from flows.pictures.page import write_page
    from flows.progress import Display
    from pipeline.provenance import command

    with Display() as display:

        def told(part: str, done: int, total: int) -> None:
            display.show(part, done, total, "documents", None)

        result = measure(run, cache, most=most, seed=seed, told=told)
    _end(result, json_file)
    file = out or run / "overlap.html"
    counted = ", ".join(f"{number} {name}" for name, number in result["documents"].items())
    lead = f"Does {run.name} look along bonds by itself? Read: {counted} documents."
    write_page(file, "Where heads look, beside bonds", lead, *overlap_page(result), command=command())
    typer.echo("times the weight of same-distances pairs (95%), all heads, without diagonal, sink and punctuation")
    for row in result["summary"]:
        if row["variant"] == "none of these":
            typer.echo(f"{row['model']:<20}{row['kind']:<11} {interval(row['ratio']['same-distances'])}")
            if over := row["ratio_over_untrained"]:
                typer.echo(f"{'trained / untrained':<20}{row['kind']:<11} {interval(over['same-distances'])}")
    typer.echo(f"page: {file}")


def picture(
    runs: Annotated[list[Path], typer.Argument(help="Run directories; the first one's heads are shown on the text.")],
    text: Annotated[str | None, typer.Option(help="A sentence or two; none: learning curves alone.")] = None,
    out: Annotated[Path, typer.Option(help="The page; its pictures go beside it, as SVG and PNG.")] = Path(
        "picture.html"
    ),
) -> None:
    """A text as a run's heads see it, beside its bonds; heads by kinds; the learning curves of runs side by side."""
    from flows.picture import picture as draw

    for file in draw(runs, text, out):
        typer.echo(str(file))


def profile(
    run: Run,
    lengths: Annotated[str, typer.Option(help="Pieces of a row, with commas between.")] = "128,256,512,1024,2048",
    repeats: Annotated[int, typer.Option(help="How often each component is timed.", min=1)] = 5,
    threads: Annotated[int | None, typer.Option(help="Threads of torch; none: as many as it takes.", min=1)] = None,
    device: str = "cpu",
    json_file: Json = None,
) -> None:
    """Time and memory of a run's components at several lengths, and how they scale."""
    from flows.profile import profile_run, tables
    from flows.tables import print_table

    try:
        sizes = [int(each) for each in lengths.split(",")]
    except ValueError:
        raise ValueError(f"lengths are {lengths!r}; give numbers with commas between, as in 128,256,512") from None
    if min(sizes) < 1:
        raise ValueError(f"lengths are {lengths!r}; give numbers of pieces from 1 on")
    result = profile_run(run, sizes, repeats=repeats, device=device, threads=threads)
    _end(result, json_file, device)
    for title, table in tables(result):
        print_table(table, title)


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
                for method in ("whole", "rest", "nearest_name", "shorter_name")
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
