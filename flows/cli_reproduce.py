"""`valency reproduce …`: headline experiments of others with their claim beside our number."""

from pathlib import Path
from typing import Annotated, Any

import typer

reproduce = typer.Typer(no_args_is_help=True)

Device = Annotated[str, typer.Option(help="cpu, cuda or mps.")]
Lengths = Annotated[str | None, typer.Option(help="Tokens, with commas between; none: those of the claim.")]
Mechanism = Annotated[list[str] | None, typer.Option(help="By its name in the table; may be said again.")]
Precision = Annotated[
    list[str] | None, typer.Option(help="float32, bfloat16, float16; may be said again. None: by the device.")
]
Repeats = Annotated[int, typer.Option(help="Of each time; 0: few on a CPU, more elsewhere.", min=0)]
Json = Annotated[Path | None, typer.Option("--json", help="Write the result to this file, for machines.")]


@reproduce.command()
def asi(
    device: Device = "cpu",
    lengths: Lengths = None,
    mechanism: Mechanism = None,
    precision: Precision = None,
    repeats: Repeats = 0,
    memory: Annotated[bool, typer.Option("--memory", help="Measure memory on a CPU too; it takes longer.")] = False,
    json_file: Json = None,
) -> None:
    """A Longformer-base with its attention swapped, against its own: claimed 2.25 to 2.44 times, 91.7% covered."""
    from flows.reproduce.asi import LENGTHS, MECHANISMS, reproduce_asi

    def on_row(row: dict[str, Any]) -> None:
        for name, ratio in row["same_precision"].items():
            own, ours = row["own"][name]["ms"], row["ours"][name]["ms"]
            typer.echo(
                f"{row['tokens']:>6} {row['variant']:<38}{name:<9} {own:10.1f} ms own {ours:10.1f} ms ours "
                f"{ratio:6.2f}x  {row['layers_routed']} of {row['layers']} layers"
            )

    typer.echo("claimed: 2.25x to 2.44x at 512 to 4,096 tokens, 91.7% of layers")
    result = reproduce_asi(
        device, _numbers(lengths, LENGTHS), mechanism or MECHANISMS, _precisions(precision), repeats,
        memory=memory, on_row=on_row,
    )  # fmt: skip
    _end(result, json_file, device)


@reproduce.command()
def asam(
    device: Device = "cpu",
    lengths: Lengths = None,
    mechanism: Mechanism = None,
    precision: Precision = None,
    repeats: Repeats = 0,
    json_file: Json = None,
) -> None:
    """A layer of sparse attention against a dense one: claimed 4.44, 4.47, 2.70 times forward, 2.02 in training."""
    from flows.reproduce.asam import CLAIM, LENGTHS, MECHANISMS, reproduce_asam

    def on_row(row: dict[str, Any]) -> None:
        for what in ("forward", "training", "combined"):
            claimed = CLAIM[what].get(row["tokens"])  # type: ignore[attr-defined]
            for dense, found in row[what].items():
                for name, ratio in (found if what == "combined" else found["same_precision"]).items():
                    said = f"claimed {claimed:.2f}x" if claimed else ""
                    who = f"{row['tokens']:>6} {row['mechanism']:<14}{what:<9} over {dense:<6}"
                    typer.echo(f"{who}{name:<9} {ratio:6.2f}x  {said}")

    result = reproduce_asam(
        device, _numbers(lengths, LENGTHS), mechanism or MECHANISMS, _precisions(precision), repeats, on_row=on_row
    )
    _end(result, json_file, device)


def _numbers(text: str | None, default: tuple[int, ...]) -> list[int]:
    try:
        found = [int(each) for each in text.split(",")] if text else list(default)
    except ValueError:
        raise ValueError(f"lengths are {text!r}; give numbers with commas between, as in 512,1024") from None
    if min(found) < 1:
        raise ValueError(f"lengths are {text!r}; give numbers of tokens from 1 on")
    return found


def _precisions(names: list[str] | None) -> list[str]:
    from flows.reproduce.variants import PRECISIONS
    from model.config.checks import nearest

    for name in names or []:
        if name not in PRECISIONS:
            raise ValueError(f"precision is {name!r}; {nearest(name, PRECISIONS)}")
    return list(names or [])


def _end(measured: dict[str, Any], json_file: Path | None, device: str) -> None:
    """Write the result with its provenance if a file is named."""
    from flows.results import with_provenance, write_json

    write_json(with_provenance(measured, device), json_file)
