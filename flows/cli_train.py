"""`valency train`: one model on a cache, by a recipe or by a mode and a size; on one device or on many."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from model.config import Recipe

DEFAULT = "tiny-views"


def train(
    cache: Annotated[Path, typer.Argument(help="Folder of the cache.")],
    recipe: Annotated[
        str | None, typer.Option(help=f"A recipe by name (data/recipes) or a TOML file; none: {DEFAULT}.")
    ] = None,
    mode: Annotated[
        str | None, typer.Option(help="full, pos_only, features_only, none …: what heads see (docs/bonds.md).")
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="seed-tiny, tiny, 10M, 30M, 100M, 181M, 350M; with --mode alone: tiny.")
    ] = None,
    leaky: Annotated[
        bool, typer.Option("--leaky", help="Whole-word tags on every piece, as the seed had them; named leaky.")
    ] = False,
    epochs: Annotated[float | None, typer.Option(help="Train so many times through the cache.", min=0)] = None,
    steps: Annotated[int | None, typer.Option(help="Train so many steps.", min=1)] = None,
    tokens: Annotated[int | None, typer.Option(help="Train on so many pieces.", min=1)] = None,
    seconds: Annotated[float | None, typer.Option(help="Train for so long, in training steps.", min=0)] = None,
    labels: Annotated[
        list[str] | None, typer.Option(help="Where the objective is classify: the corpus, with a field `label`.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed than the recipe's.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of run directories; none: runs beside the cache.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps or auto.")] = "cpu",
    devices: Annotated[int, typer.Option(help="Processes on each machine, one a device.", min=1)] = 1,
    nodes: Annotated[int, typer.Option(help="Machines; start this command on each.", min=1)] = 1,
    threads: Annotated[int | None, typer.Option(help="Of each process; none: the cores, shared out.", min=1)] = None,
    strategy: Annotated[str, typer.Option(help="Of several processes: ddp, or fsdp to share out the weights.")] = "ddp",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result to this file.")] = None,
) -> None:
    """Train one recipe on a cache; run again, it goes on from its last checkpoint.

    A recipe may be said in words: `--mode full --size tiny --epochs 10`. Under torchrun its processes are used."""
    from flows.progress import Display
    from flows.results import write_json
    from flows.run import train_with_display
    from model.machine import Machine, started_by_another, under_torchrun
    from pipeline.provenance import cores

    budget = {"epochs": epochs, "steps": steps, "tokens": tokens, "seconds": seconds}
    given = {name: value for name, value in budget.items() if value is not None}
    if len(given) > 1:
        raise ValueError(f"--{' and --'.join(given)} are given; one budget is enough")
    chosen = chosen_recipe(recipe, mode, size, leaky, given, seed)
    machine = under_torchrun(Machine(device=device, devices=devices, nodes=nodes, strategy=strategy))
    machine = Machine(
        device=device,
        devices=machine.devices,
        nodes=machine.nodes,
        strategy=strategy,
        threads=threads or max(1, cores() // machine.devices),
    )
    quiet = started_by_another()
    with Display(quiet=quiet) as display:
        result = train_with_display(cache, chosen, out or cache.parent / "runs", machine, display, labels)
    if quiet:
        return
    write_json(result, json_file)
    mark = "leak-free" if result["leak_free"] else "leaky"
    held_out = result["bits_per_byte"]["validation"]
    said = "nothing held out" if held_out is None else f"{held_out:.4f} bits per byte, held out"
    typer.echo(f"{result['recipe']}: {said} ({mark})")


def chosen_recipe(
    recipe: str | None, mode: str | None, size: str | None, leaky: bool, budget: dict[str, float], seed: int | None
) -> "Recipe":
    """The recipe that the command's words name; its own name says all that differs from the file."""
    from model.config import Recipe, changed, load_recipe
    from model.config.sizes import spoken

    if recipe is None and (mode or size):
        base, size = Recipe(name="train"), size or "tiny"
    else:
        base = load_recipe(recipe or DEFAULT)
    first = changed(base, seed, None)
    return spoken(first, mode=mode, size=size, leaky=leaky, budget=budget)
