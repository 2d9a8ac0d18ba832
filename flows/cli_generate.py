"""`valency generate`: text from a trained run."""

from pathlib import Path
from typing import Annotated

import typer

from flows.results import write_json


def generate(
    run: Annotated[Path, typer.Argument(help="Run directory of a finished training.")],
    prompt: Annotated[str, typer.Option(help="Text to go on with; none: a new document.")] = "",
    pieces: Annotated[
        int | None, typer.Option(help="So many pieces; none: until the document ends, 256 at most.", min=1)
    ] = None,
    stop: Annotated[
        bool | None,
        typer.Option("--stop/--endless", help="End where the model ends the document; endless if --pieces is given."),
    ] = None,
    temperature: Annotated[float, typer.Option(help="What logits are divided by; 0: always the likeliest.")] = 1.0,
    top_k: Annotated[int, typer.Option(help="Draw from so many likeliest pieces; 0: from all.")] = 0,
    top_p: Annotated[float, typer.Option(help="Draw from the likeliest that have this probability together.")] = 1.0,
    min_p: Annotated[float, typer.Option(help="Draw from pieces with this part of the likeliest's probability.")] = 0.0,
    seed: Annotated[int, typer.Option(help="The same seed draws the same text.")] = 0,
    precision: Annotated[str, typer.Option(help="float32 or float64.")] = "float32",
    full_cache: Annotated[bool, typer.Option("--full-cache", help="Keep every piece, also where views are near.")] = (
        False
    ),
    check: Annotated[
        int, typer.Option(help="Compare the logits of so many first pieces with those of a full cache.")
    ] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write what it took to this file.")] = None,
) -> None:
    """Text from a trained run, as it comes. Where all views are near, memory stays the same however long it goes on."""
    from flows.generate import GenerateSettings, generate_run
    from model.generate import Sampling

    settings = GenerateSettings(
        prompt=prompt,
        pieces=pieces,
        stop=stop,
        sampling=Sampling(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, seed=seed),
        precision=precision,
        evict=False if full_cache else None,
        check=check,
    )
    result = generate_run(run, settings, lambda text: typer.echo(text, nl=False))
    typer.echo()
    write_json(result, json_file)
    if check:
        said = "the same to the bit" if result["logits_identical"] else f"{result['max_logit_difference']:.1e} apart"
        typer.echo(f"{result['compared_pieces']:,} pieces compared with a full cache: {said}", err=True)
