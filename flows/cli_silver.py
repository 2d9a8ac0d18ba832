"""`valency fit silver …`: trees for raw text by a large parser, to train the shipped one from, in three stages."""

from pathlib import Path
from typing import Annotated

import typer

silver = typer.Typer(no_args_is_help=True, help="Trees for raw text by a large parser trained on a GPU.")

Prepared = Annotated[Path, typer.Argument(help="The folder that `prepare` wrote.")]


@silver.command()
def prepare(
    corpora: Annotated[list[str], typer.Argument(help="Files, folders or globs of text; each is a corpus.")],
    treebank: Annotated[Path, typer.Option(help="Folder with *-ud-{train,dev}.conllu.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("prepared"),
    words: Annotated[int, typer.Option(help="Raw words to learn the language from.", min=1)] = 14_000_000,
    silver_words: Annotated[int, typer.Option(help="Of these, words to annotate.", min=1)] = 2_000_000,
    pieces: Annotated[int, typer.Option(help="Size of the vocabulary.", min=260, max=65_536)] = 16_000,
    seed: int = 0,
) -> None:
    """Treebank and text to arrays; on a machine with spaCy."""
    from flows.cli_fit import splits_of
    from pipeline.fit.teacher.prepare import PrepareConfig
    from pipeline.fit.teacher.prepare import prepare as prepare_files

    config = PrepareConfig(words=words, silver_words=silver_words, pieces=pieces, seed=seed)
    prepare_files(*splits_of(treebank), corpora, out, config, typer.echo)
    typer.echo(f"wrote {out}")


@silver.command()
def train(
    prepared: Prepared,
    out: Annotated[Path, typer.Option(help="Folder to write; what is done there is not done again.")] = Path("teacher"),
    device: str = "cuda:0",
    pretrain_seconds: Annotated[float, typer.Option(help="For the masked language model.", min=1)] = 200.0,
    finetune_seconds: Annotated[float, typer.Option(help="For each member, at most.", min=1)] = 60.0,
    members: Annotated[int, typer.Option(help="Parsers that annotate together.", min=1)] = 3,
    compiled: Annotated[bool, typer.Option("--compile", help="Compile the pretraining step.")] = False,
    only_trial: Annotated[bool, typer.Option("--trial", help="Full size, few steps, few words: does it go?")] = False,
    seed: int = 0,
) -> None:
    """Train the large parser and annotate the silver words; on a GPU, with torch, numpy and safetensors alone."""
    from pipeline.fit.teacher.config import TeacherConfig, trial
    from pipeline.fit.teacher.train import train as train_teacher

    config = trial(compile=compiled, seed=seed) if only_trial else TeacherConfig(
        pretrain_seconds=pretrain_seconds, finetune_seconds=finetune_seconds, members=members, compile=compiled,
        seed=seed,
    )  # fmt: skip
    train_teacher(prepared, out, config, device, typer.echo)


@silver.command()
def write(
    prepared: Prepared,
    labels: Annotated[Path, typer.Option(help="The labels that `train` wrote.")] = Path("teacher/labels.safetensors"),
    out: Annotated[Path, typer.Option(help="CoNLL-U file to write.")] = Path("silver.conllu"),
    drop: Annotated[float, typer.Option(help="Share of sentences to leave out, the least sure.", min=0, max=0.99)] = 0,
) -> None:
    """The annotated words as a treebank."""
    from pipeline.fit.teacher.write import write_silver

    typer.echo(f"wrote {write_silver(prepared, labels, out, drop):,} sentences to {out}")
