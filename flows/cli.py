"""The command `valency`. Exit codes: 0 done, 1 failed, 2 wrong usage.

Imports stand inside the commands: `valency --help` must not wait for Prefect and torch.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli_bench import bench
from flows.cli_bonds import control, leak_note
from flows.cli_cache import certify, doctor, leaktest, repair
from flows.cli_corpus import corpus
from flows.cli_evaluate import evaluate, overlap, picture, profile
from flows.cli_export import export
from flows.cli_fit import fit
from flows.cli_generate import generate
from flows.cli_lexicon import lexicon
from flows.cli_quantize import quantize
from flows.cli_reproduce import reproduce
from flows.cli_study import study
from flows.cli_task import task
from flows.cli_train import train
from flows.results import write_json

if TYPE_CHECKING:
    from flows.preprocess import PreprocessSettings

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(bench, name="bench", help="Measure: each benchmark says what it measures and writes one JSON object.")
app.add_typer(corpus, name="corpus", help="Write a corpus that comes in a form of its own as text to preprocess.")
app.command()(study)
app.command()(train)
app.command()(lexicon)
app.command()(control)
app.command()(repair)
app.command()(doctor)
app.command()(leaktest)
app.command()(certify)
app.command()(export)
app.command()(quantize)
app.command()(generate)
app.command()(evaluate)
app.command()(overlap)
app.command()(picture)
app.command()(profile)
app.add_typer(reproduce, name="reproduce", help="Headline experiments of others: their claim beside our number.")
app.command()(task)
app.add_typer(fit, name="fit", help="Make the shipped models and tables again, from their sources.")

Corpora = Annotated[
    list[str] | None,
    typer.Argument(help="Files, folders, globs, URLs (.txt .jsonl .parquet .conllu …); none: the sample."),
]
Json = Annotated[Path | None, typer.Option("--json", help="Write the result to this file, for machines.")]
Workers = Annotated[int, typer.Option(help="Worker processes for preprocessing.", min=1)]
Shards = Annotated[int, typer.Option(help="Shards of a new cache; a setting of the cache, never its size.", min=1)]
Parser = Annotated[str, typer.Option(help="Parser of the bonds layer: spacy, stanza, conllu, prefix.")]
Model = Annotated[str | None, typer.Option(help="The parser's model, by name or folder; none: the shipped one.")]
Download = Annotated[bool, typer.Option("--download", help="Fetch the models of a language for stanza first.")]
Mode = Annotated[
    str | None, typer.Option(help="full, pos_only, features_only, none, syntax, near, causal: docs/bonds.md.")
]
TokenizerFile = Annotated[Path | None, typer.Option("--tokenizer", help="A tokenizer.json; none: the shipped one.")]


@app.command()
def run(
    corpora: Corpora = None,
    out: Annotated[Path, typer.Option(help="Folder for the cache, the runs and report.html.")] = Path("out"),
    recipe: Annotated[list[str] | None, typer.Option(help="Recipes to train, the plain one first.")] = None,
    workers: Workers = 2,
    shards: Shards = 16,
    parser: Parser = "spacy",
    model: Model = None,
    tokenizer: TokenizerFile = None,
    json_file: Json = None,
) -> None:
    """The main job: text to bonds to two trained models to a report. Run it again and only what is missing is done."""
    from flows.progress import Display
    from flows.run import DEFAULT_RECIPES, RunSettings, run_all

    settings = RunSettings(
        recipes=tuple(recipe or DEFAULT_RECIPES),
        preprocess=_settings(workers, shards, parser, model, tokenizer),
    )
    with Display() as display:
        result = run_all(corpora or [], out, settings, display)
    write_json(result, json_file)
    for name, scores in result["models"].items():
        mark = "leak-free" if scores["leak_free"] else "leaky"
        typer.echo(f"{name:<8} {scores['bits_per_byte']:.4f} bits per byte ({mark})")
    typer.echo(f"report: {out / 'report.html'}")


@app.command()
def preprocess(
    corpora: Corpora = None,
    cache: Annotated[Path, typer.Option(help="Folder of the cache.")] = Path("cache"),
    workers: Workers = 2,
    shards: Shards = 16,
    parser: Parser = "spacy",
    model: Model = None,
    download: Download = False,
    tokenizer: TokenizerFile = None,
    piece_bonds: Annotated[
        str, typer.Option(help="Bonds in the pieces layer: none, causal (with --parser prefix), whole.")
    ] = "none",
    reuse: Annotated[
        Path | None, typer.Option(help="Make other bonds over the words of this cache; nothing is parsed.")
    ] = None,
    bonds: Annotated[
        str | None, typer.Option(help="With --reuse: which kinds, as a condition of SQL: \"kind != 'cohesion'\".")
    ] = None,
    mode: Mode = None,
    json_file: Json = None,
) -> None:
    """Text to words, features, bonds, statistics and pieces, cached in Parquet; what is cached costs nothing."""
    if reuse or bonds:
        from flows.cli_bonds import reuse_words

        return reuse_words(reuse, corpora or [], bonds, mode, json_file)
    from flows.progress import Display
    from flows.run import preprocess_with_display
    from pipeline.parsers import download_models

    if download:
        download_models(parser, model)
    with Display() as display:
        summary = preprocess_with_display(
            corpora or [], cache, _settings(workers, shards, parser, model, tokenizer, mode, piece_bonds), display
        )
    write_json(summary, json_file)
    typer.echo(
        f"{summary['documents']:,} documents ({summary['quarantined']:,} quarantined), {summary['words']:,} words, "
        f"{summary['bonds']:,} bonds, {summary['cache_bytes']:,} bytes in {cache}"
    )
    if note := leak_note(cache, mode):
        typer.echo(note)


@app.command()
def stats(
    cache: Annotated[Path, typer.Argument(help="Folder of the cache.")],
    name: Annotated[str | None, typer.Argument(help="A named query; none: all of them.")] = None,
    json_file: Json = None,
) -> None:
    """Named queries over a cache's statistics."""
    from flows.tables import print_table
    from pipeline.stats import QUERIES, named_query

    answers = {each: named_query(cache, each) for each in ([name] if name else QUERIES)}
    write_json({each: table.to_pylist() for each, table in answers.items()}, json_file)
    for each, table in answers.items():
        print_table(table, title=each)


@app.command()
def sql(
    cache: Annotated[Path, typer.Argument(help="Folder of the cache.")],
    query: Annotated[str, typer.Argument(help="One SELECT over documents, words, bonds, pieces and the statistics.")],
    seconds: Annotated[float, typer.Option(help="When it takes longer, it is ended.")] = 30.0,
    megabytes: Annotated[int, typer.Option(help="Memory of its process.", min=512)] = 2048,
    json_file: Json = None,
) -> None:
    """Ask a cache anything, by one SELECT that runs locked down: it reads this cache and nothing else."""
    from flows.tables import print_table
    from pipeline.sql import Limits, run_select

    table = run_select(cache, query, Limits(seconds=seconds, megabytes=megabytes))
    write_json(table.to_pylist(), json_file)
    print_table(table)


@app.command()
def explain(
    sentence: Annotated[str, typer.Argument(help="A text, of one sentence or more.")],
    model: Model = None,
    why: Annotated[
        tuple[int, int] | None,
        typer.Option(help="Two words by number: why may the first attend the second, or why not?", metavar="7 3"),
    ] = None,
    svg: Annotated[Path | None, typer.Option(help="Draw the bonds as arcs into this file.")] = None,
    html: Annotated[Path | None, typer.Option(help="Arcs, matrix and words as a page, into this file.")] = None,
    mode: Mode = None,
    json_file: Json = None,
) -> None:
    """Parse a text and say which word is bonded to which, and why."""
    from flows.explain import explain_text

    explained = explain_text(sentence, model, why, mode)
    write_json(explained.records, json_file)
    if svg:
        svg.write_text(explained.svg, encoding="utf-8")
    if html:
        html.write_text(explained.page(), encoding="utf-8")
    typer.echo("\n".join(explained.why) if why else explained.table)


@app.command()
def report(
    study: Annotated[Path, typer.Argument(help="A study's lines; its articles lie beside them.")] = Path(
        "data/results/first_study.jsonl"
    ),
    out: Annotated[Path, typer.Option(help="The page; its pictures go into pictures/ beside it.")] = Path(
        "docs/RESULTS.md"
    ),
) -> None:
    """Make a study's page: answers, tables, paired differences with intervals, curves, tuning and leaks."""
    from flows.study_report import write_results

    read = write_results(study, out)
    typer.echo(f"{len(read.runs)} runs: {out}")


def main() -> None:
    """Entry point: a mistake of the caller ends with 2, a failure with 1, both with one line; a bug keeps its trace."""
    from pipeline.errors import Failure

    try:
        app()
    except ValueError as error:
        _end(error, 2)
    except (Failure, OSError, ImportError) as error:
        _end(error, 1)
    except KeyboardInterrupt:
        sys.exit(130)


def _end(error: BaseException, code: int) -> None:
    typer.echo(f"valency: {error}", err=True)
    sys.exit(code)


def _settings(
    workers: int,
    shards: int,
    parser: str,
    model: str | None,
    tokenizer: Path | None,
    mode: str | None = None,
    piece_bonds: str = "none",
) -> "PreprocessSettings":
    from flows.preprocess import PreprocessSettings
    from pipeline.bonds import BondConfig
    from pipeline.bonds.modes import mode_config

    return PreprocessSettings(
        parser=parser,
        model=model,
        tokenizer=str(tokenizer) if tokenizer else None,
        shards=shards,
        workers=workers,
        bonds=mode_config(mode) if mode else BondConfig(),
        piece_bonds=piece_bonds,
    )
