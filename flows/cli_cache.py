"""`valency doctor`, `repair`, `leaktest` and `certify`: is all well here, in this cache, with this model and run?"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from flows.results import with_provenance, write_json

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


def leaktest(
    target: Annotated[str | None, typer.Argument(help="A recipe, by name or file, or a run; none: every view.")] = None,
    cache: Annotated[Path | None, typer.Option(help="Cache of a recipe that reads under a control.")] = None,
    documents: Annotated[int, typer.Option(help="Random documents to cut.", min=2)] = 200,
    seed: int = 0,
    json_file: Json = None,
) -> None:
    """Law 1 from ids to logits: does anything at a piece depend on later ones? Ends with 1 if so, or if the test is
    blind to a planted leak."""
    from flows.leaktest import check_leaks, told

    found = check_leaks(target, cache, documents, seed)
    write_json(with_provenance({"target": target or "every view", "seed": seed, **told(found)}), json_file)
    typer.echo(f"{len(found.views)} views, {found.documents} documents, {found.cuts} cuts")
    typer.echo(f"largest change of a logit before a cut: {found.max_prefix_change:.1e} of the largest")
    typer.echo(f"planted leaks caught: {len(found.planted) - len(found.missed)} of {len(found.planted)}")
    for name in found.missed:
        typer.echo(f"NOT CAUGHT: {name}; do not believe this test")
    typer.echo("leak-free" if found.leak_free else f"LEAKY: {found.first_violation}")
    if not found.passed:
        raise typer.Exit(1)


def certify(
    run: Annotated[Path, typer.Argument(help="A run directory, as `valency train` and `valency run` leave it.")],
    cache: Annotated[Path | None, typer.Option(help="The cache it was trained on; none: ../../cache from it.")] = None,
    documents: Annotated[int, typer.Option(help="Held-out documents to replay.", min=1)] = 4,
    pieces: Annotated[int, typer.Option(help="Pieces of each, from its beginning.", min=1)] = 256,
    whole: Annotated[
        bool, typer.Option("--whole", help="Compare attributes to the end of each, not of these pieces alone.")
    ] = False,
    seed: Annotated[int, typer.Option(help="By which documents are drawn.")] = 0,
    json_file: Json = None,
) -> None:
    """Replay a run piece by piece in a process that receives only the past, and write certificate.json into it. Ends
    with 1 if the run is not certified."""
    from flows.certify import CERTIFICATE, certify_run
    from model.evaluate.certificate import CertificateConfig

    found = certify_run(run, cache, CertificateConfig(documents=documents, pieces=pieces, whole=whole, seed=seed))
    write_json(found.to_json(), json_file)
    change = "no number" if found.max_difference is None else f"{found.max_difference:.1e} of the largest"
    more = f", attributes of {found.attribute_pieces}" if found.attribute_pieces > found.pieces else ""
    typer.echo(f"{found.documents} documents, {found.pieces} pieces{more}; largest difference of a logit: {change}")
    typer.echo(f"attributes {found.attributes[:12]}, visible keys {found.keys[:12]}: {run / CERTIFICATE}")
    typer.echo("certified" if found.certified else f"NOT CERTIFIED: the two sides part with {found.first_break}")
    if not found.certified:
        raise typer.Exit(1)
