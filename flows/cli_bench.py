"""`valency bench …`: programs that measure, each with its method in the head of its file under flows/bench."""

from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli_bench_attention import attention, exactness, mechanisms, model
from flows.cli_bench_kernels import headline, kernel, tiles
from flows.cli_options import Json
from flows.results import finish

bench = typer.Typer(no_args_is_help=True)
bench.command()(attention)
bench.command()(model)
bench.command()(kernel)
bench.command()(headline)
bench.command()(tiles)
bench.command()(mechanisms)
bench.command()(exactness)

Corpora = Annotated[list[str] | None, typer.Argument(help="Files, folders or globs; none: the sample.")]


@bench.command()
def preprocess(
    corpora: Corpora = None,
    words: Annotated[int, typer.Option(help="Words of the corpus to use.", min=1000)] = 300_000,
    json_file: Json = None,
) -> None:
    """Words per second of preprocessing in steady state, against bare spaCy on the same text in the same run."""
    from flows.bench.preprocess import bench_preprocess
    from pipeline.corpus import sample_corpus

    finish(bench_preprocess(corpora or [str(sample_corpus())], limit_words=words), json_file)


@bench.command()
def views(
    cache: Annotated[Path, typer.Argument(help="Folder of the cache.")],
    recipe: Annotated[list[str] | None, typer.Option(help="Recipes, the one to compare with first.")] = None,
    seeds: Annotated[int, typer.Option(help="Seeds 0, 1, … of each recipe.", min=1)] = 3,
    steps: Annotated[int | None, typer.Option(help="Another number of steps than the recipes'.", min=1)] = None,
    at_once: Annotated[int, typer.Option(help="Runs side by side.", min=1)] = 1,
    device: str = "cpu",
    out: Annotated[Path, typer.Option(help="Folder of the run directories.")] = Path("bench-views"),
    json_file: Json = None,
) -> None:
    """Bits per byte of recipes over paired seeds, every run printed."""
    from flows.bench.views import bench_views

    def on_run(row: dict[str, Any]) -> None:
        mark = "leak-free" if row["leak_free"] else "leaky"
        typer.echo(f"{row['recipe']} seed {row['seed']}: {row['bits_per_byte']} ({mark})")

    recipes = recipe or ["tiny-dense", "tiny-views"]
    result = bench_views(cache, out, recipes, seeds=seeds, steps=steps, device=device, at_once=at_once, on_run=on_run)
    finish(result, json_file, device)


@bench.command()
def parse(
    conllu: Annotated[Path, typer.Option(help="A treebank file with gold annotation.")],
    parser: Annotated[
        str, typer.Option(help="spacy, stanza, prefix, or conllu: the gold file against itself.")
    ] = "spacy",
    model: Annotated[str | None, typer.Option(help="The parser's model; none: the shipped one.")] = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch a language's models for stanza first.")] = False,
    json_file: Json = None,
) -> None:
    """Score a parser on a treebank's raw text as the CoNLL 2018 shared task does (F1 in percent), and time it."""
    from flows.bench.parse import bench_parse
    from pipeline.parsers import download_models

    if download:
        download_models(parser, model)
    model = model or (str(conllu) if parser == "conllu" else None)
    finish(bench_parse(parser, model, conllu), json_file)


@bench.command()
def bonds(
    conllu: Annotated[Path, typer.Option(help="A treebank file with gold annotation; its raw text is parsed again.")],
    parser: Annotated[str, typer.Option(help="spacy, stanza, prefix; conllu: the gold trees themselves.")] = "spacy",
    model: Annotated[str | None, typer.Option(help="The parser's model; none: the shipped one.")] = None,
    seed: Annotated[int, typer.Option(help="Of the random pairs.")] = 0,
    kind: Annotated[str | None, typer.Option(help="open: how many arcs the next word finds among open words.")] = None,
    json_file: Json = None,
) -> None:
    """Share of a treebank's arcs that bonds keep, by bonds a word, against windows and random pairs."""
    from flows.bench.bonds import bench_bonds
    from flows.bench.open import bench_open
    from pipeline.parsers import load_parser

    if kind not in (None, "open"):
        raise ValueError(f"kind {kind!r} has no benchmark of its own; give open, or leave it out for those of arcs")
    loaded = load_parser(parser, model or (str(conllu) if parser == "conllu" else None))
    finish(bench_open(conllu, loaded) if kind else bench_bonds(conllu, loaded, seed), json_file)


@bench.command()
def coref(
    gap: Annotated[Path, typer.Option(help="A file of GAP, such as gap-development.tsv.")],
    parser: Annotated[str, typer.Option(help="spacy or stanza.")] = "spacy",
    model: Annotated[str | None, typer.Option(help="The parser's model; none: the shipped one.")] = None,
    json_file: Json = None,
) -> None:
    """Share of pronouns whose true antecedent is bonded, and how many candidates each has, rule by rule."""
    from flows.bench.coref import bench_coref
    from pipeline.parsers import load_parser

    finish(bench_coref(gap, load_parser(parser, model)), json_file)


@bench.command()
def lexicons(
    conllu: Annotated[list[Path], typer.Option(help="A treebank file with gold annotation; may be said again.")],
    json_file: Json = None,
) -> None:
    """How much the lexicons know of a treebank's words, how fast they load, and how well their tables fit."""
    from flows.bench.lexicons import bench_lexicons

    finish(bench_lexicons(conllu), json_file)


@bench.command()
def verbnet(
    data: Annotated[
        Path, typer.Option(envvar="VALENCY_DATA", help="Folder of the real corpora, with nltk_data (data/README.md).")
    ] = Path("../shared/data"),
    model: Annotated[str | None, typer.Option(help="The spaCy pipeline that parses; none: the shipped one.")] = None,
    json_file: Json = None,
) -> None:
    """VerbNet's own example sentences: do the fillers of a role meet the restriction that our tables state?"""
    from flows.bench.verbnet import bench_verbnet

    finish(bench_verbnet(data / "nltk_data", model), json_file)


@bench.command()
def faults(
    corpora: Corpora = None,
    only: Annotated[list[str] | None, typer.Option(help="A trial (flows/bench/faults); may be said again.")] = None,
    kills: Annotated[int, typer.Option(help="How often to kill and resume.", min=1)] = 50,
    fuzz: Annotated[int, typer.Option(help="Mutated files of caches, and recipes.", min=1)] = 100_000,
    documents: Annotated[int, typer.Option(help="Hostile documents.", min=1)] = 10_000,
    cases: Annotated[int | None, typer.Option(help="At most so many cases of each trial, for a sample.", min=1)] = None,
    at_once: Annotated[int, typer.Option(help="Cases side by side.", min=1)] = 2,
    seed: int = 0,
    out: Annotated[Path, typer.Option(help="Folder of records and caches; bad ones stay.")] = Path("bench-faults"),
    json_file: Json = None,
) -> None:
    """Kills, damage, a full disk, second writers, changed corpora, fuzzed files, hostile documents: does all end well?

    Every case that is done is recorded in the folder; run again, the bench goes on after it."""
    from flows.bench.faults import bench_faults

    def on_case(trial: str, number: int, row: dict[str, Any]) -> None:
        mark = "" if row["passed"] else "FAILED: "
        typer.echo(f"{trial} {number}: {mark}{row['outcome']} {row.get('counts') or ''} ({row['seconds']:.1f} s)")

    counts = {"kills": kills, "fuzz": fuzz, "documents": documents}
    result = bench_faults(
        out,
        corpora=corpora or (),
        only=only or (),
        counts=counts,
        cases=cases,
        seed=seed,
        at_once=at_once,
        on_case=on_case,
    )
    finish(result, json_file)
    if not result["passed"]:
        raise typer.Exit(1)


@bench.command()
def cache(
    corpora: Annotated[
        list[str] | None, typer.Argument(help="Files, folders or globs; none: WikiText-2, IMDb, Gutenberg.")
    ] = None,
    words: Annotated[int, typer.Option(help="Words of the corpora to use.", min=1000)] = 10_000_000,
    parser: Annotated[str, typer.Option(help="prefix or spacy.")] = "prefix",
    piece_bonds: Annotated[str, typer.Option(help="Bonds in the pieces layer: none, causal, whole.")] = "whole",
    folder: Annotated[
        Path | None, typer.Option("--cache", help="Keep the cache here; one that was kept is measured again.")
    ] = None,
    data: Annotated[Path, typer.Option(envvar="VALENCY_DATA", help="Folder of the real corpora.")] = Path(
        "../shared/data"
    ),
    json_file: Json = None,
) -> None:
    """Bytes a word, seconds of queries and joins, pieces a second of the reader, and memory of preprocessing."""
    from flows.bench.cache import CORPORA, BenchCache, bench_cache

    settings = BenchCache(words=words, parser=parser, piece_bonds=piece_bonds)
    finish(bench_cache(corpora or [str(data / each) for each in CORPORA], settings, folder), json_file)


@bench.command()
def leak(
    caches: Annotated[list[Path], typer.Argument(help="Folders of caches, a corpus each.")],
    pieces: Annotated[list[int] | None, typer.Option(help="Pieces to fit the probe on; may be said again.")] = None,
    held: Annotated[int, typer.Option(help="Held-out pieces to score it on.", min=1)] = 100_000,
    cuts: Annotated[int, typer.Option(help="Places to cut the text at, for a second opinion.", min=1)] = 500,
    seed: int = 0,
    json_file: Json = None,
) -> None:
    """What attributes tell of the next piece, and how much of it they can only know from the text to come."""
    from flows.bench.leak import bench_leak
    from model.evaluate.leak_meter import Leak, MeterConfig

    def on_leak(corpus: str, arm: str, fit_pieces: int, found: Leak) -> None:
        typer.echo(f"{corpus} {found.attribute} ({arm}, {fit_pieces:,} pieces): {found}")

    config = MeterConfig(held_pieces=held, cuts=cuts, seed=seed)
    fit_pieces = pieces or [config.fit_pieces]
    finish(bench_leak(caches, fit_pieces=fit_pieces, config=config, on_leak=on_leak), json_file)


@bench.command()
def widths(
    cache: Annotated[Path, typer.Argument(help="Folder of the cache.")],
    steps: Annotated[int, typer.Option(help="Steps of each run.", min=4)] = 200,
    optimizer: Annotated[str, typer.Option(help="adamw or muon.")] = "adamw",
    seed: int = 0,
    json_file: Json = None,
) -> None:
    """The best learning rate of four widths, with the rule that should hold it and without."""
    from flows.bench.widths import bench_widths

    def on_run(rule: str, width: int, rate: float, loss: float) -> None:
        typer.echo(f"{rule}: width {width}, rate {rate:g}: {loss:.4f}")

    finish(bench_widths(cache, steps=steps, optimizer=optimizer, seed=seed, on_run=on_run), json_file)


@bench.command()
def recipes(
    cache: Annotated[Path, typer.Argument(help="Folder of the cache.")],
    recipe: Annotated[list[str], typer.Option(help="Name or TOML file; said again, one beside the other.")],
    out: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs"),
    seeds: Annotated[int, typer.Option(help="How many seeds each is trained with.", min=1)] = 3,
    steps: Annotated[int | None, typer.Option(help="Of each run; none: as the recipe says.", min=1)] = None,
    device: str = "cpu",
    threads: Annotated[int | None, typer.Option(help="None: a core each.", min=1)] = None,
    json_file: Json = None,
) -> None:
    """Recipes trained beside each other: held-out bits per byte, differences seed by seed."""
    from flows.bench.recipes import bench_recipes
    from model.config import load_recipe
    from model.run import RunResult
    from pipeline.provenance import cores

    def on_run(result: RunResult) -> None:
        typer.echo(f"{result.recipe}: {result.bits_per_byte['validation']} bits per byte, held out; {result.served}")

    chosen = [load_recipe(each) for each in recipe]
    given: dict[str, Any] = {"seeds": seeds, "steps": steps, "device": device, "threads": threads or cores()}
    finish(bench_recipes(cache, chosen, out, on_run=on_run, **given), json_file, device)
