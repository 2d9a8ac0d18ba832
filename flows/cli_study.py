"""`valency study`: a grid of small models, planned in TOML."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer


def study(
    plan: Annotated[Path, typer.Argument(help="The plan, a TOML file as those of data/studies.")],
    cache: Annotated[list[str], typer.Option(help="The cache of a corpus, as NAME=FOLDER; once for each corpus.")],
    out: Annotated[Path, typer.Option(help="Folder of the results, NAME.jsonl and NAME.articles.parquet.")] = Path(
        "data/results"
    ),
    work: Annotated[Path, typer.Option(help="Folder of what is needed until the end.")] = Path("out/study"),
    device: Annotated[list[str] | None, typer.Option(help="cpu, cuda:0 …; several run side by side.")] = None,
    lanes: Annotated[int, typer.Option(help="Runs side by side on one device.", min=1)] = 2,
) -> None:
    """Train a study's runs, many side by side, each a line of JSON; run it again and only what is missing is done."""
    from flows.study.plan import load_plan
    from flows.study.run import StudySettings, run_study

    caches = {}
    for each in cache:
        name, found, folder = each.partition("=")
        if not found or not folder:
            raise ValueError(f"--cache {each!r} names no folder; write it as NAME=FOLDER")
        caches[name] = Path(folder)

    def on_line(stage: str, done: int, of: int, line: Mapping[str, Any]) -> None:
        said = f"{line['bits_per_byte']:.4f}" if line["bits_per_byte"] is not None else "diverged"
        leak = "" if line["gain_nats"] is None else f", gain {line['gain_nats']:.2f} nats, leak {line['leak_nats']:.2f}"
        held = line.get("certificate")
        mark = "" if held is None else ", certified" if held["certified"] else ", NOT CERTIFIED"
        typer.echo(f"{stage} {done}/{of} {line['run']}: {said} bits per byte{leak}{mark}")

    settings = StudySettings(caches=caches, out=out, work=work, devices=tuple(device or ["cpu"]), lanes=lanes)
    run_study(load_plan(plan), settings, on_line)
