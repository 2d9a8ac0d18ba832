"""Options that several benches have."""

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[Path | None, typer.Option("--json", help="Write the result to this file, for machines.")]
Data = Annotated[Path, typer.Option(envvar="VALENCY_DATA", help="Folder of the real corpora; else the sample.")]
DATA = Path("../shared/data")
Threads = Annotated[int | None, typer.Option(help="Of the CPU; none: a core each.", min=1)]
