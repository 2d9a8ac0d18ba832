"""`valency task`: a small model trained on a synthetic task, and how many of its answers are exact."""

from pathlib import Path
from typing import Annotated

import typer


def task(
    name: Annotated[str, typer.Argument(help="recall, set_hash, odd, fuzzy_regex or listops: docs/tasks.md.")],
    recipe: Annotated[str, typer.Option(help="A recipe by name (data/recipes) or a TOML file.")] = "tiny-dense",
    pieces: Annotated[int, typer.Option(help="Of a sequence in training, to 131072.", min=1)] = 256,
    steps: Annotated[int | None, typer.Option(help="Another number of steps than the recipe's.", min=1)] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed than the recipe's.", min=0)] = None,
    test_length: Annotated[
        str, typer.Option(help="Of the second test: pieces, or so many times those of training, as in 2x.")
    ] = "2x",
    test_rows: Annotated[int, typer.Option(help="Sequences of each test.", min=1)] = 64,
    grow: Annotated[
        float, typer.Option(help="Part of the steps in which sequences grow from an eighth of --pieces.", min=0, max=1)
    ] = 0.0,
    enough: Annotated[
        float, typer.Option(help="Stop once so large a share of fresh answers is exact; 0: never.", min=0, max=1)
    ] = 0.0,
    threads: Annotated[int | None, typer.Option(help="Of PyTorch; none: as many as it takes.", min=1)] = None,
    device: str = "cpu",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result to this file.")] = None,
) -> None:
    """Train a recipe's model on sequences drawn anew at each step; test it at the trained and at another length."""
    from flows.progress import Display
    from flows.results import with_provenance, write_json
    from model.config import changed, load_recipe
    from model.tasks.training import TaskRun, train_task

    chosen = changed(load_recipe(recipe), seed, steps)
    longer = pieces_of(test_length, pieces)
    run = TaskRun(task=name, pieces=pieces, test_pieces=longer, test_rows=test_rows, grow=grow, enough=enough)
    with Display() as display:

        def told(step: int, total: int, nats: float) -> None:
            display.show(f"{name}, loss {nats:.4f}", step, total, "steps", None)

        result = train_task(chosen, run, device=device, threads=threads, on_step=told)
    write_json(with_provenance(result, device), json_file)
    for test in result["tests"]:
        found = test["answers"]
        said = f"{100 * found['accuracy']:.2f}% ({100 * found['low']:.2f} to {100 * found['high']:.2f})"
        typer.echo(f"{name}, {test['pieces']:,} pieces: {said} of {found['cases']:,} answers exact")
    typer.echo(f"chance: {100 * result['chance']:.2f}%; {result['steps']:,} steps of {result['rows']} sequences")


def pieces_of(said: str, pieces: int) -> int:
    """`512`, or `2x` of the pieces in training. Errors: ValueError for what is neither."""
    number, times = said.removesuffix("x"), said.endswith("x")
    if not number.isdecimal() or int(number) < 1:
        raise ValueError(f"test-length is {said!r}; give pieces, as in 512, or a multiple, as in 2x")
    return int(number) * (pieces if times else 1)
