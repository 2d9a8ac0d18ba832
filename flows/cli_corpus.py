"""`valency corpus …`: corpora that come in a form of their own, written out as text that `valency preprocess` reads."""

from pathlib import Path
from typing import Annotated

import typer

corpus = typer.Typer(no_args_is_help=True)

Data = Annotated[Path, typer.Option(envvar="VALENCY_DATA", help="Folder of the real corpora (data/README.md).")]


@corpus.callback()
def _corpora() -> None:
    """Keeps `brown` a command of its own while it is the only one."""


@corpus.command()
def brown(
    out: Annotated[Path, typer.Option(help="Folder to write brown/ca01-train.txt … into.")],
    data: Data = Path("../shared/data"),
) -> None:
    """The Brown corpus from NLTK's data, a file a text: for experiments only, its licence is non-commercial."""
    from pipeline.brown import write_brown

    counts = write_brown(data / "nltk_data", out)
    typer.echo(f"wrote {', '.join(f'{count} {split}' for split, count in counts.items())} texts to {out / 'brown'}")
