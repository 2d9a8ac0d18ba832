"""`valency bench kernel|headline|tiles`: kernels of a GPU, whole models on it, how sparse views are on real text."""

from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli_options import DATA, Data, Json
from flows.results import finish


def kernel(
    view: Annotated[list[str] | None, typer.Option(help="Name of a set of views; may be said again.")] = None,
    tokens: Annotated[list[int] | None, typer.Option(help="Pieces of a row; may be said again.")] = None,
    dtype: Annotated[str, typer.Option(help="bfloat16, float16 or float32.")] = "bfloat16",
    shape: Annotated[
        list[str] | None,
        typer.Option(help="A cut of the launch, as in 64,32,32,4,2,80,64,4,1,128,32,1,3,0; may be said again."),
    ] = None,
    device: str = "cuda",
    data: Data = DATA,
    json_file: Json = None,
) -> None:
    """Attention through views by its kernel on a GPU, beside cuDNN's dense causal attention and the memory's floor."""
    from flows.bench.kernel import LENGTHS, SETS, bench_kernel
    from model.kernels.program import SHAPE, Shape

    def on_row(row: dict[str, Any]) -> None:
        ours = f"{row['forward_ms']:.3f} and {row['forward_backward_ms']:.3f} ms"
        dense = f"dense {row['cudnn_forward_ms']:.2f} and {row['cudnn_forward_backward_ms']:.2f}"
        cut = ",".join(map(str, row["shape"]))
        typer.echo(f"{row['view']} at {row['tokens']}: {ours}, {dense}, plan {row['plan_ms']:.2f}; {cut}")

    try:
        shapes = [Shape.of([int(part) for part in each.split(",")]) for each in shape or ()]
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"--shape takes {len(SHAPE.numbers())} whole numbers with commas, as model.kernels.program.Shape tells"
        ) from error
    given: dict[str, Any] = {"sets": view or tuple(SETS), "lengths": tokens or LENGTHS, "dtype": dtype}
    finish(bench_kernel(data, device=device, shapes=shapes or (SHAPE,), on_row=on_row, **given), json_file, device)


def headline(
    cache: Annotated[Path | None, typer.Option(help="Cache of long documents, for the training part.")] = None,
    part: Annotated[list[str] | None, typer.Option(help="steps, forward_181m(_deep) or training; none: all.")] = None,
    context: Annotated[list[int] | None, typer.Option(help="Pieces of a row of the training part.")] = None,
    gpus: Annotated[list[int] | None, typer.Option(help="GPUs of the training part; may be said again.")] = None,
    device: str = "cuda",
    data: Data = DATA,
    json_file: Json = None,
) -> None:
    """Whole models on a GPU: training steps beside dense ones, a forward pass of 131,072 pieces, the training job."""
    from flows.bench.headline import bench_headline

    given: dict[str, Any] = {"parts": part} if part else {}
    given |= ({"contexts": context} if context else {}) | ({"gpus": gpus} if gpus else {})
    told: Any = lambda part, row: typer.echo(f"{part}: {row}")  # noqa: E731
    finish(bench_headline(data, cache, device=device, on_row=told, **given), json_file, device)


def tiles(
    cache: Annotated[Path, typer.Argument(help="Folder of the cache.")],
    view: Annotated[list[str] | None, typer.Option(help="A view; may be said again; none: the benched ones.")] = None,
    tokens: Annotated[int, typer.Option(help="Pieces of a row.", min=16)] = 4096,
    device: str = "cpu",
    json_file: Json = None,
) -> None:
    """How dense views are on real text, pair by pair and in tiles, and how fast that should make them."""
    from flows.bench.tiles import VIEWS, bench_tiles

    def on_row(row: dict[str, Any]) -> None:
        parts = ", ".join(f"{size}: {share:.2%}" for size, share in row["density"].items())
        fewer = f"{row['predicted']:.1f} times fewer pairs, {row['measured']:.1f} times faster"
        typer.echo(f"{row['view']}: {parts}; {row['keys']:.0f} keys a query, {fewer}")

    finish(bench_tiles(cache, view or VIEWS, tokens, device=device, on_row=on_row), json_file, device)
