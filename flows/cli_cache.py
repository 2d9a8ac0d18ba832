"""`valency doctor` and `valency repair`: is all well here, and in this cache?"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from flows.results import write_json

Json = Annotated[Path | None, typer.Option("--json", help="Write the result to this file, for machines.")]


def doctor(json_file: Json = None) -> None:
    """Check models, lexicons, kernels, server and settings, offline; ends with 1 if something does not work."""
    from flows.doctor import Finding, examine

    def on_finding(finding: Finding) -> None:
        typer.echo(f"{finding.state:<8}{finding.check:<14}{finding.said}")

    findings = examine(on_finding)
    write_json([asdict(finding) for finding in findings], json_file)
    if any(finding.state == "failed" for finding in findings):
        raise typer.Exit(1)


def repair(
    cache: Annotated[Path, typer.Argument(help="Folder of the cache.")],
    json_file: Json = None,
) -> None:
    """Read every byte of a cache, make damaged shards again, and only these; ends with 1 if some could not be."""
    from pipeline.repair import repair as repair_cache

    repairs = repair_cache(cache, on_repair=lambda each: typer.echo(str(each)))
    write_json([asdict(each) for each in repairs], json_file)
    if not repairs:
        typer.echo(f"{cache} is whole")
    if not all(each.mended for each in repairs):
        raise typer.Exit(1)
