"""`valency bench attention|model|mechanisms|exactness`: what attention costs, and how near to exact it comes."""

from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli_options import DATA, Data, Json, Threads
from flows.results import finish


def attention(
    view: Annotated[list[str] | None, typer.Option(help="A view of the heads; may be said again.")] = None,
    tokens: Annotated[list[int] | None, typer.Option(help="Pieces of the row; may be said again.")] = None,
    device: str = "cpu",
    threads: Threads = None,
    data: Data = DATA,
    json_file: Json = None,
) -> None:
    """Time and memory of attention through views, forward and backward, against plain causal attention."""
    from flows.bench.attention import TOKENS, VIEWS, bench_attention
    from model.machine import own_settings
    from pipeline.provenance import cores

    def on_row(row: dict[str, Any]) -> None:
        said = f"{row['ms']:.1f} ms, dense {row['dense_ms']:.1f}, ratio {row['ratio']:.1f}, {row['peak_mib']:.0f} MiB"
        typer.echo(f"{row['view']} at {row['tokens']} by {row['path']}: {said}")

    with own_settings(threads or cores()):
        result = bench_attention(view or VIEWS, tokens or TOKENS, device=device, data=data, on_row=on_row)
    finish(result, json_file, device)


def model(
    recipe: Annotated[list[str] | None, typer.Option(help="Name or TOML file; may be said again.")] = None,
    tokens: Annotated[list[int] | None, typer.Option(help="Pieces of the row; may be said again.")] = None,
    device: str = "cpu",
    threads: Threads = None,
    data: Data = DATA,
    json_file: Json = None,
) -> None:
    """Time and memory of a whole model's training step, against the same model with dense heads alone."""
    from flows.bench.model import TOKENS, bench_model
    from model.config import load_recipe
    from model.machine import own_settings
    from pipeline.provenance import cores

    def on_row(row: dict[str, Any]) -> None:
        said = f"{row['ms']:.1f} ms, dense {row['dense_ms']:.1f}, ratio {row['ratio']:.2f}, {row['peak_mib']:.0f} MiB"
        typer.echo(f"{row['recipe']} at {row['tokens']}: {said}")

    chosen = [load_recipe(each) for each in recipe or ["tiny-views"]]
    with own_settings(threads or cores()):
        result = bench_model(chosen, tokens or TOKENS, device=device, data=data, on_row=on_row)
    finish(result, json_file, device)


def mechanisms(
    only: Annotated[list[str] | None, typer.Option(help="A mechanism; may be said again; none: all of them.")] = None,
    tokens: Annotated[list[int] | None, typer.Option(help="Pieces of the row; may be said again.")] = None,
    part: Annotated[str, typer.Option(help="layer: with its projections; mix: without.")] = "layer",
    device: str = "cpu",
    threads: Threads = None,
    clock: Annotated[str, typer.Option(help="wall, or process: one thread on a busy machine.")] = "wall",
    seconds: Annotated[float | None, typer.Option(help="How long turns go on at a length, at least three.")] = None,
    limit: Annotated[float | None, typer.Option(help="Seconds a turn; what would take more is left out.")] = None,
    quality: Annotated[
        Path | None, typer.Option(help="A cache: train with each mechanism on it, instead of timing them.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Of each training run.", min=1)] = 300,
    seeds: Annotated[int, typer.Option(help="Seeds 0, 1, … of each.", min=1)] = 3,
    length: Annotated[int | None, typer.Option(help="Pieces of a row in training; none: the recipe's.", min=2)] = None,
    out: Annotated[Path, typer.Option(help="Folder of the run directories.")] = Path("bench-mechanisms"),
    data: Data = DATA,
    json_file: Json = None,
) -> None:
    """Time and memory of every mechanism by length against plain causal attention; or how well each learns."""
    from flows.bench.mechanisms import TOKENS, bench_mechanisms
    from flows.bench.quality import bench_quality
    from model.machine import own_settings
    from pipeline.provenance import cores

    def on_row(row: dict[str, Any]) -> None:
        if "left_out" in row:
            typer.echo(f"{row['name']} at {row['tokens']}: left out, {row['left_out']}")
            return
        versus = f", {row['ratio']:.2f} times as fast as SDPA" if "ratio" in row else ""
        typer.echo(f"{row['name']} at {row['tokens']}: {row['ms']:.1f} ms{versus}, {row['peak_mib']:.0f} MiB")

    def on_run(row: dict[str, Any]) -> None:
        mark = "leak-free" if row["leak_free"] else "leaky"
        typer.echo(f"{row['name']} seed {row['seed']}: {row['bits_per_byte']} ({mark})")

    if quality is not None:
        result = bench_quality(
            quality, out, only or (), steps=steps, seeds=seeds, length=length, device=device, threads=threads,
            on_row=on_run,
        )  # fmt: skip
        for line in result["table"]:
            said = f"{line['bits_per_byte']:.4f} bits per byte, {line['minus_dense']:+.4f} beside dense"
            typer.echo(f"{line['name']}: {said}")
    else:
        with own_settings(threads or cores()):
            result = bench_mechanisms(
                only or (), tokens or TOKENS, part=part, device=device, data=data, limit_s=limit, seconds=seconds,
                clock=clock, on_row=on_row,
            )  # fmt: skip
        for line in result["summary"]:
            time, memory = (line[f"{what}_exponent"] for what in ("time", "memory"))
            grows = "" if time is None else f"time grows with N to the {time:.2f}, memory to the {memory:.2f}, "
            faster = f"faster from {line['faster_from']} on" if line["faster_from"] else "not faster at any length"
            typer.echo(f"{line['name']}: {grows}{faster}")
    finish(result, json_file, device)


def exactness(
    run: Annotated[Path | None, typer.Option(help="A finished run; none: random numbers.")] = None,
    target: Annotated[float, typer.Option(help="The relative error that is still good enough.", min=0)] = 0.2,
    features: Annotated[list[str] | None, typer.Option(help="A feature map; may be said again.")] = None,
    dimension: Annotated[list[int] | None, typer.Option(help="Features; may be said again.", min=1)] = None,
    length: Annotated[list[int] | None, typer.Option(help="Keys; may be said again.", min=2)] = None,
    threshold: Annotated[int, typer.Option(help="Queries that see at most so many keys are exact.", min=0)] = 0,
    spread: Annotated[float, typer.Option(help="Standard deviation of random queries and keys.")] = 1.0,
    seeds: Annotated[int, typer.Option(help="Draws of random numbers.", min=1)] = 3,
    data: Data = DATA,
    json_file: Json = None,
) -> None:
    """How far linear attention is from exact attention, and the smallest dimension that meets a target."""
    from flows.bench.exactness import LENGTHS, bench_exactness
    from model.attention.exactness import DIMENSIONS
    from model.config.linear import FEATURES

    def on_row(row: dict[str, Any]) -> None:
        errors = ", ".join(f"{error:.3f} at {N}" for N, error in row["error"].items())
        typer.echo(f"{row['features']}, dimension {row['dimension']}: {errors}")

    result = bench_exactness(
        run, target=target, features=features or FEATURES, dimensions=dimension or DIMENSIONS,
        lengths=length or LENGTHS, threshold=threshold, spread=spread, seeds=seeds, data=data, on_row=on_row,
    )  # fmt: skip
    for name, chosen in result["chosen"].items():
        longest = max(result["lengths"])
        typer.echo(
            f"{name}: " + (f"dimension {chosen}" if chosen else "no dimension") + f" meets {target} at {longest}"
        )
    finish(result, json_file)
